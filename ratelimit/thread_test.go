package ratelimit

// Threads that turn out to be a recipient: law 15.

import "testing"

func TestAThreadStandsForItsRecipient(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		pair := func(who string) Claim { return rolling("pair", 3, hour).by(who) }
		reach := func(who string) Claim { return rolling("reach", 2, hour).distinct().to(who) }
		_, a := s.ask(pair("thread"), reach("thread"))
		s.ask(pair("bert"), reach("bert"))
		s.want(s.look(reach("carl")), Refused, t0+hour, "reach")
		for range 2 {
			s.observe(Event{Recipient: "thread", Kind: SameAs, Is: "bert"})
		}
		s.want(s.look(reach("carl")), Go, t0, "")
		for _, who := range []string{"bert", "thread"} {
			s.wantUsed(pair(who), 2)
		}
		d, _ := s.ask(pair("thread").costing(2).ofItem(0), pair("bert").ofItem(1))
		if d.Verdict != Refused || len(d.Uses) != 1 || d.Uses[0].Key != "thread" {
			s.t.Errorf("they are one counter: %+v", d)
		}
		s.cancel(a)
		s.wantUsed(pair("bert"), 1)
		s.wantUsed(reach("x"), 1)
		s.observe(Event{Recipient: "thread", Kind: SameAs, Is: "carl"}) // it is bert already
		s.wantUsed(pair("thread"), 1)
		s.observe(Event{Recipient: "bert", Kind: SameAs, Is: "thread"}) // no circle
		s.wantUsed(pair("bert"), 1)
	})
}

func TestAThreadsHoldsAndDebtsFollowIt(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := lifetime("inmail", 5)
		s.ask(c.to("thread").returning(hour))
		s.cool(Cooling{ID: "a", Key: "thread", Name: "t", For: hour})
		s.observe(Event{Recipient: "thread", Kind: SameAs, Is: "bert"})
		d := s.request(Request{Account: "anna", Dry: true, Recipients: []string{"bert"}, Claims: []Claim{c}})
		s.want(d, Refused, t0+hour, PausedLimit)
		s.observe(Event{Recipient: "bert", Kind: Replied})
		s.wantUsed(c, 0)
	})
}

func TestThreadsOfTwoAccountsThatBecomeOne(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		pair := func(who string) Claim { return rolling("pair", 9, hour).by(who) }
		s.as("bea", pair("thread"))
		s.ask(pair("bert"))
		s.observe(Event{Recipient: "thread", Kind: SameAs, Is: "bert"})
		s.request(Request{ID: "both", Account: "anna", Aliases: []string{"bea"}, Claims: []Claim{pair("bert")}})
		s.wantUsed(pair("thread"), 3)
	})
}
