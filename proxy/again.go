package proxy

// What a held request does when its time has come, or something has changed
// before that.

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// lateness is how long after its slot a booking may still be used: what timers
// and a busy machine may take.
const lateness = 100 * time.Millisecond

// again asks once more for a held sending.
func (t *transit) again(ctx context.Context) error {
	t.heard = t.e.room.changes.Load()
	booked := t.decision.Verdict == ratelimit.Booked
	if set := t.e.Rules(); set != t.set || t.older && !t.looks {
		return t.reread(ctx, set, booked)
	}
	if t.decision.Verdict == ratelimit.Twin {
		return t.afterTwin(ctx)
	}
	if t.looks || !booked {
		before := t.request
		return t.anew(ctx, booked, &before)
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

// reread asks for room in the limits of new rules, in place of what the request
// had booked. Before its time, one of whom they ask what the old ones asked stays
// as it is.
func (t *transit) reread(ctx context.Context, set *rules.Set, booked bool) error {
	err := t.relearn(ctx, set)
	if errors.Is(err, errNoMessage) {
		t.giveBack()
		t.claims, t.decision = nil, t.through()
		return nil
	}
	if err != nil {
		return err
	}
	before := t.request
	if t.looks {
		if t.prepare(); asksTheSame(&before, &t.request) {
			if _, _, refuses := set.Content(t.sending, t.account); !refuses {
				t.request, t.older = before, false
				return nil
			}
		}
	}
	t.older = true
	return t.anew(ctx, booked, &before)
}

// anew asks for room in place of what a request asked before. Before its time,
// one that waits for a counter of a scope keeps what it has booked unless it gets
// something better: it could lose its place to other accounts (docs/ledger.md,
// Scopes). Its account stays the one that it has till then.
func (t *transit) anew(ctx context.Context, booked bool, before *ratelimit.Request) error {
	if _, shared := t.scopes(); !booked || !t.looks || t.waiter.shared == "" && shared == "" {
		return t.reserve(ctx, booked)
	}
	if t.account != t.decision.Account {
		t.request, t.claims, t.account = *before, before.Claims, t.decision.Account
		return nil
	}
	return t.reserveOr(ctx, booked, before)
}

// errNoMessage says that new rules take for no message what old ones did.
var errNoMessage = errors.New("the rules know no message here")

// relearn finds out what a held request means under new rules.
func (t *transit) relearn(ctx context.Context, set *rules.Set) error {
	call := callOf(t.req, t.client)
	call.MaxBody = t.e.maxBody()
	sight := set.Look(&call)
	var sending *rules.Sending
	var err error
	if sight.Message() && !t.mere() {
		var gone error
		if sending, gone, err = t.e.takeApart(t.req, &sight, t.body); gone != nil {
			return gone
		} else if err != nil {
			return barredError{unread(err)}
		}
	}
	if sending == nil {
		sending, err = callSending(&sight, t.body)
	} else {
		sending.Messages = append(sending.Messages, sight.Calls()...)
	}
	if err != nil {
		return barredError{unread(err)}
	}
	t.set, t.sight = set, &sight
	if sending == nil { // the new rules know no message here
		if barred(&sight, t.req, &call) {
			return barredError{&unmatched}
		}
		return errNoMessage
	}
	t.sending = sending
	return t.who(ctx)
}

// asksTheSame reports whether two requests of one message ask the ledger for
// the same.
func asksTheSame(a, b *ratelimit.Request) bool {
	return a.Account == b.Account && a.Same == b.Same && a.Dedupes == b.Dedupes &&
		slices.Equal(a.Aliases, b.Aliases) && slices.Equal(a.Services, b.Services) && slices.Equal(a.Recipients, b.Recipients) &&
		reflect.DeepEqual(a.Claims, b.Claims)
}
