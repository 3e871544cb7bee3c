package proxy

// The same message again (law 12): while the first is held or on its way, the
// others wait for it. When it is through, those that waited for its slot are
// told that it went; one that came later is a message of its own, or free where
// the service drops duplicates. Where the first was given back, one of those
// that waited takes its place.
//
// Whoever waits in the same process is woken as soon as the first is settled.
// Of another replica's nobody is told, so it is asked about again.

import (
	"context"
	"errors"
	"sync"
	"time"

	"quotagate/ratelimit"
)

// twinLook is the longest that a repeat waits before it asks about the first
// one again, once that is on its way.
const twinLook = 250 * time.Millisecond

// sameLimit is the Quotagate-Limit of a repeat that is refused.
const sameLimit = "same-id"

var errLanded = errors.New("the same message is through")

// A flight is a reserved message that others may turn out to be, until it is
// settled.
type flight struct {
	name string
	ctx  context.Context // ends with errLanded
	end  context.CancelCauseFunc
}

// flights are those of this process, by what names the message.
type flights struct {
	mu   sync.Mutex
	open map[string]*flight
}

func (f *flights) add(name string) *flight {
	ctx, end := context.WithCancelCause(context.Background())
	one := &flight{name, ctx, end}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		f.open = map[string]*flight{}
	}
	f.open[name] = one
	return one
}

func (f *flights) find(name string) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open[name]
}

func (f *flights) remove(one *flight) {
	f.mu.Lock()
	if f.open[one.name] == one {
		delete(f.open, one.name)
	}
	f.mu.Unlock()
	one.end(errLanded)
}

// takeOff makes a reserved message known to those that turn out to be the same.
func (t *transit) takeOff() {
	if t.flight != nil && (!t.reserved || t.flight.name != t.request.Same) {
		t.land()
	}
	if t.reserved && t.flight == nil && t.request.Same != "" {
		t.flight = t.e.flights.add(t.request.Same)
	}
}

// land wakes those that wait for this message.
func (t *transit) land() {
	if t.flight != nil {
		t.e.flights.remove(t.flight)
		t.flight = nil
	}
}

// onLanding ends a wait when the message that this one waits for is through.
func (t *transit) onLanding(end context.CancelCauseFunc) (unhook func() bool) {
	if t.decision.Verdict == ratelimit.Twin {
		if first := t.e.flights.find(t.request.Same); first != nil {
			return context.AfterFunc(first.ctx, func() { end(errLanded) })
		}
	}
	return func() bool { return true }
}

// standAside looks at the ledger's answer: a repeat that waited for the slot of
// one that went is not sent, nor does it take anything.
func (t *transit) standAside() {
	d := &t.decision
	switch {
	case d.Verdict == ratelimit.Twin:
		t.slotted = t.slotted || d.At > 0
		d.Limit = sameLimit
	case t.slotted && d.Again && !t.request.Dedupes:
		t.giveBack()
		t.decision = ratelimit.Decision{
			Verdict: ratelimit.Refused, Now: d.Now, Limit: sameLimit, Account: d.Account, Fits: -1,
			Why: "the same message, with the same id, went while this one waited",
		}
	}
}

// overdue refuses a repeat that has waited as long as it may.
func (t *transit) overdue() bool {
	now := t.e.clock().Now()
	if now.Before(t.lastCall()) {
		return false
	}
	d := &t.decision
	d.Verdict, d.Why = ratelimit.Refused, "the same message, with the same id, is on its way"
	if d.At > d.Now {
		d.Why = "the same message, with the same id, is held"
	}
	d.At = max(d.At, now.Add(twinLook).UnixMilli())
	return true
}

// lastCall is when a repeat has waited as long as it may: as long as the
// longest wait of its limits.
func (t *transit) lastCall() time.Time {
	var wait int64
	for i := range t.claims {
		if !t.claims[i].Shadow {
			wait = max(wait, t.claims[i].Wait)
		}
	}
	return t.now.Add(time.Duration(wait) * time.Millisecond)
}

// nextLook is when to ask about the first one again.
func (t *transit) nextLook() time.Time {
	look := t.e.clock().Now().Add(twinLook)
	if at := time.UnixMilli(t.decision.At); at.After(look) {
		look = at
	}
	if last := t.lastCall(); last.Before(look) {
		return last
	}
	return look
}

// afterTwin asks again about the message that this one waits for. It asks dry
// first: one that will not be sent should not move those behind it.
func (t *transit) afterTwin(ctx context.Context) error {
	if t.slotted && !t.request.Dedupes {
		r := t.request
		r.Dry = true
		d, err := t.e.Ledger.Reserve(ctx, r)
		if err != nil {
			return storeError{err}
		}
		if d.Verdict == ratelimit.Twin || d.Again {
			t.decision = d
			t.standAside()
			return nil
		}
	}
	return t.reserve(ctx, false)
}
