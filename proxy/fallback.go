package proxy

// What becomes of a message while the ledger does not answer: the rules say
// so. Refused, unless every limit that binds it says otherwise.

import (
	"context"
	"errors"
	"time"

	"quotagate/ratelimit"
)

// A localShare is a Store that can decide by this replica's share alone.
type localShare interface {
	ReserveLocally(ctx context.Context, r ratelimit.Request) (ratelimit.Decision, error)
}

// A charger is a Store that can be told later what was sent without it.
type charger interface {
	Charge(ctx context.Context, r ratelimit.Request, at int64) error
}

// mostLocal is how often one request asks for this replica's share: when it
// came, when it was held for it, and when that was moved.
const mostLocal = 8

// fallBack turns a failure of the ledger into a decision, where the rules have
// one for it. Otherwise it returns the error.
func (t *transit) fallBack(ctx context.Context, err error) error {
	var store storeError
	if errors.As(err, &store) && ctx.Err() == nil {
		t.e.unasked.Add(1)
	}
	if !errors.As(err, &store) || ctx.Err() != nil || errors.Is(err, ratelimit.ErrSkew) || errors.Is(err, ratelimit.ErrInvalid) {
		return err
	}
	if t.account == "" && len(t.sending.Identities) > 0 {
		t.account = t.sending.Identities[0]
	}
	policy := t.set.OnStoreError(t.sending, t.account)
	if policy == "reject" {
		return err
	}
	t.prepare()
	if t.contentRefuses() {
		return nil
	}
	switch policy {
	case "forward":
		t.giveBack()
		t.claims, t.decision, t.unasked = nil, ratelimit.Decision{Verdict: ratelimit.Go}, true
		return nil
	case "local":
		share, ok := t.e.Ledger.(localShare)
		if !ok || t.local >= mostLocal {
			return err
		}
		t.local++
		d, failed := share.ReserveLocally(ctx, t.request)
		if failed != nil {
			return errors.Join(err, failed)
		}
		t.byShare = true
		t.took(d)
		return nil
	}
	return err
}

// onItsOwn says of a decision that the ledger did not make it, and who did.
func (t *transit) onItsOwn() string {
	switch {
	case t.unasked:
		return "the ledger did not answer: forwarded without it"
	case t.byShare:
		return "the ledger did not answer: this is about this replica's share"
	}
	return ""
}

// chargeLater tells the ledger what went while it did not answer.
func (t *transit) chargeLater(at time.Time) {
	c, ok := t.e.Ledger.(charger)
	if !t.unasked || !ok || t.account == "" {
		return
	}
	ctx, cancel := t.settling()
	defer cancel()
	// It is noted in this replica's journal; where not even that can be, the
	// message is not counted, as the rules chose.
	if err := c.Charge(ctx, t.request, at.UnixMilli()); err != nil {
		t.e.log().Error("a message that was forwarded without the ledger is not counted", "id", t.id, "account", t.account, "error", err.Error())
	}
}
