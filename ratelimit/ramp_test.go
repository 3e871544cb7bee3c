package ratelimit

import "testing"

func TestAnAllowanceGrowsFromTheFirstCharge(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := func() Claim { return rolling("invites", 100, 1000*day).ramped(20, 80*hour) }
		s.want(s.look(c().costing(20)), Go, t0, "")
		s.want(s.look(c().costing(21)), Refused, 0, "invites") // before a first charge it does not grow
		s.ask(c().costing(20))
		// One more an hour, exactly.
		s.want(s.look(c()), Refused, t0+hour, "invites")
		s.want(s.at(t0+hour-1).look(c()), Refused, t0+hour, "invites")
		d, _ := s.at(t0 + hour).ask(c())
		s.want(d, Go, t0+hour, "")
		s.want(s.look(c().costing(5)), Refused, t0+6*hour, "invites")
		s.clock.set(t0 + 80*hour)
		s.want(s.look(c().costing(79)), Go, t0+80*hour, "")
		s.clock.set(t0 + 200*hour)
		if u := s.look(c().costing(79)).Uses[0]; u.Allow != 100 || u.Used != 21 {
			s.t.Errorf("grown: %+v", u)
		}
	})
}

func TestAReservationGivenBackDoesNotBeginARamp(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := s.daily("invites", 100).ramped(20, 100*day)
		_, id := s.ask(c)
		s.cancel(id)
		s.clock.set(t0 + 50*day)
		if u := s.look(s.daily("invites", 100).ramped(20, 100*day)).Uses[0]; u.Allow != 20 {
			s.t.Errorf("it began: %+v", u)
		}
	})
}

// Its charges are given back one after the other: only the last of them leaves
// a counter that was never charged.
func TestABatchGivenBackDoesNotBeginARamp(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := rolling("grow", 5, hour).ramped(2, 100*day)
		_, id := s.ask(c.ofItem(0), c.ofItem(1))
		s.cancel(id)
		d := s.at(t0 + 99*day).look(c.costing(3))
		s.want(d, Refused, 0, "grow")
		if d.Uses[0].Allow != 2 {
			t.Errorf("a ramp has begun: %+v", d.Uses[0])
		}
	})
}

func TestARampOfGiantNumbersStaysExactAtItsEnds(t *testing.T) {
	// The steps of the second do not add up to it.
	for _, over := range []int64{maxSpan, maxSpan - 1} {
		testGiantRamp(t, over)
	}
}

func testGiantRamp(t *testing.T, over int64) {
	const allow = int64(maxCost)
	if got := ramped(allow, 7, over-1, over); got >= allow {
		t.Errorf("a millisecond before its end: %d", got)
	}
	for _, e := range []struct{ elapsed, want int64 }{{-5, 7}, {0, 7}, {over, allow}, {over + 1, allow}} {
		if got := ramped(allow, 7, e.elapsed, over); got != e.want {
			t.Errorf("after %d: %d, want %d", e.elapsed, got, e.want)
		}
	}
	last := int64(0)
	for _, need := range []int64{7, 8, 1000, allow / 3, allow - 1, allow} {
		at := rampedAfter(allow, 7, need, over)
		if ramped(allow, 7, at, over) < need || at > 0 && ramped(allow, 7, at-1, over) >= need || at < last {
			t.Errorf("%d after %d", need, at)
		}
		last = at
	}
}

func TestHoursWaitForTheNextOpening(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := Claim{Limit: "office", Measure: Hours, Cost: 1, Open: []Interval{{t0 + 9*hour, t0 + 18*hour}, {t0 + 33*hour, t0 + 42*hour}}}
		s.want(s.look(c), Refused, t0+9*hour, "office")
		s.want(s.look(c.waiting(9*hour)), Booked, t0+9*hour, "office")
		s.want(s.at(t0+9*hour-1).look(c), Refused, t0+9*hour, "office")
		s.want(s.at(t0+9*hour).look(c), Go, t0+9*hour, "")
		s.want(s.at(t0+18*hour-1).look(c), Go, t0+18*hour-1, "")
		s.want(s.at(t0+18*hour).look(c), Refused, t0+33*hour, "office")
		s.want(s.look(c.costing(0)), Go, t0+18*hour, "")
		// Another limit's room after closing time is room on the next day.
		s.at(t0+17*hour).ask(pace("pace", 2*hour), c)
		s.want(s.look(pace("pace", 2*hour).waiting(day), c.waiting(day)), Booked, t0+33*hour, "office")
		s.want(s.at(t0+42*hour).look(c), Go, t0+42*hour, "") // nobody asked about that yet
	})
}
