package proxy

// Requests that a limit counts while they are on their way: they are over when
// the answer was read to its end, and until then their place in the ledger is
// a lease, which is prolonged.

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"quotagate/ratelimit"
)

// leaseEvery is how often a lease is prolonged. The ledger's lasts 60 seconds:
// two may get lost.
const leaseEvery = 20 * time.Second

// concurrent reports whether a limit counts the request while it is on its way.
func (t *transit) concurrent() bool {
	for i := range t.claims {
		if t.claims[i].Measure == ratelimit.Concurrent {
			return true
		}
	}
	return false
}

// A lease is prolonged until it ends.
type lease struct {
	mu    sync.Mutex
	timer *time.Timer // nil: ended
}

// newLease prolongs the reservation of id from now on.
func newLease(ledger ratelimit.Store, id string, log *slog.Logger) *lease {
	l := &lease{}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(leaseEvery, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.timer == nil {
			return
		}
		Contained(log, "the prolonging of a lease", func() {
			ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
			defer cancel()
			_, _ = ledger.Fire(ctx, id) // if it fails, the next one is in time too
		})
		l.timer.Reset(leaseEvery)
	})
	return l
}

// end is called before the reservation is closed, and returns when nothing is
// asked about it any more: a closed one is not to be fired.
func (l *lease) end() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// keepAtEnd closes the reservation when the answer was read to its end, or
// nobody reads it any more.
func (t *transit) keepAtEnd(resp *http.Response) {
	atEnd(resp, sync.OnceFunc(t.keep))
}

// atEnd has end called before the last byte of an answer is handed on, and
// again when it is closed; at once if there is no such byte, or what follows is
// no answer.
func atEnd(resp *http.Response, end func()) {
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.Body == nil || resp.Body == http.NoBody || resp.ContentLength == 0 {
		end()
		return
	}
	resp.Body = &tail{ReadCloser: resp.Body, left: resp.ContentLength, end: end}
}

// A tail calls end when its body is read to the end or closed: before the last
// byte is handed on, where the length is known, so that the client that asks
// again at once finds the place free.
type tail struct {
	io.ReadCloser
	left int64 // -1: not known
	end  func()
}

func (b *tail) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left >= 0 {
		b.left -= int64(n)
	}
	if err != nil || b.left == 0 {
		b.end()
	}
	return n, err
}

func (b *tail) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}
