package ratelimit

import (
	"context"
	"testing"
)

func TestOnlySoManyAreOnTheirWay(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := concurrent("busy", 2)
		_, a := s.ask(c)
		_, b := s.ask(c)
		d, _ := s.ask(c)
		s.want(d, Refused, t0+askAgain, "busy")
		s.want(s.look(c.waiting(second)), Later, t0+askAgain, "busy")
		s.want(s.look(c.costing(3)), Refused, 0, "busy")
		s.keep(a)
		s.want(s.look(c), Go, t0, "")
		_, e := s.ask(c)
		s.want(s.look(c), Refused, t0+askAgain, "busy")
		s.cancel(b)
		s.cancelItems(e, 0)
		s.wantUsed(c, 0)
		s.want(s.look(c.costing(2)), Go, t0, "")
	})
}

func TestALeaseThatNobodyProlongsEnds(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := concurrent("busy", 1)
		_, a := s.ask(c)
		s.want(s.at(t0+leaseTime-1).look(c), Refused, t0+leaseTime-1+askAgain, "busy")
		s.want(s.fire(a), Go, t0, "")
		s.want(s.at(t0+2*leaseTime-2).look(c), Refused, t0+2*leaseTime-2+askAgain, "busy")
		s.want(s.at(t0+2*leaseTime-1).look(c), Go, t0+2*leaseTime-1, "")
	})
}

func TestARequestWithAConcurrencyIsNeverBooked(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		p, c := pace("pace", second).waiting(hour), concurrent("busy", 1).waiting(hour)
		_, id := s.ask(p, c)
		s.want(s.look(p, c), Later, t0+second, "pace")
		// A shadow does not decide that; its lease begins when it is let go.
		d, b := s.ask(p, c.shadow())
		s.want(d, Booked, t0+second, "pace")
		s.wantUsed(c, 1)
		s.keep(id)
		s.wantUsed(c, 0)
		s.clock.add(second)
		s.fire(b)
		s.wantUsed(c, 1)
		s.keep(b)
		s.wantUsed(c, 0)
	})
}

func TestLeasesAreCountedForAnAccountOfTwoNames(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := concurrent("busy", 2)
		_, a := s.ask(c)
		s.as("bea", c)
		d := s.request(Request{ID: "both", Account: "anna", Aliases: []string{"bea"}, Claims: []Claim{c}})
		s.want(d, Refused, t0+askAgain, "busy")
		if name, _ := s.Resolve(context.Background(), []string{"bea"}); name != "bea" {
			s.t.Errorf("the refused one joined bea to %q", name)
		}
		d = s.request(Request{ID: "both", Account: "anna", Aliases: []string{"bea"}, Claims: []Claim{lifetime("l", 1)}})
		s.want(d, Go, t0, "")
		s.wantUsed(c, 2)
		s.keep(a)
		s.wantUsed(c, 1)
	})
}
