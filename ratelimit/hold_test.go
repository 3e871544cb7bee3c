package ratelimit

// Holds and cool-downs.

import (
	"context"
	"errors"
	"testing"
)

func throttled(id string) Cooling {
	return Cooling{ID: id, Name: "throttled", Why: "it said 429", For: hour, Grow: 2000, Max: 7 * hour}
}

func TestACoolDownHoldsUntilItsEnd(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := lifetime("life", 9)
		h := s.cool(throttled("a"))
		if h.Until != t0+hour || h.Name != "throttled" || h.Why != "it said 429" {
			s.t.Errorf("%+v", h)
		}
		d := s.at(t0 + hour - 1).look(c)
		s.want(d, Refused, t0+hour, PausedLimit)
		if d.Why != "it said 429" || len(d.Holds) != 1 || d.Holds[0].Name != "throttled" {
			s.t.Errorf("%+v", d)
		}
		s.want(s.at(t0+hour).look(c), Go, t0+hour, "")
	})
}

func TestTheSameAnswerCoolsOnce(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		s.cool(throttled("a"))
		s.clock.add(minute)
		if h := s.cool(throttled("a")); h.Until != t0+hour {
			s.t.Errorf("again: %+v", h)
		}
		if h := s.cool(throttled("b")); h.Until != t0+minute+hour {
			s.t.Errorf("another, while it lasts: %+v", h)
		}
		if h := s.cool(throttled("a")); h.Until != t0+minute+hour {
			s.t.Errorf("the first again: %+v", h)
		}
	})
}

func TestACoolDownThatComesAgainGrows(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		end := s.cool(throttled("a")).Until
		for i, want := range []int64{2 * hour, 4 * hour, 7 * hour, 7 * hour} {
			s.clock.set(end + 7*hour) // the last moment within max
			h := s.cool(throttled(string(rune('b' + i))))
			if h.Until-s.clock.ms != want {
				s.t.Errorf("the %d. lasts %d min, want %d", i+2, (h.Until-s.clock.ms)/minute, want/minute)
			}
			end = h.Until
		}
		s.clock.set(end + 7*hour + 1)
		if h := s.cool(throttled("z")); h.Until-s.clock.ms != hour {
			s.t.Errorf("too long after: %+v", h)
		}
	})
}

func TestTheServiceMayAskForLonger(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := throttled("a")
		c.Least = 10 * hour
		if h := s.cool(c); h.Until != t0+10*hour {
			s.t.Errorf("%+v", h)
		}
		c = throttled("b")
		c.Least = minute
		s.clock.set(t0 + 9*hour)
		if h := s.cool(c); h.Until != t0+19*hour {
			s.t.Errorf("while it lasts, as long as before: %+v", h)
		}
	})
}

func TestTheLatestEndDecidesAmongHolds(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := lifetime("life", 9)
		s.cool(throttled("a"))
		s.pause("anna", &Hold{Until: t0 + minute, Why: "lunch"})
		s.want(s.look(c), Refused, t0+hour, PausedLimit)
		s.cool(Cooling{ID: "b", Name: "challenged", Why: "captcha", Resumed: true})
		d := s.look(c)
		s.want(d, Refused, 0, PausedLimit)
		if d.Why != "captcha" || len(d.Holds) != 3 {
			s.t.Errorf("%+v", d)
		}
		s.pause("anna", nil)
		s.want(s.look(c), Go, t0, "")
		// What was lifted is still the one before.
		s.clock.add(hour)
		if h := s.cool(throttled("c")); h.Until != t0+3*hour {
			s.t.Errorf("%+v", h)
		}
	})
}

func TestAHoldOnARecipientHoldsOnlyThem(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		s.cool(Cooling{ID: "a", Name: "throttled", Key: "bert", For: hour})
		to := func(who string, wait int64) Request {
			return Request{Account: "anna", Dry: true, Recipients: []string{who}, Claims: []Claim{lifetime("life", 9).waiting(wait)}}
		}
		d := s.request(to("bert", 0))
		s.want(d, Refused, t0+hour, PausedLimit)
		if d.Key != "bert" {
			s.t.Errorf("key %q", d.Key)
		}
		s.want(s.request(to("bert", hour)), Later, t0+hour, PausedLimit) // law 6
		s.want(s.request(to("carl", 0)), Go, t0, "")
		s.pause("anna", nil)
		s.want(s.request(to("bert", 0)), Go, t0, "")
	})
}

func TestAHoldOnAServiceHoldsAllItsAccounts(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		s.cool(Cooling{ID: "a", Account: "service:x", Name: "throttled", For: hour})
		on := func(service string, wait int64) Request {
			return Request{Account: "bea", Dry: true, Services: []string{service}, Claims: []Claim{lifetime("life", 9).waiting(wait)}}
		}
		s.want(s.request(on("service:x", 0)), Refused, t0+hour, PausedLimit)
		s.want(s.request(on("service:x", hour)), Booked, t0+hour, PausedLimit)
		s.want(s.request(on("service:y", 0)), Go, t0, "")
		s.pause("service:x", nil)
		s.want(s.request(on("service:x", 0)), Go, t0, "")
	})
}

func TestAHoldThatComesWhileItWaitsMovesABooking(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		p := pace("pace", minute).waiting(hour)
		book := func(id string, r Request) {
			r.ID, r.Account, r.Claims = id, "anna", []Claim{p}
			if d := s.request(r); d.Verdict != Booked {
				s.t.Fatalf("%+v", d)
			}
		}
		s.ask(p)
		book("service", Request{Services: []string{"service:x"}}) // +1m
		book("recipient", Request{Recipients: []string{"bert"}})  // +2m
		book("neither", Request{})                                // +3m
		s.cool(Cooling{ID: "a", Account: "service:x", Name: "t", For: 10 * minute})
		s.cool(Cooling{ID: "b", Key: "bert", Name: "t", For: 30 * minute})
		s.clock.set(t0 + minute)
		s.want(s.fire("service"), Booked, t0+10*minute, PausedLimit)
		s.clock.set(t0 + 2*minute)
		s.want(s.fire("recipient"), Gone, t0+2*minute, "") // nothing is booked for a recipient's sake: ask again
		s.clock.set(t0 + 10*minute)
		s.want(s.fire("service"), Go, t0+10*minute, "")
	})
}

func TestAllowancesGrowBackAfterAHold(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		s.cool(Cooling{ID: "a", Name: "restricted", For: hour, Resumed: true, Ramp: 10 * hour})
		s.clock.set(t0 + 2*hour)
		s.pause("anna", nil) // it ends now
		c := rolling("roll", 100, 1000*hour)
		s.want(s.look(c), Go, t0+2*hour, "") // at least 1
		s.want(s.look(c.costing(2)), Refused, t0+2*hour+12*minute, "roll")
		s.want(s.at(t0+2*hour+12*minute-1).look(c.costing(2)), Refused, t0+2*hour+12*minute, "roll")
		s.want(s.at(t0+2*hour+12*minute).look(c.costing(2)), Go, t0+2*hour+12*minute, "")
		s.want(s.look(c.costing(101)), Refused, 0, "roll")
		s.want(s.look(rolling("none", 0, hour)), Refused, 0, "none")
		s.want(s.look(lifetime("life", 5).costing(5)), Go, t0+2*hour+12*minute, "")
		if u := s.at(t0 + 7*hour).look(c).Uses[0]; u.Allow != 50 {
			s.t.Errorf("half-way: %+v", u)
		}
		s.want(s.at(t0+12*hour).look(c.costing(100)), Go, t0+12*hour, "")
	})
}

func TestACoolingThatSaysNothingIsRefused(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		for _, c := range []Cooling{{}, {Account: "a", For: -1}, {Account: "a", Grow: maxGrow + 1}} {
			if _, err := s.Cool(context.Background(), c); !errors.Is(err, ErrInvalid) {
				s.t.Errorf("%+v: %v", c, err)
			}
		}
		s.want(s.look(lifetime("life", 1)), Go, t0, "")
	})
}
