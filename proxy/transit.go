package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// A transit is one governed request on its way.
type transit struct {
	e       *Enforcer
	req     *http.Request
	client  *Client
	set     *rules.Set
	id      string
	now     time.Time // when it arrived
	body    []byte
	sending *rules.Sending

	account  string // the ledger's name for it
	claims   []ratelimit.Claim
	decision ratelimit.Decision
	reserved bool // the ledger holds a reservation under id
	held     time.Duration
	dry      bool // only asks: nothing is taken
}

// run asks the ledger, waits if it must, and sends or refuses.
func (t *transit) run() (*http.Response, error) {
	ctx := t.req.Context()
	var err error
	if t.e.draining() {
		err = ErrDraining
	} else {
		err = t.reserve(ctx, false)
	}
	for err == nil {
		switch t.decision.Verdict {
		case ratelimit.Go:
			return t.send()
		case ratelimit.Refused:
			return t.refuse(), nil
		}
		if err = t.hold(ctx); err == nil {
			err = t.again(ctx)
		}
	}
	return t.undecided(ctx, err)
}

// undecided ends a transit that got no verdict: the client left, the proxy is
// stopping, or the ledger did not answer.
func (t *transit) undecided(ctx context.Context, err error) (*http.Response, error) {
	t.giveBack()
	var store storeError
	if errors.As(err, &store) && ctx.Err() == nil {
		if t.set.OnStoreError(t.sending, t.account) == "forward" {
			t.claims, t.decision = nil, ratelimit.Decision{}
			return t.send()
		}
		t.record(DecisionError, http.StatusServiceUnavailable, "the ledger did not answer: "+store.err.Error())
		return failed(t.req, err, t.id), nil
	}
	var unread barredError
	if errors.As(err, &unread) {
		return t.bar(withBody(t.req, t.body), t.sending.Service, *unread.barrier)
	}
	if ctx.Err() != nil || errors.Is(err, errClientGone) {
		t.record(DecisionCancel, 0, "the client left before the message was sent")
		return nil, err
	}
	t.record(DecisionReject, failureOf(err).Status, err.Error())
	return failed(t.req, err, t.id), nil
}

// reserve asks for room in every limit that binds the sending.
func (t *transit) reserve(ctx context.Context, replace bool) error {
	if err := t.who(ctx); err != nil {
		return err
	}
	now := t.e.clock().Now()
	if t.dry {
		now = t.now
	}
	t.claims = t.set.Claims(t.sending, t.account, now)
	if t.account == "" { // all of nobody, and the rules let it be
		t.decision = ratelimit.Decision{Verdict: ratelimit.Go, Now: t.now.UnixMilli(), Account: t.account, Fits: -1}
		return nil
	}
	d, err := t.e.Ledger.Reserve(ctx, ratelimit.Request{
		ID:      t.id,
		Account: t.account,
		Aliases: t.sending.Identities,
		Claims:  t.claims,
		Arrived: t.now.UnixMilli(),
		Replace: replace,
		Dry:     t.dry,
	})
	if err != nil {
		return storeError{err}
	}
	t.took(d)
	return nil
}

// who finds the account: the listed one that the request names, or that any of
// its identities has come to stand for; else the one that the first known
// identity stands for. Two listed accounts are nobody.
func (t *transit) who(ctx context.Context) error {
	t.account = t.sending.Account
	for _, id := range t.sending.Identities {
		name, err := t.e.Ledger.Resolve(ctx, []string{id})
		if err != nil {
			return storeError{err}
		}
		if !t.set.Listed(name) || name == t.account {
			continue
		}
		if t.account != "" {
			return barredError{unread(&rules.AccountError{Err: rules.ErrAmbiguous, Message: t.sending.Messages[0]})}
		}
		t.account = name
	}
	if t.account != "" || len(t.sending.Identities) == 0 {
		return nil
	}
	var err error
	if t.account, err = t.e.Ledger.Resolve(ctx, t.sending.Identities); err != nil {
		return storeError{err}
	}
	return nil
}

// took notes the ledger's answer.
func (t *transit) took(d ratelimit.Decision) {
	t.decision = d
	t.account = d.Account
	t.reserved = d.Verdict == ratelimit.Go || d.Verdict == ratelimit.Booked
}

// lateness is how long after its slot a booking may still be used: what timers
// and a busy machine may take.
const lateness = 100 * time.Millisecond

// again asks once more for a held sending whose time has come.
func (t *transit) again(ctx context.Context) error {
	booked := t.decision.Verdict == ratelimit.Booked
	if set := t.e.Rules(); set != t.set {
		return t.reread(ctx, set, booked)
	}
	if !booked {
		return t.reserve(ctx, false)
	}
	if t.e.clock().Now().Sub(time.UnixMilli(t.decision.At)) > lateness {
		// The machine slept. What was booked for then must not leave now: all
		// that waited would leave at once, and for a window that has passed.
		return t.reserve(ctx, true)
	}
	d, err := t.e.Ledger.Fire(ctx, t.id)
	if err != nil {
		return storeError{err}
	}
	if d.Verdict == ratelimit.Gone { // nobody came for it in time: it was given back
		t.reserved = false
		return t.reserve(ctx, false)
	}
	uses := t.decision.Uses
	t.took(d)
	if len(d.Uses) == 0 {
		t.decision.Uses = uses
	}
	return nil
}

// reread finds out what a held request means under new rules, and asks for
// room in their limits in place of what it had booked.
func (t *transit) reread(ctx context.Context, set *rules.Set, booked bool) error {
	call := callOf(t.req, t.client)
	sight := set.Look(&call)
	var sending *rules.Sending
	if sight.Message() {
		var err error
		if sending, err = sight.Read(t.body); err != nil {
			return barredError{unread(err)}
		}
	}
	t.set = set
	if sending == nil { // the new rules know no message here
		if barred(&sight, t.req) {
			return barredError{&unmatched}
		}
		t.giveBack()
		t.claims = nil
		t.decision = ratelimit.Decision{Verdict: ratelimit.Go, Now: t.now.UnixMilli(), Account: t.account, Fits: -1}
		return nil
	}
	t.sending = sending
	return t.reserve(ctx, booked)
}

// giveBack cancels the reservation, also after the client's context ended.
func (t *transit) giveBack(items ...int) {
	if !t.reserved {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.req.Context()), settleTimeout)
	defer cancel()
	// If the ledger cannot take it back, it stays counted: never over.
	if len(items) == 0 {
		_ = t.e.Ledger.Cancel(ctx, t.id)
		t.reserved = false
	} else {
		_ = t.e.Ledger.CancelItems(ctx, t.id, items)
	}
}
