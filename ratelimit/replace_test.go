package ratelimit

// What is held when the rules change keeps its place, on every store.

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A waiter is a held message, as its client knows it.
type waiter struct {
	id          string
	arrived, at int64
	over        bool
}

// hold asks for so many messages at once, the first of which goes.
func (s *testStore) hold(n int, claims ...Claim) (ws []*waiter) {
	s.t.Helper()
	for range n {
		d, id := s.ask(claims...)
		w := &waiter{id: id, arrived: s.clock.ms, at: d.At, over: d.Verdict == Go}
		if d.Verdict > Booked {
			s.t.Fatalf("%s is not held: %+v", id, d)
		}
		ws = append(ws, w)
	}
	return ws
}

// replaceEach brings every waiter to its slot and asks again under new claims
// there, until all have gone or were refused. It returns when each went; 0 for
// those refused.
func (s *testStore) replaceEach(ws []*waiter, claims func() []Claim) []int64 {
	s.t.Helper()
	went := make([]int64, len(ws))
	for {
		next := -1
		for i, w := range ws {
			if !w.over && (next < 0 || w.at < ws[next].at) {
				next = i
			}
		}
		if next < 0 {
			return went
		}
		w := ws[next]
		s.clock.set(max(s.clock.ms, w.at))
		d := s.request(Request{ID: w.id, Account: "anna", Claims: claims(), Arrived: w.arrived, Replace: true})
		switch w.at = d.At; d.Verdict {
		case Go:
			w.over, went[next] = true, s.clock.ms
		case Refused:
			w.over = true
		}
	}
}

func TestNewRulesKeepThePlaceInTheQueue(t *testing.T) {
	p := func(span int64) Claim { return pace("pace", span).waiting(4 * second) }
	for _, c := range []struct {
		name string
		then []Claim
		went []int64 // after t0
	}{
		{"the same rules", []Claim{p(second)}, []int64{1000, 2000, 3000, 4000}},
		{"a slower pace", []Claim{p(2 * second)}, []int64{2000, 4000, 0, 0}},
		{"a faster pace", []Claim{p(second / 2)}, []int64{1000, 2000, 3000, 4000}},
		{"no pace", []Claim{lifetime("life", 9)}, []int64{1000, 2000, 3000, 4000}},
		{"an allowance too", []Claim{p(second), rolling("roll", 2, hour)}, []int64{1000, 2000, 0, 0}},
		{"nothing is allowed", []Claim{p(second), lifetime("life", 0)}, []int64{0, 0, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachStore(t, func(s *testStore) {
				ws := s.hold(5, p(second))
				went := s.replaceEach(ws[1:], func() []Claim { return c.then })
				for i, at := range went {
					if at > 0 {
						at -= t0
					}
					if at != c.went[i] {
						s.t.Errorf("message %d went at t0%+d, want t0%+d", i+1, at, c.went[i])
					}
				}
			})
		})
	}
}

func TestThoseBehindAReplacedBookingKeepTheirSlotsOrStepBack(t *testing.T) {
	eachStore(t, func(s *testStore) {
		p := pace("pace", 10*second).waiting(40 * second)
		ws := s.hold(4, p, lifetime("life", 9)) // now, +10s, +20s, +30s
		replace := func(claims ...Claim) Decision {
			return s.request(Request{ID: ws[1].id, Account: "anna", Claims: claims, Replace: true})
		}
		slots := func(want ...int64) {
			s.t.Helper()
			for i, at := range want {
				d := s.fire(ws[i+2].id)
				s.want(d, Booked, t0+at, "pace")
			}
		}
		s.want(replace(p, lifetime("life", 9)), Booked, t0+10*second, "pace")
		slots(20*second, 30*second)
		s.want(replace(p.costing(2), lifetime("life", 9)), Booked, t0+10*second, "pace")
		slots(30*second, 40*second)
		// Back to one spacing: nobody is called earlier than told.
		s.want(replace(p, lifetime("life", 9)), Booked, t0+10*second, "pace")
		slots(30*second, 40*second)
		// A newcomer is behind them all, and none of them was counted twice.
		d := s.look(p.waiting(hour), lifetime("life", 9))
		s.want(d, Booked, t0+50*second, "pace")
		if d.Uses[1].Used != 4 {
			s.t.Errorf("life: %+v", d.Uses[1])
		}
		// Without room for itself it leaves, and they stay; one that would
		// have to wait too long is given back.
		s.want(replace(p.costing(3), lifetime("life", 9)), Booked, t0+10*second, "pace")
		slots(40 * second)
		s.want(s.fire(ws[3].id), Refused, t0+50*second, "pace")
		s.want(replace(lifetime("life", 1)), Refused, 0, "life")
		slots(40 * second)
		if u := s.look(lifetime("life", 9)).Uses[0]; u.Used != 2 {
			s.t.Errorf("life: %+v", u)
		}
		s.want(s.fire(ws[1].id), Gone, t0, "")
	})
}

// A booking that waits for a day to end must not be overtaken because one
// before it was replaced.
func TestThoseBehindAReplacedBookingAreNotOvertaken(t *testing.T) {
	eachStore(t, func(s *testStore) {
		s.clock.set(t0 + day - 2*second)
		s.ask(s.daily("day", 5).costing(3))
		_, first := s.ask(s.daily("day", 5).costing(3).waiting(4 * second))
		d, second := s.ask(s.daily("day", 5).costing(2).waiting(4*minute), lifetime("life", 9))
		s.want(d, Booked, t0+day, "day")
		// The first needs the day no more, so there would be room for the
		// second at once: it still comes at midnight, and who comes now waits.
		s.want(s.request(Request{ID: first, Account: "anna", Claims: []Claim{lifetime("life", 9)}, Replace: true}), Go, s.clock.ms, "")
		s.want(s.fire(second), Booked, t0+day, "day")
		s.want(s.look(s.daily("day", 5).waiting(4*minute)), Booked, t0+day, "day")
	})
}

// Who was told to come at a time comes then: a pause that lets it go earlier
// would have the next one follow too soon.
func TestAPauseMovesNobodyToAnEarlierSlot(t *testing.T) {
	eachStore(t, func(s *testStore) {
		p := pace("pace", 10*second).waiting(minute)
		ws := s.hold(4, p) // now, +10s, +20s, +30s
		s.cancel(ws[2].id)
		s.pause("anna", &Hold{Until: t0 + 12*second})
		d, late := s.ask(p)
		s.want(d, Booked, t0+40*second, "pace")
		s.want(s.fire(ws[1].id), Booked, t0+12*second, PausedLimit)
		s.want(s.fire(ws[3].id), Booked, t0+30*second, "pace")
		s.clock.set(t0 + 30*second)
		s.want(s.fire(ws[3].id), Go, t0+30*second, "")
		s.want(s.fire(late), Booked, t0+40*second, "pace")
	})
}

func TestWhatWasMovedComesBackAfterACrash(t *testing.T) {
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	s := &testStore{Store: openAt(t, path, c), t: t, clock: c}
	p := pace("pace", 10*second).waiting(minute)
	ws := s.hold(4, p, lifetime("life", 9))
	s.want(s.request(Request{ID: ws[1].id, Account: "anna", Claims: []Claim{p.costing(2), lifetime("life", 9)}, Replace: true}), Booked, t0+10*second, "pace")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.Store = openAt(t, path, c)
	d := s.look(p, lifetime("life", 9))
	s.want(d, Booked, t0+10*second, "pace")
	if d.Uses[1].Used != 1 {
		t.Errorf("life: %+v", d.Uses[1])
	}
	_ = s.Close()
}

// TestWhateverIsReplacedNothingIsOver changes the rules of held messages at
// random, also before their slots, and lets everyone come when told.
func TestWhateverIsReplacedNothingIsOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := &fakeClock{ms: t0}
		store := NewMemory(Options{Now: clock.now})
		ctx := context.Background()
		span := int64(90)
		claims := func() []Claim {
			cs := modelClaims(t, clock.ms)
			cs = slices.DeleteFunc(cs, func(c Claim) bool { return c.Measure == Pace })
			return append(cs, pace("pace", span).costing(rapid.Int64Range(1, 2).Draw(t, "spacings")).waiting(900))
		}
		type message struct {
			waiter
			order  int
			claims []Claim
		}
		var held []*message
		m := &model{}
		request := func(w *message, replace bool) {
			cs := claims()
			d, err := store.Reserve(ctx, Request{ID: w.id, Account: "anna", Claims: cs, Arrived: w.arrived, Replace: replace})
			if err != nil {
				t.Fatal(err)
			}
			w.claims, w.at = cs, d.At
			switch d.Verdict {
			case Go:
				m.events = append(m.events, spentOf(w.id, w.order, d.At, cs, true))
				w.over = true
			case Booked:
				if d.At-w.arrived > 900 {
					t.Fatalf("%s waits until t0%+d and arrived at t0%+d", w.id, d.At-t0, w.arrived-t0)
				}
			default:
				w.over = true
			}
		}
		for n := range rapid.IntRange(10, 80).Draw(t, "ops") {
			switch rapid.IntRange(0, 5).Draw(t, "op") {
			case 0, 1, 2:
				w := &message{waiter: waiter{id: fmt.Sprint(n), arrived: clock.ms}, order: n}
				if request(w, false); !w.over {
					held = append(held, w)
				}
			case 3:
				if len(held) > 0 {
					w := rapid.SampledFrom(held).Draw(t, "replaced")
					if store.engine.live[w.id].state == moot {
						w.order = n // it has lost its place
					}
					request(w, true)
				}
			default:
				clock.add(rapid.SampledFrom([]int64{1, 40, 90, 333}).Draw(t, "step"))
			}
			// Everyone whose time has come fires.
			for _, w := range held {
				if w.over || w.at > clock.ms {
					continue
				}
				d, err := store.Fire(ctx, w.id)
				if err != nil {
					t.Fatal(err)
				}
				switch w.at = d.At; d.Verdict {
				case Go:
					m.events = append(m.events, spentOf(w.id, w.order, d.At, w.claims, true))
					w.over = true
				case Refused:
					w.over = true
				}
			}
			held = slices.DeleteFunc(held, func(w *message) bool { return w.over })
			all := &model{events: slices.Clone(m.events)}
			for _, w := range held {
				if res := store.engine.live[w.id]; res.state == booked {
					all.events = append(all.events, spentOf(w.id, w.order, res.slot, w.claims, false))
				}
			}
			if what := all.over(); what != "" {
				t.Fatal(what)
			}
			// At the pace, who came first goes first.
			for _, a := range all.events {
				for _, b := range all.events {
					if a.arrived < b.arrived && !a.fired && a.slot > b.slot {
						t.Fatalf("%s, at t0%+d, is overtaken by %s, at t0%+d", a.id, a.slot-t0, b.id, b.slot-t0)
					}
				}
			}
		}
	})
}
