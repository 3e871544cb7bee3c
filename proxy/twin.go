package proxy

// The same message again (law 12): while the first is held or on its way, the
// others wait for it. When it is through, those that waited for its slot are
// told that it went; one that came later is a message of its own, or free where
// the service drops duplicates. Where the first was given back, one of those
// that waited takes its place.
//
// Whoever waits is woken as soon as the first is settled, here or, where replicas
// share the ledger and tell each other, there.

import (
	"context"
	"errors"
	"sync"
	"time"

	"quotagate/ratelimit"
)

// twinLook is how long a repeat waits before it asks about the first one again,
// once that is on its way, where nobody would tell that it is through.
const twinLook = 250 * time.Millisecond

// sameLimit is the Quotagate-Limit of a repeat that is refused.
const sameLimit = "same-id"

var errLanded = errors.New("the same message is through")

// flights are the messages that somebody waits for, by what names them.
type flights struct {
	mu      sync.Mutex
	awaited map[string]*landing
}

// A landing is a message's, for those that turned out to be the same.
type landing struct {
	waiting int
	times   uint64 // that it was told to be through
	wake    map[*transit]context.CancelCauseFunc
}

// landed wakes those that wait for a message: it is through, or given back.
func (f *flights) landed(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.awaited[name]; l != nil {
		l.times++
		for _, wake := range l.wake {
			wake(errLanded)
		}
	}
}

// await begins to listen for the message that the request turned out to be, and
// reports whether it did so already: if not, it has to ask once more, because
// what was through by now is told to nobody.
func (t *transit) await() (already bool) {
	f, name := &t.e.flights, t.request.Same
	if t.landing != nil && t.awaits == name {
		return true
	}
	t.forgo()
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.awaited[name]
	if l == nil {
		if f.awaited == nil {
			f.awaited = map[string]*landing{}
		}
		l = &landing{wake: map[*transit]context.CancelCauseFunc{}}
		f.awaited[name] = l
	}
	l.waiting++
	t.landing, t.awaits = l, name
	return false
}

// forgo ends listening.
func (t *transit) forgo() {
	if t.landing == nil {
		return
	}
	f := &t.e.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.landing.waiting--; t.landing.waiting == 0 {
		delete(f.awaited, t.awaits)
	}
	t.landing = nil
}

// listens notes, before the ledger is asked, what was told until then.
func (t *transit) listens() {
	if t.landing == nil {
		return
	}
	t.e.flights.mu.Lock()
	defer t.e.flights.mu.Unlock()
	t.landings = t.landing.times
}

// takeOff notes a reserved message, that others may turn out to be.
func (t *transit) takeOff() {
	if t.flight != "" && (!t.reserved || t.flight != t.request.Same) {
		t.land()
	}
	if t.reserved {
		t.flight = t.request.Same
	}
}

// land wakes those that wait for this message.
func (t *transit) land() {
	if t.flight != "" {
		t.e.flights.landed(t.flight)
		t.flight = ""
	}
}

// onLanding ends a wait when the message that this one waits for is through.
func (t *transit) onLanding(end context.CancelCauseFunc) (unhook func()) {
	if t.decision.Verdict != ratelimit.Twin || t.landing == nil {
		return func() {}
	}
	f, l := &t.e.flights, t.landing
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.times != t.landings {
		end(errLanded)
	}
	l.wake[t] = end
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(l.wake, t)
	}
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

// nextLook is when to ask about the first one again, if nobody tells that it is
// through before: at its slot, when it would be given back, or when nobody would
// take it for being on its way any more.
func (t *transit) nextLook() time.Time {
	now, at := t.e.clock().Now(), time.UnixMilli(t.decision.At)
	look := at
	switch {
	case t.decision.At == 0:
		look = now.Add(time.Duration(ratelimit.Remembered) * time.Millisecond)
	case !at.After(now):
		look = at.Add(time.Duration(ratelimit.Abandoned) * time.Millisecond)
	}
	if soon := now.Add(twinLook); t.e.polls() && !at.After(soon) || !look.After(now) {
		look = soon
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
		t.listens()
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
