package ratelimit

// The ledger against the model.

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// fatal is a test, or a try of rapid's.
type fatal interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// A trial plays a history on a memory store and on the model. After every turn:
// no window is over; the earliest time is exact; a denied request changed
// nothing; giving back at once is as if it had not been; an id counts once;
// slots are spaced and in order of arrival.
type trial struct {
	fatal
	clock  *fakeClock
	store  *Memory
	player *player
	model  *model
	ctx    context.Context
	turns  int
	short  map[string]int // how often a limit kept a request back
	late   *turn          // the last request that was told a later time
}

func newTrial(t testing.TB) *trial {
	clock := &fakeClock{ms: t0}
	store := NewMemory(Options{Now: clock.now})
	return &trial{fatal: t, clock: clock, store: store, player: newPlayer(store, clock.add), model: newModel(), short: map[string]int{}, ctx: t.Context()}
}

func (x *trial) turn(s turn) {
	x.turns++
	m := x.model
	switch s.Op {
	case opReserve, opLook:
		x.reserve(s)
	case opAgain:
		if e := m.find(s.ID); e != nil {
			before := x.store.image()
			d := x.play(s)[0].Decision
			if !d.Repeated || !bytes.Equal(before, x.store.image()) {
				x.Fatalf("turn %d: the same id again: %+v", x.turns, d)
			}
		}
	case opSooner:
		x.sooner(s)
	case opBack:
		probe := s.Request
		probe.Dry = true
		before := x.look(probe)
		x.play(s)
		if after := x.look(probe); fmt.Sprint(before) != fmt.Sprint(after) {
			x.Fatalf("turn %d: reserved and cancelled %+v:\n%+v\n%+v", x.turns, s.Request.Claims, before, after)
		}
	case opCancel, opItems:
		e := m.find(s.ID)
		if e == nil || e.slot <= m.now-80 { // a pace forgets what no longer binds
			return
		}
		x.play(s)
		m.giveBack(e, func(t *taken) bool { return s.Op == opCancel || slices.Contains(s.Items, t.Item) })
	case opKeep:
		if e := m.find(s.ID); e != nil && e.fired {
			x.play(s)
			e.closed = true
		}
	case opObserve:
		x.play(s)
		m.observe(&s.Event)
	case opTick:
		m.now += s.Ms
		for _, a := range x.play(s) {
			e := m.find(a.Call[len("fire "):])
			if e == nil && a.Decision.Verdict == Gone { // all its items were given back
				continue
			}
			if e == nil {
				x.Fatalf("turn %d: %s, which the model does not know: %+v", x.turns, a.Call, a.Decision)
			}
			if a.Decision.Verdict == Gone && e.slot+abandoned < m.now {
				m.giveBack(e, func(*taken) bool { return true })
				continue
			}
			if a.Decision.Verdict != Go {
				x.Fatalf("turn %d: %s: %+v", x.turns, a.Call, a.Decision)
			}
			e.fired, e.leased = true, m.now
		}
	}
	if what := m.over(); what != "" {
		x.Fatalf("turn %d: %s", x.turns, what)
	}
}

func (x *trial) play(s turn) []answer {
	answers := x.player.play(x.ctx, s)
	for _, a := range answers {
		if a.Err != "" {
			x.Fatalf("turn %d: %s: %s", x.turns, a.Call, a.Err)
		}
	}
	return answers
}

func (x *trial) look(r Request) Decision {
	d, err := x.store.Reserve(x.ctx, r)
	if err != nil {
		x.Fatal(err)
	}
	return d
}

// sooner: a booking that is decided anew for the better loses nothing, and nor
// does anybody else.
func (x *trial) sooner(s turn) {
	m, e := x.model, x.model.find(s.ID)
	if e == nil {
		return
	}
	before, slots := x.store.image(), x.store.slots(s.ID)
	d := x.play(s)[0].Decision
	if after := x.store.slots(s.ID); !maps.Equal(slots, after) {
		x.Fatalf("turn %d: %s went sooner, and others were moved: %v, were %v", x.turns, s.ID, after, slots)
	}
	if d.Repeated || s.Request.Dry {
		if !bytes.Equal(before, x.store.image()) || d.Repeated && d.At != e.slot {
			x.Fatalf("turn %d: %s, due at t0%+d, was not left as it is: %+v", x.turns, s.ID, e.slot-t0, d)
		}
		return
	}
	if e.fired || d.Verdict > Booked && d.Verdict != Refused || d.Verdict <= Booked && d.At >= e.slot && e.slot > m.now {
		x.Fatalf("turn %d: %s, due at t0%+d, on its way %v: %+v", x.turns, s.ID, e.slot-t0, e.fired, d)
	}
	arrived := e.arrived
	m.giveBack(e, func(*taken) bool { return true })
	m.events = slices.DeleteFunc(m.events, func(o *spent) bool { return o == e })
	if d.Verdict == Refused {
		x.short["refused for itself"]++
		return
	}
	x.short["sooner"]++
	m.take(&s.Request, &d).arrived = arrived
}

// slots are those of all that waits but one.
func (m *Memory) slots(but string) map[string]int64 {
	slots := map[string]int64{}
	for id, res := range m.engine.live {
		if id != but && res.state != gone {
			slots[id] = res.slot
		}
	}
	return slots
}

func (x *trial) reserve(s turn) {
	m, r := x.model, &s.Request
	before := x.store.image()
	d := x.play(s)[0].Decision
	x.short[d.Limit]++
	at, ever := m.earliest(r)
	if ever != !d.Never() || ever && d.At != at {
		x.Fatalf("turn %d, t0%+d: %s\n%v at t0%+d for %s, never %v; the model says t0%+d, ever %v",
			x.turns, m.now-t0, claimsOf(r), d.Verdict, d.At-t0, d.Limit, d.Never(), at-t0, ever)
	}
	if (d.Verdict == Go) != (ever && at == m.now) {
		x.Fatalf("turn %d: %v, the model says t0%+d", x.turns, d.Verdict, at-t0)
	}
	if d.Verdict > Booked || r.Dry {
		if !bytes.Equal(before, x.store.image()) {
			x.Fatalf("turn %d: a request that was not charged changed the store: %s", x.turns, claimsOf(r))
		}
		if d.Verdict > Booked && !d.Never() {
			x.late = &s
		}
		return
	}
	e := m.take(r, &d)
	e.arrived = x.turns
	for _, t := range e.claims {
		if d.Verdict == Booked && t.short && (t.Key != "" || t.Measure == Concurrent) {
			x.Fatalf("turn %d: booked although %s binds", x.turns, t.Limit)
		}
		m.each(counterOf(e.account, &t.Claim), func(o *spent, w *taken) {
			if o != e && w.short && !o.fired && e.slot < o.slot && t.Key == "" && !t.Shadow {
				x.Fatalf("turn %d: %s overtook %s on %s", x.turns, e.id, o.id, t.Limit)
			}
		})
	}
	charged := x.store.image()
	if again := x.play(s)[0].Decision; !again.Repeated || again.Verdict != d.Verdict || again.At != d.At || !bytes.Equal(charged, x.store.image()) {
		x.Fatalf("turn %d: the same id again: %+v", x.turns, again)
	}
}

func claimsOf(r *Request) (s string) {
	for i := range r.Claims {
		cl := &r.Claims[i]
		s += fmt.Sprintf("\n  %s %s %s cost %d wait %d", r.Account, cl.Limit, cl.Key+"/"+cl.Recipient, cl.Cost, cl.Wait)
	}
	return s
}

// atTheTime checks, at the end of a history, what a request was told last: one
// millisecond before that time it has no room, and then it has.
func (x *trial) atTheTime() {
	if x.late == nil || slices.ContainsFunc(x.late.Request.Claims, func(cl Claim) bool { return cl.Measure == Concurrent }) {
		return // nobody knows when one ends
	}
	r := x.late.Request
	r.Claims = slices.Clone(r.Claims)
	r.Dry = true
	look := func(at int64) Decision {
		x.turn(turn{Op: opTick, Ms: at - x.model.now})
		for i := range r.Claims {
			r.Claims[i].renew(at)
		}
		return x.look(r)
	}
	d := look(x.model.now + modelWindow) // what is booked has gone by then
	if d.Verdict <= Booked || d.Never() || d.At-x.model.now < 2 {
		return
	}
	at := d.At
	if early := look(at - 1); early.Verdict == Go {
		x.Fatalf("told t0%+d, there is room a millisecond before: %s", at-t0, claimsOf(&r))
	}
	if then := look(at); then.Verdict != Go && then.Limit == d.Limit {
		x.Fatalf("told t0%+d, there is no room then: %v for %s until t0%+d: %s", at-t0, then.Verdict, then.Limit, then.At-t0, claimsOf(&r))
	}
}

// run plays n turns.
func (x *trial) run(d dice, w world, n int) {
	h := newHistorian(d, w)
	for range n {
		x.turn(h.next())
	}
	x.atTheTime()
}

// worlds are what is tried: everything together, and the limits of each
// measure by themselves, where they bind more often.
func worlds() map[string]world {
	all := map[string]world{"everything": {quiet: true}, "everything, within seconds": {quiet: true, short: true}}
	for _, l := range worldLimits {
		all[l.Limit] = world{quiet: true, short: l.Measure != Similar, limits: []string{l.Limit}}
		all[l.Limit+" and others"] = world{quiet: true, short: l.Measure != Similar, limits: []string{l.Limit, "pace", "calendar", "pair"}}
	}
	return all
}

// modelOps is how many operations TestTheLedgerAgreesWithTheModel plays, all
// told: as many as QUOTAGATE_MODEL_OPS says.
func modelOps(t testing.TB) int {
	n, err := strconv.Atoi(os.Getenv("QUOTAGATE_MODEL_OPS"))
	if err != nil && os.Getenv("QUOTAGATE_MODEL_OPS") != "" {
		t.Fatalf("QUOTAGATE_MODEL_OPS: %v", err)
	}
	if n == 0 {
		n = 100_000
	}
	return n
}

func TestTheLedgerAgreesWithTheModel(t *testing.T) {
	const turns = 120
	each := modelOps(t)/len(worlds()) + 1
	first := uint64(1)
	if s := os.Getenv("QUOTAGATE_MODEL_SEED"); s != "" {
		var err error
		if first, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d operations in each of %d worlds, %d a history; seeds from %d on (QUOTAGATE_MODEL_OPS, QUOTAGATE_MODEL_SEED)", each, len(worlds()), turns, first)
	for name, w := range worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := first
			defer func() {
				if t.Failed() {
					t.Logf("seed %d: QUOTAGATE_MODEL_SEED=%d QUOTAGATE_MODEL_OPS=1 go test -run '%s'", seed, seed, t.Name())
				}
			}()
			short := 0
			for done := 0; done < each; done += turns {
				x := newTrial(t)
				x.run(newSeeded(seed), w, turns)
				seed++
				short += x.short[name]
			}
			if each >= 1000 && len(w.limits) == 1 && name != "shadow" && short == 0 {
				t.Errorf("%s kept nothing back in %d operations", name, each)
			}
		})
	}
}

// The same, with histories that rapid makes small where one fails.
func TestAShortHistoryAgreesWithTheModel(t *testing.T) {
	for _, name := range []string{"everything", "everything, within seconds"} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				clock := &fakeClock{ms: t0}
				store := NewMemory(Options{Now: clock.now})
				x := &trial{fatal: r, clock: clock, store: store, player: newPlayer(store, clock.add), model: newModel(), short: map[string]int{}, ctx: t.Context()}
				x.run(drawn{r}, worlds()[name], rapid.IntRange(5, 60).Draw(r, "turns"))
			})
		})
	}
}
