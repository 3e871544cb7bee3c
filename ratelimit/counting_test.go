package ratelimit

// What each measure counts, at its edges, on every store.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

func TestARollingWindowIsExactAtItsEdges(t *testing.T) {
	eachStore(t, func(s *testStore) {
		r := rolling("roll", 3, hour)
		for range 3 {
			s.ask(r)
			s.clock.add(10 * minute)
		}
		d, _ := s.ask(r)
		s.want(d, Refused, t0+hour, "roll")
		if u := d.Uses[0]; u.Used != 3 || u.Resets != t0+hour {
			s.t.Errorf("use: %+v", u)
		}
		s.want(s.look(r.costing(3)), Refused, t0+20*minute+hour, "roll")
		s.clock.set(t0 + hour - 1)
		s.want(s.look(r), Refused, t0+hour, "roll")
		s.clock.set(t0 + hour)
		d, _ = s.ask(r)
		s.want(d, Go, t0+hour, "")
	})
}

func TestARollingWindowCountsWhatIsBookedAfterIt(t *testing.T) {
	eachStore(t, func(s *testStore) {
		r := rolling("roll", 2, hour)
		p := pace("pace", minute).waiting(minute)
		s.ask(r, p)
		d, _ := s.ask(r, p)
		s.want(d, Booked, t0+minute, "pace")
		s.want(s.look(r), Refused, t0+hour, "roll")
	})
}

func TestALargeRollingWindowIsNeverOverAndLittleLate(t *testing.T) {
	eachStore(t, func(s *testStore) {
		const span = 96 * minute
		r := rolling("roll", 5000, span)
		s.clock.add(17 * second)
		s.ask(r.costing(2500))
		s.clock.add(40 * minute)
		s.ask(r.costing(2500))
		d := s.look(r)
		if late := d.At - (t0 + 17*second + span); late < 0 || late > span/96 {
			s.t.Errorf("room comes %d ms after the exact time", late)
		}
	})
}

func TestALogDoesNotGrowWithoutBound(t *testing.T) {
	c := &fakeClock{ms: t0}
	m := NewMemory(Options{Now: c.now})
	s := &testStore{Store: m, t: t, clock: c}
	for range 3 * exactEntries {
		_, id := s.ask(rolling("roll", 10, day).shadow(), pace("pace", day).shadow())
		s.keep(id)
		c.add(10)
	}
	rec, _ := m.engine.shelf.load("anna", "")
	if n := len(rec.counters[0].log); n > exactEntries+coarseBuckets+1 {
		t.Errorf("%d entries", n)
	}
	if n := len(rec.counters[1].slots); n > keptSlots+1 {
		t.Errorf("%d slots", n)
	}
	if u := s.look(rolling("roll", 10, day)).Uses[0]; u.Used != 3*exactEntries {
		t.Errorf("used %d", u.Used)
	}
}

func TestAShadowCountsAndNeverDecides(t *testing.T) {
	eachStore(t, func(s *testStore) {
		for i := range 4 {
			d, _ := s.ask(s.daily("shadow", 2).shadow(), lifetime("gone", 0).shadow(), s.daily("day", 10))
			s.want(d, Go, t0, "")
			u := d.Uses[0]
			if u.Used != int64(i+1) || u.Short != (i >= 2) || !u.Shadow || !d.Uses[1].Short {
				s.t.Errorf("%d: %+v", i, d.Uses)
			}
		}
		s.ask(s.daily("shadow", 2).shadow(), s.daily("none", 0))
		d := s.look(s.daily("shadow", 2)) // now enforced, on the same counter
		s.want(d, Refused, t0+day, "shadow")
		if d.Uses[0].Used != 4 {
			s.t.Errorf("a refused request was counted: %+v", d.Uses)
		}
	})
}

func TestAWarningComesOnceAWindow(t *testing.T) {
	eachStore(t, func(s *testStore) {
		warned := func(c Claim) bool {
			d, _ := s.ask(c)
			return d.Uses[0].Warn
		}
		for _, kind := range []func() Claim{
			func() Claim { return s.daily("day", 10).warning(3) },
			func() Claim { return rolling("roll", 10, day).warning(3) },
			func() Claim { return lifetime("life", 10).warning(3) },
		} {
			var got []bool
			for range 5 {
				got = append(got, warned(kind()))
			}
			if !slices.Equal(got, []bool{false, false, true, false, false}) {
				s.t.Errorf("%s: %v", kind().Limit, got)
			}
		}
		s.clock.add(day)
		if !warned(s.daily("again", 10).costing(5).warning(3)) || !warned(rolling("roll", 10, day).costing(3).warning(3)) {
			s.t.Error("not warned in the next window")
		}
	})
}

// Nobody was warned of use that was given back: the next to cross the mark is.
func TestACancelledCrossingWarnsAgain(t *testing.T) {
	eachStore(t, func(s *testStore) {
		for _, c := range []Claim{
			s.daily("day", 10).warning(3), lifetime("life", 10).warning(3),
			rolling("roll", 10, day).warning(3), rolling("coarse", 3000, day).warning(3),
		} {
			crossing := func(cost int64, want bool) (id string) {
				s.t.Helper()
				d, id := s.ask(c.costing(cost))
				if d.Uses[0].Warn != want {
					s.t.Errorf("%s: warned %v, want %v", c.Limit, !want, want)
				}
				return id
			}
			below := crossing(2, false)
			over := crossing(1, true)
			s.cancel(below) // it did not warn: that was done, once a window
			s.keep(crossing(2, false))
			s.cancel(over)
			s.keep(crossing(1, true))
			crossing(1, false)
		}
	})
}

// Of one account with ten messages a minute apart and another with one, which
// came later, the next after both were merged waits for the ten.
func TestAPaceWaitsForTheSlotThatEndsLast(t *testing.T) {
	eachStore(t, func(s *testStore) {
		p := pace("pace", minute)
		s.request(Request{ID: "batch", Account: "anna", Claims: []Claim{p.costing(10)}})
		s.clock.add(second)
		s.request(Request{ID: "one", Account: "cookie", Claims: []Claim{p}})
		s.request(Request{ID: "merge", Account: "anna", Aliases: []string{"cookie"}})
		s.want(s.look(p), Refused, t0+10*minute, "pace")
		// Nor is the batch forgotten among many that a shadow lets go.
		for range 2 * keptSlots {
			s.clock.add(second)
			s.ask(p.shadow())
		}
		s.want(s.look(p), Refused, t0+10*minute, "pace")
	})
}

func TestANewAllowanceKeepsWhatWasUsed(t *testing.T) {
	eachStore(t, func(s *testStore) {
		for range 5 {
			s.ask(s.daily("day", 5), rolling("roll", 5, hour), lifetime("life", 5))
		}
		for _, c := range []Claim{s.daily("day", 3), rolling("roll", 3, hour), lifetime("life", 3)} {
			if d := s.look(c); d.Verdict != Refused || d.Uses[0].Used != 5 {
				s.t.Errorf("%s lowered: %+v", c.Limit, d)
			}
		}
		d, _ := s.ask(s.daily("day", 6), rolling("roll", 6, hour), lifetime("life", 6))
		s.want(d, Go, t0, "")
		s.ask(pace("pace", hour))
		s.want(s.look(pace("pace", minute)), Refused, t0+minute, "pace")
	})
}

// zoneDays are the days of a zone whose days begin shift after UTC's.
func zoneDays(ms, shift int64) *[3]Window {
	w := days(ms - shift)
	for i := range w {
		w[i].Start += shift
		w[i].End += shift
	}
	return w
}

func TestAnotherTimeZoneBeginsAtTheNextBoundary(t *testing.T) {
	in := func(s *testStore, shift int64) Claim {
		c := s.daily("day", 5)
		c.Windows = zoneDays(s.clock.ms, shift)
		return c
	}
	eachStore(t, func(s *testStore) {
		s.clock.add(12 * hour)
		s.ask(in(s, 0).costing(5))
		// To the west: the day is prolonged, not begun again.
		d := s.look(in(s, 8*hour))
		s.want(d, Refused, t0+day+8*hour, "day")
		if d.Uses[0].Resets != t0+day {
			s.t.Errorf("the window in hand ends where it ended: %+v", d.Uses[0])
		}
		s.clock.set(t0 + day + hour)
		d = s.look(in(s, 8*hour))
		s.want(d, Refused, t0+day+8*hour, "day")
		s.clock.set(t0 + day + 8*hour)
		d, _ = s.ask(in(s, 8*hour).costing(5))
		s.want(d, Go, s.clock.ms, "")
		// Back to the east: the window in hand is authoritative until it ends.
		s.clock.set(t0 + 2*day + hour)
		d = s.look(in(s, 0))
		s.want(d, Refused, t0+2*day+8*hour, "day")
		s.clock.set(t0 + 2*day + 8*hour)
		d, _ = s.ask(in(s, 0))
		s.want(d, Go, s.clock.ms, "")
		if d.Uses[0].Used != 1 || d.Uses[0].Resets != t0+3*day {
			s.t.Errorf("use: %+v", d.Uses[0])
		}
	})
}

func TestAWindowIsNeverOpenedTwice(t *testing.T) {
	eachStore(t, func(s *testStore) {
		c := s.daily("day", 1)
		c.Windows = zoneDays(t0, -14*hour) // Kiritimati: it is the 24th from 10:00
		s.clock.set(t0 + 12*hour)
		c.Windows = zoneDays(s.clock.ms, -14*hour)
		s.ask(c)
		s.clock.set(t0 + day + 10*hour)
		c.Windows = zoneDays(s.clock.ms, 11*hour) // Pago Pago: it is still the 23rd
		if c.Windows[1].Label != "2026-11-23" {
			s.t.Fatalf("the example is wrong: %v", *c.Windows)
		}
		// Neither the 23rd again, nor the 24th, which was spent in Kiritimati.
		s.want(s.look(c), Refused, t0+2*day+11*hour, "day")
	})
}

// The clocks of Berlin change on 2026-03-29: that day has 23 hours.
func TestADayOf23Hours(t *testing.T) {
	eachStore(t, func(s *testStore) {
		const sunday = 1_774_738_800_000 // 2026-03-29T00:00:00+01:00
		c := s.daily("day", 1).waiting(2 * second)
		c.Windows = &[3]Window{
			{"2026-03-28", sunday - day, sunday},
			{"2026-03-29", sunday, sunday + 23*hour},
			{"2026-03-30", sunday + 23*hour, sunday + 47*hour},
		}
		s.clock.set(sunday)
		d, _ := s.ask(c)
		s.want(d, Go, sunday, "")
		s.want(s.look(c), Refused, sunday+23*hour, "day")
		s.clock.set(sunday + 23*hour - 1)
		d, id := s.ask(c)
		s.want(d, Booked, sunday+23*hour, "day")
		s.clock.add(1)
		s.want(s.fire(id), Go, sunday+23*hour, "")
		s.want(s.look(c), Refused, sunday+47*hour, "day")
	})
}

// A cancellation after midnight must not give the new day anything back.
func TestAPastWindowTakesNothingBack(t *testing.T) {
	eachStore(t, func(s *testStore) {
		_, old := s.ask(s.daily("day", 2).costing(2))
		s.clock.add(day)
		s.ask(s.daily("day", 2).costing(2))
		s.cancel(old)
		s.want(s.look(s.daily("day", 2)), Refused, t0+2*day, "day")
	})
}

func TestTwoHundredCallersGetExactlyFifty(t *testing.T) {
	eachStore(t, func(s *testStore) {
		var went atomic.Int64
		var wg sync.WaitGroup
		day := s.daily("day", 50)
		for i := range 200 {
			wg.Go(func() {
				d, err := s.Reserve(context.Background(), Request{ID: fmt.Sprint("c", i), Account: "anna", Claims: []Claim{day, lifetime("life", 1000)}})
				if err != nil {
					s.t.Error(err)
				}
				if d.Verdict == Go {
					went.Add(1)
				}
			})
		}
		wg.Wait()
		if went.Load() != 50 {
			s.t.Errorf("%d went", went.Load())
		}
		if u := s.look(day, lifetime("life", 1000)).Uses; u[0].Used != 50 || u[1].Used != 50 {
			s.t.Errorf("uses: %+v", u)
		}
	})
}

func TestTheLedgersClockNeverGoesBack(t *testing.T) {
	eachStore(t, func(s *testStore) {
		s.clock.add(hour)
		s.ask(rolling("roll", 1, hour))
		s.clock.set(t0)
		d := s.look(rolling("roll", 1, hour))
		if d.Now != t0+hour {
			s.t.Errorf("now is t0%+d", d.Now-t0)
		}
		s.want(d, Refused, t0+2*hour, "roll")
	})
}

func TestWhatCannotBeUnderstoodIsAnError(t *testing.T) {
	eachStore(t, func(s *testStore) {
		ok := s.daily("day", 1)
		skewed := ok
		skewed.Windows = days(t0 + 10*day)
		gap, torn := ok, *ok.Windows
		torn[2].Start++
		gap.Windows = &torn
		none := ok
		none.Windows = nil
		for _, c := range []struct {
			r    Request
			want error
		}{
			{Request{Account: "anna", Claims: []Claim{ok}}, ErrInvalid},
			{Request{ID: "x", Claims: []Claim{ok}}, ErrInvalid},
			{Request{ID: "x", Account: "anna", Claims: []Claim{ok.costing(-1)}}, ErrInvalid},
			{Request{ID: "x", Account: "anna", Claims: []Claim{ok.waiting(-1)}}, ErrInvalid},
			{Request{ID: "x", Account: "anna", Claims: []Claim{rolling("r", 1, 0)}}, ErrInvalid},
			{Request{ID: "x", Account: "anna", Claims: []Claim{{Limit: "l", Cost: 1}}}, ErrInvalid},
			{Request{ID: "x", Account: "anna", Claims: []Claim{lifetime("", 1)}}, ErrInvalid},
			{Request{ID: "x", Account: "anna", Claims: []Claim{gap}}, ErrInvalid},
			{Request{ID: "x", Account: "anna", Claims: []Claim{none}}, ErrInvalid},
			{Request{ID: "x", Account: "anna", Claims: []Claim{skewed}}, ErrSkew},
		} {
			if _, err := s.Reserve(context.Background(), c.r); !errors.Is(err, c.want) {
				s.t.Errorf("%+v: %v", c.r, err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := s.Reserve(ctx, Request{ID: "x", Account: "anna", Claims: []Claim{ok}}); !errors.Is(err, context.Canceled) {
			s.t.Errorf("cancelled context: %v", err)
		}
		s.want(s.look(ok), Go, t0, "")
		if err := s.Close(); err != nil {
			s.t.Error(err)
		}
		if _, err := s.Fire(context.Background(), "x"); !errors.Is(err, ErrClosed) {
			s.t.Errorf("closed: %v", err)
		}
	})
}
