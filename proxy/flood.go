package proxy

// HTTP/2 frames that are no request. net/http bounds what they take of its
// memory (streams and handlers at once, a header block's size, the answers to
// settings and pings that wait to be written; net/http of Go 1.26), but not how
// many come: each costs us more than it costs who sends it.

import (
	"sync/atomic"
	"time"
)

// A tally weighs what an intercepted connection reads against what came of it.
// Every request, and every byte of a body either way, earns the connection
// bytes that it may read; what it reads beyond them may be no more than a
// minute's allowance.
type tally struct {
	limits *Limits
	read   atomic.Int64
	earned atomic.Int64

	// Of the minute: since when, and what was over before it. Only the
	// connection's reader has them.
	since time.Time
	base  int64

	resets atomic.Int64
	from   atomic.Int64 // when the minute of the resets began, since epoch
}

// took counts bytes that were read; false: too many for what came of them.
func (t *tally) took(n int) bool {
	over := t.read.Add(int64(n)) - t.earned.Load()
	if over-t.base <= t.limits.ControlBytes {
		return true
	}
	now := time.Now()
	if now.Sub(t.since) < time.Minute && !t.since.IsZero() {
		return false
	}
	t.since, t.base = now, over
	return true
}

// What is earned beside the payload: a header's compression, padding and
// priorities; a frame's and a TLS record's head, and the window updates and
// pings that a peer sends for what it gets.
const (
	perHeader = 512
	perPiece  = 64
)

func (t *tally) request(header int) { t.earn(2*header + perHeader) }
func (t *tally) piece(n int)        { t.earn(n + n/4 + perPiece) }

func (t *tally) earn(n int) {
	if t != nil {
		t.earned.Add(int64(n))
	}
}

// reset counts a request that its client took back; false: too many.
func (t *tally) reset() bool {
	if t == nil {
		return true
	}
	now := int64(time.Since(epoch))
	if from := t.from.Load(); from == 0 || now-from >= int64(time.Minute) {
		if t.from.CompareAndSwap(from, now) {
			t.resets.Store(0)
		}
	}
	return t.resets.Add(1) <= t.limits.Resets
}
