package proxy

import (
	"context"
	"errors"
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
				wait := func(ctx context.Context) error { return e.clock().Wait(ctx, at, e.Draining) }
				if t, ok := ctx.Value(transitKey{}).(*transit); ok {
					t.noteHold(at)
					return t.standBy(ctx, wait)
				}
				return wait(ctx)
			},
			Await: func(ctx context.Context, turn <-chan struct{}) error {
				wait := func(ctx context.Context) error {
					select {
					case <-turn:
						return nil
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				}
				if t, ok := ctx.Value(transitKey{}).(*transit); ok {
					return t.standBy(ctx, wait)
				}
				return wait(ctx)
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
	t.rates = t.set.Rates(t.sending, t.account)
	for i := range t.rates {
		r := &t.rates[i]
		if slices.ContainsFunc(t.passed, func(p ratelimit.Rate) bool { return countsAs(&p, r) }) {
			continue
		}
		t.rating = i
		one := t.rates[i : i+1]
		if t.held > 0 { // its wait is counted from its arrival
			one = slices.Clone(one)
			one[0].Wait = max(0, r.Wait-t.held.Milliseconds())
		}
		t.decision = ratelimit.Decision{Limit: r.Limit, Fits: -1, Uses: []ratelimit.Use{{Limit: r.Limit, Allow: r.N}}}
		began := t.e.clock().Now()
		p, err := t.e.gate().Wait(context.WithValue(ctx, transitKey{}, t), one)
		err = t.endWait(began, err)
		switch {
		case t.recalled != nil: // by new rules
			t.passed = append(t.passed, t.rates[:i]...)
			err, t.recalled = t.recalled, nil
			return false, err
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

// countsAs reports whether two rates are one counter.
func countsAs(a, b *ratelimit.Rate) bool {
	return a.Key == b.Key && a.N == b.N && a.Per == b.Per && a.Burst == b.Burst && a.Shadow == b.Shadow
}

// standBy waits in the line of a rate, with an ear to the rules: where the new
// ones ask the same rates of the request, it stays where it stands.
func (t *transit) standBy(ctx context.Context, wait func(context.Context) error) error {
	for {
		t.looked() // it stands in line again
		attentive, end := context.WithCancelCause(ctx)
		t.e.room.standBy(t.waiter, t, end)
		err := wait(attentive)
		t.e.room.rise(t.waiter)
		end(nil)
		if t.looks = errors.Is(err, errLook); !t.looks || ctx.Err() != nil {
			return err
		}
		set := t.e.Rules()
		if set == t.set {
			continue
		}
		if t.recalled = t.relearn(ctx, set); t.recalled != nil {
			return t.recalled
		}
		rates, was := t.set.Rates(t.sending, t.account), t.rates[t.rating].Wait
		if !slices.EqualFunc(rates, t.rates, func(a, b ratelimit.Rate) bool { return countsAs(&a, &b) }) {
			t.recalled = errLook
			return errLook
		}
		if t.rates = rates; rates[t.rating].Wait != was {
			return ratelimit.NewWait{Wait: max(0, rates[t.rating].Wait-t.held.Milliseconds())}
		}
	}
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
