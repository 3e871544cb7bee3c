package proxy

import (
	"context"
	"fmt"
	"slices"
	"time"

	"quotagate/ratelimit"
)

// gate is the line in which requests wait for their rates.
func (e *Enforcer) gate() *ratelimit.Gate {
	e.gateOnce.Do(func() {
		e.theGate = &ratelimit.Gate{
			Rates: e.Rates,
			Now:   e.clock().Now,
			Hold: func(ctx context.Context) error {
				if t, ok := ctx.Value(transitKey{}).(*transit); ok {
					return t.enter()
				}
				return nil
			},
			Sleep: func(ctx context.Context, at time.Time) error {
				if t, ok := ctx.Value(transitKey{}).(*transit); ok {
					t.noteHold(at)
				}
				return e.clock().Wait(ctx, at, e.Draining)
			},
		}
	})
	return e.theGate
}

type transitKey struct{}

// rate asks the rates. It reports whether they let the request through; if not,
// the decision says why.
func (t *transit) rate(ctx context.Context) (bool, error) {
	if t.e.Rates == nil || t.dry {
		return true, nil
	}
	rates := t.set.Rates(t.sending, t.account)
	for i := range rates {
		r := &rates[i]
		r.Wait = max(0, r.Wait-t.held.Milliseconds()) // counted from its arrival
		t.decision = ratelimit.Decision{Limit: r.Limit, Fits: -1, Uses: []ratelimit.Use{{Limit: r.Limit, Allow: r.N}}}
		var p ratelimit.Passage
		err := t.waiting(func() (err error) {
			p, err = t.e.gate().Wait(context.WithValue(ctx, transitKey{}, t), rates[i:i+1])
			return err
		})
		switch {
		case err != nil && (ctx.Err() != nil || wokenEarly(err)):
			return false, err
		case err != nil:
			return false, storeError{err}
		}
		for _, limit := range p.Shadowed {
			t.goesAnyway(limit, !t.set.Warns(limit))
		}
		if p.Limit != "" {
			t.decision = t.refused(p.Limit, fmt.Sprintf("%d every %s are let through", r.N, spanText(r.Per)))
			t.decision.Uses = []ratelimit.Use{{Limit: p.Limit, Used: r.N, Allow: r.N, Short: true}}
			if !p.RetryAt.IsZero() {
				t.decision.At = p.RetryAt.UnixMilli()
			}
			return false, nil
		}
	}
	return true, nil
}

// goesAnyway notes a limit outside the ledger that has something to say and
// stops nothing.
func (t *transit) goesAnyway(limit string, shadow bool) {
	list := &t.warned
	if shadow {
		list = &t.shadowed
	}
	if !slices.Contains(*list, limit) {
		*list = append(*list, limit)
	}
}

// refused is the decision of a limit that is not the ledger's.
func (t *transit) refused(limit, why string) ratelimit.Decision {
	return ratelimit.Decision{
		Verdict: ratelimit.Refused, Now: t.e.clock().Now().UnixMilli(),
		Limit: limit, Why: why, Account: t.account, Fits: -1,
	}
}

// contentRefuses asks the limits that look at what a message says. They hold
// at any time, so they are asked before the ledger.
func (t *transit) contentRefuses() bool {
	limit, why, found := t.set.Content(t.sending, t.account)
	if !found {
		for _, w := range t.set.ContentWarnings(t.sending, t.account) {
			t.goesAnyway(w.Limit, w.Shadow)
		}
		return false
	}
	t.giveBack()
	t.decision = t.refused(limit, why)
	return true
}
