package proxy

import (
	"context"
	"errors"
	"time"
)

// hold waits until a time. It returns nil when it has come, or, while the same
// message is on its way, when that is through; and the reason when the wait
// ended early: the client left, or the proxy is stopping.
func (t *transit) hold(ctx context.Context, until time.Time) error {
	return t.waiting(func() error {
		t.noteHold(until)
		either, stop := t.untilLanded(ctx)
		defer stop()
		err := t.e.clock().Wait(either, until, t.e.Draining)
		if errors.Is(err, errLanded) && ctx.Err() == nil {
			return nil
		}
		return err
	})
}

// waiting counts the request among those that wait, for as long as wait takes.
func (t *transit) waiting(wait func() error) error {
	if t.e.held.Add(1) > t.e.maxHeld() {
		t.e.held.Add(-1)
		return errTooManyHeld
	}
	defer t.e.held.Add(-1)
	begin := t.e.clock().Now()
	defer func() { t.held += t.e.clock().Now().Sub(begin) }()
	if err := wait(); err != nil {
		return err
	}
	if t.noted && t.client.conn != nil && gone(t.client.conn) {
		return errClientGone
	}
	return nil
}

// noteHold writes the first record of a hold.
func (t *transit) noteHold(until time.Time) {
	if t.noted {
		return
	}
	t.noted = true
	r := t.newRecord(DecisionHold)
	r.RetryAt = until
	t.emit(r)
}

// errClientGone ends a hold whose client closed its connection.
var errClientGone = errors.New("the client has closed its connection")

func (e *Enforcer) maxHeld() int64 {
	if e.MaxHeld > 0 {
		return e.MaxHeld
	}
	return defaultMaxHeld
}
