package proxy

// Waiting, and what ends it: the time, the client, the proxy's end, the same
// message that went, or a change that has the request decided anew.
//
// Thousands may wait, each on its stack. What is called on the way there and has
// returned is marked go:noinline where the compiler would put it, and its room,
// into a function that waits: that was 4 KiB for each.

import (
	"context"
	"errors"
	"time"
)

// hold waits until a time. It returns nil when it has come, when the same
// message that this one waits for is through, or when the request is to be
// decided anew; and the reason when the wait ended early: the client left, or
// the proxy is stopping.
func (t *transit) hold(ctx context.Context, until time.Time) error {
	if err := t.enter(); err != nil {
		return err
	}
	began := t.e.clock().Now()
	t.noteHold(until)
	attentive, stop := t.attend(ctx)
	defer stop()
	err := t.e.clock().Wait(attentive, until, t.e.Draining)
	t.looks = errors.Is(err, errLook)
	if (t.looks || errors.Is(err, errLanded)) && ctx.Err() == nil {
		err = nil
	}
	return t.endWait(began, err)
}

// enter takes a place in the waiting room.
func (t *transit) enter() (err error) {
	if t.waiter == nil {
		client, most := t.e.heldOf(t.client)
		t.waiter, err = t.e.room.enter(t.account, client, t.e.maxHeld(), t.e.maxHeldPerAccount(), most)
	}
	return err
}

// leave gives the place up.
func (t *transit) leave() {
	t.leaveLines()
	t.forgo()
	if t.waiter != nil {
		t.e.room.leave(t.waiter)
		t.waiter = nil
	}
}

// looked tells whoever had the request decided anew that it was.
func (t *transit) looked() {
	if t.looks && t.waiter != nil {
		t.e.room.looked(t.waiter)
	}
	t.looks = false
}

// attend is a context that also ends when the message that this one waits for
// is through, and when it is to be decided anew. stop lets go of all.
func (t *transit) attend(ctx context.Context) (_ context.Context, stop func()) {
	both, end := context.WithCancelCause(ctx)
	unhook := t.onLanding(end)
	t.e.room.doze(t.waiter, t, end)
	return both, func() {
		t.e.room.rise(t.waiter)
		unhook()
		end(nil)
	}
}

// endWait counts a wait as held, and makes what ended it of how it ended.
func (t *transit) endWait(began time.Time, err error) error {
	t.held += t.e.clock().Now().Sub(began)
	if err == nil && t.noted && t.client.conn != nil && gone(t.client.conn) {
		return errClientGone
	}
	return err
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
