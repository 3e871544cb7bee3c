package proxy

import (
	"context"
	"errors"
	"time"
)

// hold waits for the slot. It returns nil when the time has come, and the
// reason when the wait ended early: the client left, or the proxy is stopping.
func (t *transit) hold(ctx context.Context) error {
	if t.e.held.Add(1) > t.e.maxHeld() {
		t.e.held.Add(-1)
		return errTooManyHeld
	}
	defer t.e.held.Add(-1)
	begin := t.e.clock().Now()
	defer func() { t.held += t.e.clock().Now().Sub(begin) }()
	if t.held == 0 {
		t.record(DecisionHold, 0, "")
	}

	if err := t.e.clock().Wait(ctx, time.UnixMilli(t.decision.At), t.e.Draining); err != nil {
		return err
	}
	if t.client.conn != nil && gone(t.client.conn) {
		return errClientGone
	}
	return nil
}

// errClientGone ends a hold whose client closed its connection.
var errClientGone = errors.New("the client has closed its connection")

func (e *Enforcer) maxHeld() int64 {
	if e.MaxHeld > 0 {
		return e.MaxHeld
	}
	return defaultMaxHeld
}
