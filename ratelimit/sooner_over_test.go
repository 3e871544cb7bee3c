package ratelimit

// Whatever goes sooner, into whichever gap, no window holds too much, and nobody
// else is moved. Several accounts share a pace and two windows; each has a limit
// of its own that keeps it back for long, and is left out at times.

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestWhateverGoesSoonerNothingIsOver(t *testing.T) {
	sooner := 0
	rapid.Check(t, func(t *rapid.T) {
		clock := &fakeClock{ms: t0}
		store := NewMemory(Options{Now: clock.now})
		ctx := context.Background()
		shared := []Claim{
			{Limit: "pace", Measure: Pace, Span: 90},
			{Limit: "jittered", Measure: Pace, Span: 40, Jitter: 60},
			{Limit: "few", Measure: Rolling, Allow: 3, Span: 713},
			{Limit: "many", Measure: Rolling, Allow: 6, Span: 1511},
		}
		claims := func(own bool) (list []Claim) {
			mask := rapid.IntRange(1, 1<<len(shared)-1).Draw(t, "limits")
			for i, cl := range shared {
				if mask>>i&1 == 1 {
					cl.Scope, cl.Wait, cl.Cost = "service:x", 9000, rapid.SampledFrom([]int64{1, 1, 2}).Draw(t, "cost")
					list = append(list, cl)
				}
			}
			if own {
				list = append(list, Claim{Limit: "own", Measure: Rolling, Allow: 1, Span: 2003, Cost: 1, Wait: 9000})
			}
			return list
		}
		all := map[string]*spent{} // that are booked or went
		decide := func(e *spent, r Request) Decision {
			d, err := store.Reserve(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			if d.Verdict > Booked {
				delete(all, r.ID)
			} else if !d.Repeated {
				now := spentOf(r.ID, e.arrived, d.At, r.Claims, d.Verdict == Go)
				now.account = r.Account
				all[r.ID] = now
			}
			return d
		}
		booked := func() (ids []string) {
			for id, e := range all {
				if !e.fired {
					ids = append(ids, id)
				}
			}
			slices.Sort(ids)
			return ids
		}
		for n := range rapid.IntRange(10, 60).Draw(t, "ops") {
			held := booked()
			switch op := rapid.IntRange(0, 7).Draw(t, "op"); {
			case op <= 2 || len(held) == 0:
				id, account := fmt.Sprint(n), rapid.SampledFrom([]string{"anna", "bea", "carl"}).Draw(t, "account")
				decide(&spent{arrived: n}, Request{ID: id, Account: account, Claims: claims(rapid.Bool().Draw(t, "own"))})
			case op == 3:
				id := rapid.SampledFrom(held).Draw(t, "cancelled")
				if err := store.Cancel(ctx, id); err != nil {
					t.Fatal(err)
				}
				delete(all, id)
			case op <= 6:
				id := rapid.SampledFrom(held).Draw(t, "sooner")
				e, before := all[id], store.slots(id)
				d := decide(e, Request{ID: id, Account: e.account, Claims: claims(false), Replace: true, Sooner: true})
				if after := store.slots(id); !maps.Equal(before, after) {
					t.Fatalf("%s moved others: %v, were %v", id, after, before)
				}
				if d.Verdict > Booked || d.At > e.slot || d.Repeated && d.At != e.slot {
					t.Fatalf("%s, due at t0%+d: %+v", id, e.slot-t0, d)
				}
				if !d.Repeated {
					sooner++
				}
			default:
				clock.add(rapid.SampledFrom([]int64{1, 37, 91, 333, 1200}).Draw(t, "step"))
			}
			slices.SortFunc(held, func(a, b string) int { return int(store.slots("")[a] - store.slots("")[b]) })
			for _, id := range held {
				e := all[id]
				if e == nil || e.fired || e.slot > clock.ms {
					continue
				}
				if d, err := store.Fire(ctx, id); err != nil || d.Verdict != Go {
					t.Fatalf("fire %s: %+v, %v", id, d, err)
				}
				e.fired = true
			}
			m := newModel()
			for _, e := range all {
				m.events = append(m.events, e)
			}
			if what := m.over(); what != "" {
				t.Fatal(what)
			}
		}
	})
	if sooner == 0 {
		t.Error("nothing went sooner")
	}
}
