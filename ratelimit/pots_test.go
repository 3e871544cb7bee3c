package ratelimit

import "testing"

func TestWhatEndsFirstPaysFirst(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		never := Pot{Label: "never", Units: 5}
		soon := Pot{Label: "soon", Units: 2, End: t0 + hour}
		late := Pot{Label: "late", Units: 3, End: t0 + 2*day}
		with := Pot{Label: "with", Units: 1, End: t0 + day} // ends with the window: after it
		c := s.daily("inc", 4).paying(never, late, soon, with)
		_, id := s.ask(c.costing(9)) // soon 2, window 4, with 1, late 2
		s.wantUsed(c, 9)
		if u := s.look(c.costing(0)).Uses[0]; u.Allow != 15 {
			s.t.Errorf("allows %d, want 15", u.Allow)
		}
		s.want(s.look(c.costing(6)), Go, t0, "")
		s.want(s.look(c.costing(7)), Refused, t0+day, "inc")
		// Tomorrow: late has 1 left, never 5, and the window is new.
		s.clock.set(t0 + day)
		tomorrow := s.daily("inc", 4).paying(never, late, soon, with)
		s.want(s.look(tomorrow.costing(10)), Go, t0+day, "")
		if d := s.look(tomorrow.costing(11)); d.Verdict != Refused || !d.Never() || d.Fits != 10 {
			s.t.Errorf("eleven: %+v", d)
		}
		s.cancel(id) // late's 2 come back, what has ended does not
		s.want(s.look(tomorrow.costing(12)), Go, t0+day, "")
		if d := s.look(tomorrow.costing(13)); !d.Never() {
			s.t.Errorf("thirteen: %+v", d)
		}
	})
}

func TestAWindowPaysBeforeThePotThatEndsWithIt(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := s.daily("inc", 1).paying(Pot{Label: "with", Units: 1, End: t0 + day})
		s.ask(c)
		c.Allow = 0 // the window has paid: the pot is whole
		s.want(s.look(c), Go, t0, "")
		s.want(s.look(c.costing(2)), Refused, 0, "inc")
	})
}

func TestARollingOrLifetimeCountPaysBeforeAnyPot(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		pot := Pot{Label: "p", Units: 2, End: t0 + minute}
		for _, c := range []Claim{rolling("roll", 2, hour).paying(pot), lifetime("life", 2).paying(pot)} {
			s.ask(c.costing(2))
			s.want(s.look(c.costing(2)), Go, t0, "")
			_, id := s.ask(c.costing(2))
			d, _ := s.ask(c)
			if d.Verdict != Refused {
				s.t.Errorf("%s: %+v", c.Limit, d)
			}
			s.cancel(id)
			s.want(s.look(c.costing(2)), Go, t0, "")
			if d := s.look(c.costing(3)); d.Verdict != Refused {
				s.t.Errorf("%s: %+v", c.Limit, d)
			}
		}
	})
}

func TestAPotIsThereFromItsStartToItsEnd(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := credits("inmail", Pot{Label: "a", Units: 1, Start: t0 + hour, End: t0 + 2*hour}, Pot{Label: "b", Units: 1, Start: t0 + 3*hour})
		s.want(s.look(c), Refused, t0+hour, "inmail")
		s.want(s.look(c.waiting(hour)), Booked, t0+hour, "inmail")
		s.want(s.at(t0+hour-1).look(c), Refused, t0+hour, "inmail")
		s.want(s.at(t0+hour).look(c), Go, t0+hour, "")
		s.want(s.at(t0+2*hour-1).look(c), Go, t0+2*hour-1, "")
		s.want(s.at(t0+2*hour).look(c), Refused, t0+3*hour, "inmail")
		s.want(s.at(t0+3*hour).look(c), Go, t0+3*hour, "")
		s.ask(c)
		if d := s.look(c); !d.Never() || d.Fits != 0 {
			s.t.Errorf("nothing is left: %+v", d)
		}
	})
}

// A new account has the pot of the present window; none from before, and none
// that was there before it was known.
func TestCreditsDoNotAccrueBeforeTheFirst(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		month := func(n int64, label string) Pot {
			return Pot{Label: label, Units: 10, Start: t0 + n*day, End: t0 + n*day + 90*day, Accrued: true}
		}
		c := credits("inmail", month(-2, "m-2"), month(-1, "m-1"), month(0, "m0"), month(1, "m1"))
		s.want(s.look(c.costing(10)), Go, t0, "")
		// Tomorrow it would have begun tomorrow, with m1 alone.
		s.want(s.look(c.costing(11).waiting(2*day)), Refused, 0, "inmail")
		s.ask(c.costing(4))
		s.clock.set(t0 + day)
		s.want(s.look(c.costing(16)), Go, t0+day, "") // 6 carried over, 10 new
		s.want(s.look(c.costing(17)), Refused, 0, "inmail")
		s.clock.set(t0 + 90*day)
		s.want(s.look(c.costing(10)), Go, t0+90*day, "")
		s.want(s.look(c.costing(11)), Refused, 0, "inmail")
	})
}

func TestANewPlanChangesWhatAPotHoldsAndNotWhatWasUsed(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		s.ask(credits("inmail", Pot{Label: "m", Units: 20}).costing(12))
		s.want(s.look(credits("inmail", Pot{Label: "m", Units: 15}).costing(3)), Go, t0, "")
		s.want(s.look(credits("inmail", Pot{Label: "m", Units: 15}).costing(4)), Refused, 0, "inmail")
		s.want(s.look(credits("inmail", Pot{Label: "m", Units: 10})), Refused, 0, "inmail")
	})
}

func TestAGiftIsGivenOnce(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := s.daily("day", 1)
		s.ask(c)
		for range 2 {
			s.give(Gift{ID: "g1", Limit: "day", Units: 2, End: t0 + hour})
		}
		s.want(s.look(c.costing(2)), Go, t0, "")
		s.want(s.look(c.costing(3)), Refused, 0, "day") // tomorrow it allows 1, and the gift has ended
		_, id := s.ask(c)
		s.ask(c)
		s.want(s.look(c), Refused, t0+day, "day")
		s.cancel(id)
		s.cancel(id)
		s.want(s.look(c), Go, t0, "")
		s.want(s.look(c.costing(2)), Refused, 0, "day")
		s.want(s.at(t0+hour).look(c), Refused, t0+day, "day")
		s.want(s.look(s.daily("other", 1).costing(2)), Refused, 0, "other")
	})
}

func TestCreditsWarnOncePerPot(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := credits("inmail", Pot{Label: "a", Units: 4, Start: t0 - day, End: t0 + day}, Pot{Label: "b", Units: 4, Start: t0 + day, End: t0 + 2*day}).warning(2)
		var warned []bool
		for range 3 {
			d, _ := s.ask(c)
			warned = append(warned, d.Uses[0].Warn)
		}
		s.clock.set(t0 + day + 1)
		for range 3 {
			d, _ := s.ask(c)
			warned = append(warned, d.Uses[0].Warn)
		}
		if want := [6]bool{false, true, false, false, true, false}; [6]bool(warned) != want {
			s.t.Errorf("warned %v, want %v", warned, want)
		}
	})
}

func TestAShadowWithoutCreditsCountsWhatItLacked(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := credits("inmail", Pot{Label: "a", Units: 1}).shadow()
		s.ask(c)
		d, _ := s.ask(c)
		s.want(d, Go, t0, "")
		if !d.Uses[0].Short {
			s.t.Errorf("it was short: %+v", d.Uses[0])
		}
		s.want(s.look(credits("inmail", Pot{Label: "a", Units: 2})), Go, t0, "")
	})
}
