package ratelimit

// The laws of waiting, booking, firing and leaving, on every store.

import (
	"fmt"
	"testing"
)

func TestARequestTakesFromAllOrFromNone(t *testing.T) {
	eachStore(t, func(s *testStore) {
		s.ask(s.daily("day", 10), lifetime("life", 1))
		d, _ := s.ask(s.daily("day", 10), lifetime("life", 1))
		s.want(d, Refused, 0, "life")
		if !d.Never() || d.Fits != 0 {
			t := d
			s.t.Errorf("spent lifetime: %+v", t)
		}
		if u := s.look(s.daily("day", 10)).Uses[0]; u.Used != 1 {
			s.t.Errorf("the refused request took from day: %+v", u)
		}
	})
}

func TestWhatCanNeverFitIsNever(t *testing.T) {
	eachStore(t, func(s *testStore) {
		for _, c := range []struct {
			claim Claim
			fits  int64
		}{
			{s.daily("a", 5).costing(6), 5},
			{rolling("b", 5, hour).costing(6), 5},
			{lifetime("c", 5).costing(6), 5},
			{s.daily("d", 0), 0},
			{rolling("e", 0, hour), 0},
			{lifetime("f", 0), 0},
		} {
			d, _ := s.ask(c.claim.waiting(100 * day))
			s.want(d, Refused, 0, c.claim.Limit)
			if d.Fits != c.fits || !d.Never() {
				s.t.Errorf("%s: fits %d, want %d", c.claim.Limit, d.Fits, c.fits)
			}
		}
		s.ask(lifetime("c", 5).costing(3))
		if d := s.look(lifetime("c", 5).costing(3)); d.Fits != 2 || !d.Never() {
			s.t.Errorf("after 3 of 5: %+v", d)
		}
	})
}

func TestACostOfZeroReads(t *testing.T) {
	eachStore(t, func(s *testStore) {
		d, _ := s.ask(s.daily("day", 0).costing(0), pace("pace", minute).costing(0))
		s.want(d, Go, t0, "")
		s.pause("anna", &Hold{Why: "looked at"})
		d, _ = s.ask(s.daily("day", 0).costing(0))
		s.want(d, Refused, 0, PausedLimit)
		if d.Why != "looked at" {
			s.t.Errorf("why: %q", d.Why)
		}
	})
}

func TestClaimsOfABatchAreSummedAndSettledByItem(t *testing.T) {
	eachStore(t, func(s *testStore) {
		batch := func(n int) (cs []Claim) {
			for i := range n {
				cs = append(cs, s.daily("day", 5).ofItem(i), lifetime("to", 1).by(fmt.Sprint("r", i)).ofItem(i))
			}
			return cs
		}
		d, id := s.ask(batch(4)...)
		s.want(d, Go, t0, "")
		if len(d.Uses) != 5 || d.Uses[0].Used != 4 {
			s.t.Errorf("uses: %+v", d.Uses)
		}
		s.cancelItems(id) // none is not all
		s.cancelItems(id, 7)
		if u := s.look(s.daily("day", 5)).Uses; u[0].Used != 4 {
			s.t.Errorf("after giving none back: %+v", u)
		}
		s.cancelItems(id, 1, 2)
		s.cancelItems(id, 1, 2)
		if u := s.look(s.daily("day", 5), lifetime("to", 1).by("r1"), lifetime("to", 1).by("r3")).Uses; u[0].Used != 2 || u[1].Used != 0 || u[2].Used != 1 {
			s.t.Errorf("after giving two back: %+v", u)
		}
		d, _ = s.ask(batch(40)...)
		if !d.Never() || d.Fits != 5 {
			s.t.Errorf("a batch of 40: %+v", d)
		}
		s.cancel(id)
		if u := s.look(s.daily("day", 5)).Uses; u[0].Used != 0 {
			s.t.Errorf("after giving all back: %+v", u)
		}
	})
}

func TestAPaceBooksSlotsInTheOrderOfArrival(t *testing.T) {
	eachStore(t, func(s *testStore) {
		p := pace("pace", minute).waiting(3 * minute)
		d, _ := s.ask(p)
		s.want(d, Go, t0, "")
		d, second := s.ask(p)
		s.want(d, Booked, t0+minute, "pace")
		d, third := s.ask(p)
		s.want(d, Booked, t0+2*minute, "pace")
		d, _ = s.ask(p)
		s.want(d, Booked, t0+3*minute, "pace")
		d, _ = s.ask(p)
		s.want(d, Refused, t0+4*minute, "pace")

		s.want(s.fire(second), Booked, t0+minute, "pace")
		s.clock.add(minute)
		s.want(s.fire(second), Go, t0+minute, "")
		s.want(s.fire(second), Go, t0+minute, "")
		s.want(s.fire(third), Booked, t0+2*minute, "pace")
		d, _ = s.ask(p)
		s.want(d, Booked, t0+4*minute, "pace")
	})
}

func TestTheLastPlacesInTheQueueAreReusedAtOnce(t *testing.T) {
	orders := [][]int{{2, 3, 4}, {4, 3, 2}, {3, 2, 4}, {3, 4, 2}}
	for _, order := range orders {
		eachStore(t, func(s *testStore) {
			p := pace("pace", minute).waiting(hour)
			ids := make([]string, 5)
			for i := range ids {
				_, ids[i] = s.ask(p)
			}
			for _, i := range order {
				s.cancel(ids[i])
			}
			d, _ := s.ask(p)
			s.want(d, Booked, t0+2*minute, "pace")
			s.cancel(ids[1]) // a hole in the middle stays
			d, _ = s.ask(p)
			s.want(d, Booked, t0+3*minute, "pace")
		})
	}
}

func TestABatchTakesAsManySpacings(t *testing.T) {
	eachStore(t, func(s *testStore) {
		p := pace("pace", minute).waiting(hour)
		s.ask(p.ofItem(0), p.ofItem(1), p.ofItem(2))
		d, _ := s.ask(p)
		s.want(d, Booked, t0+3*minute, "pace")
	})
}

func TestJitterOnlyAddsAndIsTheSameForAll(t *testing.T) {
	eachStore(t, func(s *testStore) {
		p := pace("pace", minute).jittered(10 * second).waiting(day)
		last, varied := int64(0), map[int64]bool{}
		for i := range 50 {
			want := s.look(p).At
			d, _ := s.ask(p)
			if d.At != want {
				s.t.Fatalf("another id was told %d, got %d", want, d.At)
			}
			if gap := d.At - last; i > 0 && (gap < minute || gap > minute+10*second) {
				s.t.Fatalf("gap of %d", gap)
			}
			varied[d.At-last] = true
			last = d.At
		}
		if len(varied) < 20 {
			s.t.Errorf("only %d different gaps", len(varied))
		}
	})
}

func TestARecipientThatBindsIsNotBooked(t *testing.T) {
	eachStore(t, func(s *testStore) {
		claims := []Claim{pace("pace", second).waiting(minute), rolling("pair", 1, 10*second).by("bert").waiting(minute)}
		s.ask(claims...)
		d, id := s.ask(claims...)
		s.want(d, Later, t0+10*second, "pair")
		if d.Key != "bert" {
			s.t.Errorf("key: %q", d.Key)
		}
		s.want(s.fire(id), Gone, t0, "")
		// Nothing was charged: the next to another recipient is not behind it.
		d, _ = s.ask(claims[0], rolling("pair", 1, 10*second).by("carl"))
		s.want(d, Booked, t0+second, "pace")
	})
}

func TestEveryLimitHasItsOwnWait(t *testing.T) {
	eachStore(t, func(s *testStore) {
		s.ask(pace("slow", 20*second), rolling("quick", 1, 3*second))
		d := s.look(pace("slow", 20*second).waiting(20*second), rolling("quick", 1, 3*second).waiting(4*second))
		s.want(d, Booked, t0+20*second, "slow")
		d = s.look(pace("slow", 20*second).waiting(20*second), rolling("quick", 1, 3*second).waiting(2*second))
		s.want(d, Refused, t0+20*second, "quick")
		d = s.look(pace("slow", 20*second).waiting(19*second), rolling("quick", 1, 3*second).waiting(2*second))
		s.want(d, Refused, t0+20*second, "slow")
		d = s.look(pace("slow", 20*second).waiting(20*second), rolling("quick", 1, 3*second).waiting(3*second))
		s.want(d, Booked, t0+20*second, "slow")

		s.clock.add(5 * second)
		r := Request{Account: "anna", Dry: true, Arrived: t0, Claims: []Claim{pace("slow", 20*second).waiting(19 * second)}}
		s.want(s.request(r), Refused, t0+20*second, "slow")
		r.Arrived = 0
		s.want(s.request(r), Booked, t0+20*second, "slow")
	})
}

func TestTheEarliestTimeIsRightAcrossSeveralWindows(t *testing.T) {
	eachStore(t, func(s *testStore) {
		s.clock.set(t0 + day - 10*second)
		s.ask(s.daily("day", 1), rolling("roll", 1, 30*second))
		// The day's room comes first, the rolling one's after it.
		d := s.look(s.daily("day", 1).waiting(minute), rolling("roll", 1, 30*second).waiting(minute))
		s.want(d, Booked, t0+day+20*second, "roll")
		d, _ = s.ask(s.daily("day", 1).waiting(minute), rolling("roll", 1, 30*second).waiting(minute))
		s.want(d, Booked, t0+day+20*second, "roll")
		if u := d.Uses[0]; u.Used != 1 || u.Resets != t0+2*day {
			s.t.Errorf("it is charged to the window of its slot: %+v", u)
		}
		// The slot's day is now full too.
		d = s.look(s.daily("day", 1).waiting(minute))
		s.want(d, Refused, t0+2*day, "day")
		s.clock.set(t0 + day)
		if u := s.look(s.daily("day", 1)).Uses[0]; u.Used != 1 {
			s.t.Errorf("the booking counts in its window: %+v", u)
		}
	})
}

func TestALaterArrivalDoesNotOvertake(t *testing.T) {
	eachStore(t, func(s *testStore) {
		s.clock.set(t0 + day - 2*second)
		s.ask(s.daily("day", 5).costing(3))
		d, big := s.ask(s.daily("day", 5).costing(4).waiting(4 * second))
		s.want(d, Booked, t0+day, "day")
		// There is room for one now, but the big one was first.
		d = s.look(s.daily("day", 5).waiting(4 * second))
		s.want(d, Booked, t0+day, "day")
		s.want(s.look(s.daily("day", 5)), Refused, t0+day, "day")
		s.want(s.look(lifetime("other", 5)), Go, t0+day-2*second, "")
		s.cancel(big)
		s.want(s.look(s.daily("day", 5)), Go, t0+day-2*second, "")
	})
}

// A counter remembers the window in hand and the next. A slot beyond them is
// not booked: it would push the next one out, whose bookings would be forgotten.
func TestNothingIsBookedTwoWindowsAhead(t *testing.T) {
	eachStore(t, func(s *testStore) {
		ahead := s.daily("day", 1).waiting(3 * day)
		ahead.Windows = days(t0 + day) // its caller's clock is a day ahead
		s.ask(ahead)
		d, second := s.ask(ahead)
		s.want(d, Booked, t0+day, "day")
		d, third := s.ask(ahead)
		s.want(d, Later, t0+2*day, "day")
		s.clock.set(t0 + day)
		s.want(s.fire(second), Go, t0+day, "")
		s.want(s.fire(third), Gone, t0+day, "")
		s.want(s.look(s.daily("day", 1)), Refused, t0+2*day, "day")
	})
}

// What is kept, cancelled or given back is forgotten: memory holds only what is
// still open.
func TestWhatIsClosedIsNotRemembered(t *testing.T) {
	eachEngine(t, func(s *testStore) {
		engine := func() *engine {
			if m, ok := s.Store.(*Memory); ok {
				return m.engine
			}
			return s.Store.(*Embedded).engine
		}()
		open := func(want int) {
			s.t.Helper()
			s.look() // a Keep is carried out before any later call
			if n := len(engine.live); n != want {
				s.t.Errorf("%d reservations are open, want %d", n, want)
			}
		}
		p := pace("pace", second).waiting(hour)
		for range 100 {
			d, id := s.ask(p)
			if s.clock.set(d.At); d.Verdict == Booked {
				s.fire(id)
			}
			s.keep(id)
		}
		open(0)
		_, kept := s.ask(p)
		_, cancelled := s.ask(p)
		_, items := s.ask(p)
		_, left := s.ask(p)
		open(4)
		s.keep(kept)
		s.cancel(cancelled)
		s.cancelItems(items, 0)
		open(1)
		s.clock.add(minute)
		s.want(s.fire(left), Go, s.clock.ms-minute+4*second, "")
		s.keep(left)
		_, late := s.ask(p)
		_, moved := s.ask(p.waiting(2 * second))
		s.clock.add(minute + 2*second)
		s.keep(late)
		s.ask(p.costing(0)) // the one that nobody fired is given back
		s.want(s.fire(moved), Gone, s.clock.ms, "")
		if len(engine.queues) != 0 {
			s.t.Errorf("%d queues", len(engine.queues))
		}
		open(1) // the one that asked for nothing
	})
}

func TestABookingForOneLimitDoesNotHoldUpAnother(t *testing.T) {
	eachStore(t, func(s *testStore) {
		both := []Claim{pace("pace", minute).waiting(hour), lifetime("life", 10)}
		s.ask(both...)
		d, _ := s.ask(both...)
		s.want(d, Booked, t0+minute, "pace")
		d, _ = s.ask(lifetime("life", 10))
		s.want(d, Go, t0, "")
	})
}

func TestAPauseHoldsRefusesAndMoves(t *testing.T) {
	eachStore(t, func(s *testStore) {
		p := pace("pace", 10*second).waiting(minute)
		s.ask(p)
		_, b := s.ask(p) // +10s
		_, c := s.ask(p) // +20s
		s.pause("anna", &Hold{Until: t0 + 45*second, Why: "throttled"})
		// A newcomer during the pause goes behind those who waited before.
		d, e := s.ask(p)
		s.want(d, Refused, t0+65*second, "pace")
		s.keep(e)
		s.clock.add(10 * second)
		s.want(s.fire(b), Booked, t0+45*second, PausedLimit)
		s.clock.add(10 * second)
		s.want(s.fire(c), Booked, t0+55*second, "pace")
		s.clock.set(t0 + 45*second)
		s.want(s.fire(b), Go, t0+45*second, "")
		s.clock.set(t0 + 55*second)
		s.want(s.fire(c), Go, t0+55*second, "")

		d, f := s.ask(p)
		s.want(d, Booked, t0+65*second, "pace")
		s.pause("anna", &Hold{Until: t0 + 10*minute, Why: "throttled again"})
		s.clock.set(t0 + 65*second)
		s.want(s.fire(f), Refused, t0+10*minute, PausedLimit)
		s.want(s.fire(f), Gone, t0+65*second, "") // closed
		s.pause("anna", nil)
		d, g := s.ask(p) // f's place was given back
		s.want(d, Go, t0+65*second, "")
		s.keep(g)
		s.pause("anna", &Hold{})
		d, _ = s.ask(p)
		s.want(d, Refused, 0, PausedLimit)
	})
}

func TestAPauseAloneHoldsForTheLongestWait(t *testing.T) {
	eachStore(t, func(s *testStore) {
		s.pause("anna", &Hold{Until: t0 + 10*second})
		d, id := s.ask(s.daily("day", 5).waiting(second), lifetime("life", 5).waiting(10*second))
		s.want(d, Booked, t0+10*second, PausedLimit)
		s.want(s.look(lifetime("life", 5).waiting(9*second)), Refused, t0+10*second, PausedLimit)
		s.clock.add(10 * second)
		s.want(s.fire(id), Go, t0+10*second, "")
	})
}

func TestABookingThatNobodyFiresComesBack(t *testing.T) {
	eachStore(t, func(s *testStore) {
		both := []Claim{pace("pace", second).waiting(minute), lifetime("life", 2)}
		s.ask(both...)
		_, id := s.ask(both...)
		s.clock.add(second + abandoned + 1)
		s.want(s.look(both...), Refused, 0, "life")
		d, _ := s.ask(both...)
		s.want(d, Go, s.clock.ms, "")
		s.want(s.fire(id), Gone, s.clock.ms, "")
	})
}

// Past a minute nobody comes any more; until then a late client still may.
func TestABookingIsKeptForAMinuteAfterItsSlot(t *testing.T) {
	for _, c := range []struct {
		late int64
		want Verdict
	}{{minute, Go}, {minute + 1, Gone}} {
		eachStore(t, func(s *testStore) {
			p := pace("pace", second).waiting(minute)
			s.ask(p)
			_, id := s.ask(p)
			s.clock.add(second + c.late)
			s.ask(lifetime("life", 9))
			s.want(s.fire(id), c.want, map[Verdict]int64{Go: t0 + second, Gone: s.clock.ms}[c.want], "")
		})
	}
}

func TestReplaceGivesBackFirst(t *testing.T) {
	eachStore(t, func(s *testStore) {
		p := pace("pace", minute).waiting(hour)
		s.ask(p)
		_, id := s.ask(p)
		r := Request{ID: id, Account: "anna", Claims: []Claim{p}}
		if d := s.request(r); !d.Repeated || d.At != t0+minute {
			s.t.Errorf("the same id again: %+v", d)
		}
		r.Replace = true
		r.Claims = []Claim{pace("pace", 30*second).waiting(hour)}
		d := s.request(r)
		s.want(d, Booked, t0+30*second, "pace")
		r.Claims = []Claim{pace("pace", minute)}
		s.want(s.request(r), Refused, t0+minute, "pace")
		d, _ = s.ask(p)
		s.want(d, Booked, t0+minute, "pace")
	})
}

func TestRepeatingChangesNothing(t *testing.T) {
	eachStore(t, func(s *testStore) {
		day := s.daily("day", 5)
		d, id := s.ask(day)
		for range 3 {
			again := s.request(Request{ID: id, Account: "anna", Claims: []Claim{day}})
			if !again.Repeated || again.Verdict != d.Verdict || again.At != d.At {
				s.t.Errorf("again: %+v", again)
			}
		}
		s.cancel(id)
		s.cancel(id)
		s.keep(id)
		if u := s.look(day).Uses[0]; u.Used != 0 {
			s.t.Errorf("cancelled twice: %+v", u)
		}
		_, id = s.ask(day)
		s.keep(id)
		s.keep(id)
		s.cancel(id)
		if u := s.look(day).Uses[0]; u.Used != 1 {
			s.t.Errorf("kept, then cancelled: %+v", u)
		}
	})
}
