package ratelimit

// Pauses against the model: they move what is booked.

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// modelClaims draws the claims of one message: a selection from a fixed set
// of limits, so that their allowances stay the same.
func modelClaims(t *rapid.T, now int64) []Claim {
	w := modelWindows(now)
	all := []Claim{
		{Limit: "calendar", Measure: Calendar, Unit: "second", Allow: 4, Windows: w},
		{Limit: "rolling", Measure: Rolling, Allow: 5, Span: 700},
		{Limit: "pace", Measure: Pace, Span: 90},
		{Limit: "pair", Measure: Rolling, Allow: 2, Span: 1500, Key: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")},
		{Limit: "life", Measure: Lifetime, Allow: 60},
		{Limit: "shadow", Measure: Calendar, Unit: "second", Allow: 1, Windows: w, Shadow: true},
	}
	mask := rapid.IntRange(1, 1<<len(all)-1).Draw(t, "limits")
	var claims []Claim
	for i, cl := range all {
		if mask>>i&1 == 1 {
			cl.Cost = rapid.SampledFrom([]int64{1, 1, 1, 2, 3, 0}).Draw(t, "cost")
			cl.Wait = rapid.SampledFrom([]int64{0, 200, 500, 900}).Draw(t, "wait")
			claims = append(claims, cl)
		}
	}
	return claims
}

// TestNothingIsEverOverWhateverThePauses adds pauses, which move bookings, and
// asks the store itself for what it holds.
func TestNothingIsEverOverWhateverThePauses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := &fakeClock{ms: t0}
		store := NewMemory(Options{Now: clock.now})
		ctx := context.Background()
		past := map[string]*spent{}
		n := 0
		var order []string // of arrival at the pace
		for range rapid.IntRange(20, 120).Draw(t, "ops") {
			now := clock.ms
			switch rapid.IntRange(0, 8).Draw(t, "op") {
			case 0, 1, 2, 3:
				n++
				id := fmt.Sprint(n)
				claims := modelClaims(t, now)
				d, err := store.Reserve(ctx, Request{ID: id, Account: "anna", Claims: claims})
				if err != nil {
					t.Fatal(err)
				}
				if d.Verdict <= Booked {
					past[id] = spentOf(id, n, d.At, claims, d.Verdict == Go)
					order = append(order, id)
				}
			case 4:
				h := &Hold{Until: now + rapid.Int64Range(1, 700).Draw(t, "pause")}
				if rapid.IntRange(0, 3).Draw(t, "resume") == 0 {
					h = nil
				}
				_ = store.Pause(ctx, "anna", h)
			case 8:
				if len(order) > 0 {
					e := past[rapid.SampledFrom(order).Draw(t, "asked")]
					if res := store.engine.live[e.id]; e.fired || res == nil || res.state != booked {
						continue
					}
					claims := make([]Claim, len(e.claims))
					for i := range claims {
						claims[i] = e.claims[i].Claim
						claims[i].renew(now)
					}
					was := store.engine.live[e.id].slot
					d, err := store.Reserve(ctx, Request{ID: e.id, Account: "anna", Claims: claims, Replace: true, Sooner: true})
					if err != nil || d.Verdict > Booked || d.At > was && d.At > now {
						t.Fatalf("%s, due at t0%+d: %+v, %v", e.id, was-t0, d, err)
					}
					e.slot, e.fired = d.At, d.Verdict == Go
				}
			case 5:
				if len(order) > 0 {
					i := rapid.IntRange(0, len(order)-1).Draw(t, "cancelled")
					if e := past[order[i]]; e.slot > now-80 {
						_ = store.Cancel(ctx, e.id)
						delete(past, e.id)
						order = slices.Delete(order, i, i+1)
					}
				}
			default:
				clock.add(rapid.SampledFrom([]int64{1, 40, 90, 333}).Draw(t, "step"))
			}
			now = clock.ms
			for _, id := range slices.Clone(order) {
				e := past[id]
				if e.fired || e.slot > now {
					continue
				}
				d, err := store.Fire(ctx, id)
				if err != nil {
					t.Fatal(err)
				}
				switch d.Verdict {
				case Go:
					e.fired = true
				case Booked:
					e.slot = d.At
				default:
					delete(past, id)
					order = slices.DeleteFunc(order, func(o string) bool { return o == id })
				}
			}
			m := &model{now: now}
			for id, e := range past {
				res := store.engine.live[id]
				if res.state == moot {
					continue
				}
				moved := *e
				moved.slot = res.slot
				m.events = append(m.events, &moved)
			}
			if what := m.over(); what != "" {
				t.Fatal(what)
			}
			// What the counters say is what the open reservations charged.
			rec, _ := store.shelf.load("anna", "")
			if c := rec.find("life", Lifetime, ""); c != nil {
				want := m.sum("anna|life|", func(int64) bool { return true })
				if c.used != want {
					t.Fatalf("life has counted %d, its reservations charged %d", c.used, want)
				}
			}
		}
	})
}
