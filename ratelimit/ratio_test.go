package ratelimit

import (
	"fmt"
	"testing"
)

func ratio(good EventKind, rate, sample, span int64, to string) Claim {
	return Claim{Limit: "share", Measure: Ratio, Good: good, Rate: rate, Sample: sample, Span: span, Cost: 1, Recipient: to}
}

func TestTooFewRepliesStopUntilOneComesOrTheOldestLeave(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := func(to string) Claim { return ratio(Replied, 500_000, 4, day, to) }
		for i := range int64(4) {
			d, _ := s.at(t0 + i*hour).ask(c(fmt.Sprint("r", i)))
			s.want(d, Go, t0+i*hour, "")
		}
		d, _ := s.ask(c("r9"))
		s.want(d, Refused, t0+day, "share") // 3 are too few to tell
		if u := d.Uses[0]; u.Used != 4 || u.Allow != 2 || u.Resets != t0+day {
			t.Errorf("use: %+v", u)
		}
		s.replied("r0", 0)
		s.want(s.look(c("r9")), Refused, t0+day, "share") // 1 of 4
		s.replied("r1", 0)
		s.want(s.look(c("r9")), Go, t0+3*hour, "") // 2 of 4 is enough
		d, _ = s.ask(c("r9"))
		s.want(d, Go, t0+3*hour, "")
		// The good ones are the first to leave: then 3 are too few to tell.
		s.want(s.look(c("r9")), Refused, t0+25*hour, "share")
		s.at(t0 + 4*hour)
		s.want(s.look(c("r0")), Go, t0+4*hour, "") // has answered all it got
		s.want(s.look(c("r0"), c("r9")), Refused, t0+25*hour, "share")
		s.ask(c("r0"))
		s.want(s.look(c("r0")), Refused, t0+26*hour, "share") // not any more
		s.at(t0+26*hour-1).want(s.look(c("r8")), Refused, t0+26*hour, "share")
		s.at(t0+26*hour).want(s.look(c("r8")), Go, t0+26*hour, "")
	})
}

func TestConnectionsMakeTheirShareBetter(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := func(to string) Claim { return ratio(Connected, 500_000, 2, day, to) }
		s.ask(c("a"))
		s.ask(c("b"))
		s.want(s.look(c("c")), Refused, t0+day, "share")
		s.connected("d", 0)
		s.connected("a", 0) // what it got was not sent to a connection
		s.want(s.look(c("c")), Refused, t0+day, "share")
		s.want(s.look(c("d"), c("c")), Refused, t0+day, "share")
		_, one := s.ask(c("d"))
		_, two := s.ask(c("d"))
		s.want(s.look(c("c")), Go, t0, "") // 2 of 4
		s.cancel(one)
		s.want(s.look(c("c")), Refused, t0+day, "share")
		s.ask(c("d"))
		s.cancel(two)
		s.want(s.look(c("c")), Refused, t0+day, "share")
	})
}

func TestGivingBackAnAnsweredMessageTakesItsGoodness(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := func(to string) Claim { return ratio(Replied, 500_000, 3, day, to) }
		_, a := s.ask(c("a"))
		s.ask(c("b"))
		s.ask(c("c"))
		s.at(t0+1).replied("a", 0)
		s.replied("b", 0)
		s.wantUsed(c("x"), 1)
		s.cancel(a)
		s.wantUsed(c("x"), 1) // one of two is good
		s.want(s.look(c("x")), Go, t0+1, "")
		_, d := s.ask(c("d")) // one of three
		s.want(s.look(c("x")), Refused, t0+day, "share")
		s.cancel(d)
		s.want(s.look(c("x")), Go, t0+1, "")
	})
}

// Beyond exactEntries a time is rounded up in the account's log, and a reply
// still finds what it answers.
func TestAReplyFindsItsMessageInALongLog(t *testing.T) {
	clock := &fakeClock{ms: t0}
	s := &testStore{Store: NewMemory(Options{Now: clock.now}), t: t, clock: clock}
	c := func(to string) Claim { return ratio(Replied, 0, 1, 96*hour, to) }
	for i := range int64(exactEntries) {
		s.at(t0 + i*minute).ask(c("many"))
	}
	_, id := s.at(t0 + 40*hour + 1).ask(c("bert"))
	s.ask(c("carl"))
	s.wantUsed(c("x"), exactEntries+2)
	s.at(t0+40*hour+2).replied("bert", 0)
	s.wantUsed(c("x"), exactEntries+1)
	s.cancel(id)
	s.wantUsed(c("x"), exactEntries+1)
	s.replied("many", 0)
	s.wantUsed(c("x"), 1)
}

func TestAGoodMessageCountsUntilItLeavesTheSpan(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := func(to string) Claim { return ratio(Replied, 500_000, 1, day, to) }
		s.ask(c("a"))
		s.at(t0+1).replied("a", 0)
		s.at(t0 + hour).ask(c("b"))
		s.at(t0+day-1).want(s.look(c("x")), Go, t0+day-1, "")
		s.at(t0+day).want(s.look(c("x")), Refused, t0+day+hour, "share")
	})
}
