package ratelimit

// The evaluator against a naive model that keeps every event and tries every
// moment at which anything changes.

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The model's windows are a second long, its rolling windows and spacings
// shorter, so that a short history crosses many of them.
const modelWindow = 1000

func modelWindows(ms int64) (w [3]Window) {
	start := ms - ms%modelWindow
	for i := range w {
		s := start + int64(i-1)*modelWindow
		w[i] = Window{fmt.Sprintf("%015d", s), s, s + modelWindow}
	}
	return w
}

// A spent is one message of the model: admitted and not given back.
type spent struct {
	id      string
	arrived int
	slot    int64
	claims  []Claim
	short   map[string]bool // the limits that had no room at once
	fired   bool
}

type model struct {
	events []*spent
	now    int64
}

func (m *model) sum(cl *Claim, counts func(slot int64) bool) (n int64) {
	for _, e := range m.events {
		for i := range e.claims {
			c := &e.claims[i]
			if c.Limit == cl.Limit && c.Key == cl.Key && counts(e.slot) {
				n += c.Cost
			}
		}
	}
	return n
}

// room reports whether all the claims fit at a time.
func (m *model) room(claims []Claim, at int64) bool {
	for i := range claims {
		if !m.roomFor(&claims[i], at) {
			return false
		}
	}
	return true
}

func (m *model) roomFor(cl *Claim, at int64) bool {
	if cl.Shadow || cl.Cost == 0 {
		return true
	}
	if cl.Key == "" {
		for _, e := range m.events {
			if !e.fired && e.short[cl.Limit] && at < e.slot {
				return false
			}
		}
	}
	switch cl.Measure {
	case Calendar:
		return m.sum(cl, func(s int64) bool { return s/modelWindow == at/modelWindow })+cl.Cost <= cl.Allow
	case Rolling:
		return m.sum(cl, func(s int64) bool { return s > at-cl.Span })+cl.Cost <= cl.Allow
	case Lifetime:
		return m.sum(cl, func(int64) bool { return true })+cl.Cost <= cl.Allow
	default:
		for _, e := range m.events {
			for i := range e.claims {
				c := &e.claims[i]
				if c.Limit == cl.Limit && c.Cost > 0 && at < e.slot+c.Cost*cl.Span {
					return false
				}
			}
		}
		return true
	}
}

// earliest tries now and every later moment at which something may change.
func (m *model) earliest(claims []Claim) (int64, bool) {
	moments := []int64{m.now}
	add := func(t int64) {
		if t > m.now {
			moments = append(moments, t)
		}
	}
	last := m.now
	for _, e := range m.events {
		add(e.slot)
		for i := range claims {
			add(e.slot + claims[i].Span)
			for j := range e.claims {
				add(e.slot + e.claims[j].Cost*claims[i].Span)
			}
		}
		last = max(last, e.slot)
	}
	for t := m.now - m.now%modelWindow; t < last+3*modelWindow; t += modelWindow {
		add(t)
	}
	slices.Sort(moments)
	for _, t := range moments {
		if m.room(claims, t) {
			return t, true
		}
	}
	return 0, false
}

// over names a limit that some window holds too much of; "" if none.
func (m *model) over() string {
	for _, e := range m.events {
		for i := range e.claims {
			cl := &e.claims[i]
			if cl.Shadow || cl.Cost == 0 {
				continue
			}
			var used int64
			switch cl.Measure {
			case Calendar:
				used = m.sum(cl, func(s int64) bool { return s/modelWindow == e.slot/modelWindow })
			case Rolling:
				used = m.sum(cl, func(s int64) bool { return s > e.slot-cl.Span && s <= e.slot })
			case Lifetime:
				used = m.sum(cl, func(int64) bool { return true })
			default:
				for _, o := range m.events {
					for j := range o.claims {
						if c := &o.claims[j]; o != e && c.Limit == cl.Limit && c.Cost > 0 && o.slot <= e.slot && e.slot-o.slot < c.Cost*cl.Span {
							return cl.Limit
						}
					}
				}
				continue
			}
			if used > cl.Allow {
				return fmt.Sprintf("%s holds %d", cl.Limit, used)
			}
		}
	}
	return ""
}

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

// ahead makes the claims those of a caller whose clock is a window ahead, and
// who waits for as long as it takes: further than a counter remembers.
func ahead(claims []Claim, now int64) {
	for i := range claims {
		if claims[i].Measure == Calendar {
			claims[i].Windows = modelWindows(now + modelWindow)
		}
		claims[i].Wait = 3 * modelWindow
	}
}

// image is everything that a memory store has counted, as bytes.
func (m *Memory) image() []byte {
	var b []byte
	names, _ := m.Accounts(context.Background())
	for _, name := range names {
		a := m.shelf.accounts[name]
		b = appendRecord(append(b, name...), a.wide)
		keys, _ := m.shelf.keys(name)
		for _, k := range keys {
			b = appendRecord(append(b, k...), a.keyed[k])
		}
	}
	return b
}

// TestTheEvaluatorAgreesWithTheModel checks after every operation: no window
// is over; the earliest time is exact; a denied request changed nothing;
// giving back at once is as if it had not been; an id counts once; slots are
// spaced and in order of arrival.
func TestTheEvaluatorAgreesWithTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := &fakeClock{ms: t0}
		store := NewMemory(Options{Now: clock.now})
		m := &model{now: t0}
		ctx := context.Background()
		n := 0
		check := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		reserve := func(r Request) Decision {
			d, err := store.Reserve(ctx, r)
			check(err)
			return d
		}
		for range rapid.IntRange(20, 250).Draw(t, "ops") {
			switch rapid.IntRange(0, 9).Draw(t, "op") {
			case 0, 1, 2, 3, 4, 5:
				n++
				r := Request{ID: fmt.Sprint(n), Account: "anna", Claims: modelClaims(t, m.now)}
				if rapid.IntRange(0, 3).Draw(t, "ahead") == 0 {
					ahead(r.Claims, m.now)
				}
				before := store.image()
				d := reserve(r)
				at, ever := m.earliest(r.Claims)
				if ever != !d.Never() || ever && d.At != at {
					t.Fatalf("%+v\nat t0%+d, never %v; the model says t0%+d, ever %v", r.Claims, d.At-t0, d.Never(), at-t0, ever)
				}
				if d.Verdict == Go && at != m.now {
					t.Fatalf("went at once, the model says t0%+d", at-t0)
				}
				if d.Verdict > Booked {
					if !bytes.Equal(before, store.image()) {
						t.Fatalf("a denied request changed the store: %+v", r.Claims)
					}
					continue
				}
				e := &spent{id: r.ID, arrived: n, slot: d.At, claims: r.Claims, short: map[string]bool{}, fired: d.Verdict == Go}
				for i, u := range d.Uses {
					e.short[u.Limit] = u.Short && !u.Shadow
					if cl := &r.Claims[i]; d.Verdict == Booked && u.Short && !u.Shadow && cl.Key != "" {
						t.Fatalf("booked although %s binds", u.Limit)
					}
				}
				m.events = append(m.events, e)
				if what := m.over(); what != "" {
					t.Fatal(what)
				}
				for _, o := range m.events {
					for l, short := range o.short {
						if short && !o.fired && o != e && e.slot < o.slot && slices.ContainsFunc(e.claims, func(c Claim) bool {
							return c.Limit == l && c.Key == "" && c.Cost > 0 && !c.Shadow
						}) {
							t.Fatalf("%s overtook %s on %s", e.id, o.id, l)
						}
					}
				}
				charged := store.image()
				if again := reserve(r); !again.Repeated || again.Verdict != d.Verdict || again.At != d.At || !bytes.Equal(charged, store.image()) {
					t.Fatalf("the same id again: %+v", again)
				}
			case 6: // reserve and cancel is as if it had not been
				n++
				r := Request{ID: fmt.Sprint(n), Account: "anna", Claims: modelClaims(t, m.now)}
				probe := Request{Account: "anna", Claims: modelClaims(t, m.now), Dry: true}
				before := reserve(probe)
				reserve(r)
				check(store.Cancel(ctx, r.ID))
				if after := reserve(probe); fmt.Sprint(before) != fmt.Sprint(after) {
					t.Fatalf("reserved and cancelled %+v:\n%+v\n%+v", r.Claims, before, after)
				}
			case 7: // cancel any
				if len(m.events) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(m.events)-1).Draw(t, "cancelled")
				if e := m.events[i]; e.slot > m.now-80 { // a pace forgets what no longer binds
					check(store.Cancel(ctx, e.id))
					m.events = slices.Delete(m.events, i, i+1)
				}
			case 8, 9:
				step := rapid.SampledFrom([]int64{1, 7, 40, 90, 333, 1000, 2500}).Draw(t, "step")
				clock.add(step)
				m.now += step
			}
			for _, e := range m.events {
				if !e.fired && e.slot <= m.now {
					d, err := store.Fire(ctx, e.id)
					check(err)
					if d.Verdict != Go {
						t.Fatalf("fired: %+v", d)
					}
					e.fired = true
				}
			}
		}
	})
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
			switch rapid.IntRange(0, 7).Draw(t, "op") {
			case 0, 1, 2, 3:
				n++
				id := fmt.Sprint(n)
				claims := modelClaims(t, now)
				d, err := store.Reserve(ctx, Request{ID: id, Account: "anna", Claims: claims})
				if err != nil {
					t.Fatal(err)
				}
				if d.Verdict <= Booked {
					past[id] = &spent{id: id, slot: d.At, claims: claims, fired: d.Verdict == Go}
					order = append(order, id)
				}
			case 4:
				h := &Hold{Until: now + rapid.Int64Range(1, 700).Draw(t, "pause")}
				if rapid.IntRange(0, 3).Draw(t, "resume") == 0 {
					h = nil
				}
				_ = store.Pause(ctx, "anna", h)
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
				m.events = append(m.events, &spent{id: id, slot: res.slot, claims: e.claims})
			}
			if what := m.over(); what != "" {
				t.Fatal(what)
			}
			// What the counters say is what the open reservations charged.
			rec, _ := store.shelf.load("anna", "")
			if c := rec.find("life", Lifetime, ""); c != nil {
				want := m.sum(&Claim{Limit: "life"}, func(int64) bool { return true })
				if c.used != want {
					t.Fatalf("life has counted %d, its reservations charged %d", c.used, want)
				}
			}
		}
	})
}

// soak reports whether the long forms are asked for.
func soak() bool { return os.Getenv("QUOTAGATE_SOAK") == "1" }
