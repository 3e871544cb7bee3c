package proxy

// How long a service may take until its answer begins.

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// defaultMaxResponseTime is far beyond what the services of the packs take, and
// beyond the longest poll among them: Telegram's getUpdates waits as long as its
// caller says, 50 seconds with most libraries
// (https://core.telegram.org/bots/api#getupdates, 2026-11-22).
const defaultMaxResponseTime = 5 * time.Minute

// errUnanswered ends a request whose service neither takes it nor begins to
// answer.
var errUnanswered = errors.New("the service did not begin to answer in time")

// forward sends a request. One without a body, or with a small one that is in
// memory, is whole at once: from when it is written the transport keeps the time
// (its ResponseHeaderTimeout is to be MaxResponseTime), and until then the outbox.
func (e *Enforcer) forward(out *http.Request, tr *sendTrace, inMemory bool) (*http.Response, error) {
	if out.Body == nil || out.Body == http.NoBody || inMemory && out.ContentLength >= 0 && out.ContentLength <= smallBody {
		tr.place.within = e
		resp, err := e.next().RoundTrip(out)
		if broken := e.outbox.take(tr); err != nil && (broken || headersLate(err)) {
			e.unbegun.Add(1)
			return nil, errUnanswered
		}
		return resp, err
	}
	ctx, cancel := context.WithCancelCause(out.Context())
	out = out.WithContext(ctx)
	a := &awaiting{limit: e.maxResponseTime(), cancel: cancel}
	out.Body = &awaitedBody{out.Body, a}
	resp, err := a.roundTrip(e, out)
	if err == errUnanswered {
		e.unstick(tr.conn)
	}
	return resp, err
}

// headersLate reports the words of net/http of Go 1.26 for that, of either
// version of HTTP.
func headersLate(err error) bool {
	return timedOut(err) && strings.HasSuffix(err.Error(), "timeout awaiting response headers")
}

// An awaiting ends a request when, before its answer begins, nothing has gone
// on for a time: it runs from the start, and anew whenever the transport has
// taken a piece of the body. While the client is waited for it stands still:
// a client has bounds of its own.
type awaiting struct {
	limit  time.Duration
	cancel context.CancelCauseFunc // breaks off the answer too, so only the time does it

	mu    sync.Mutex
	timer *time.Timer
	over  bool // the answer has begun, or it is too late
	late  bool
}

func (a *awaiting) roundTrip(e *Enforcer, out *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.timer = time.AfterFunc(a.limit, a.end)
	a.mu.Unlock()
	resp, err := e.next().RoundTrip(out)
	if a.began() && (err == nil || !headersLate(err)) {
		return resp, err
	}
	if err == nil { // at the very last moment: its body is broken off
		resp.Body.Close()
	}
	e.unbegun.Add(1)
	return nil, errUnanswered
}

// end is the timer's.
func (a *awaiting) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	a.over, a.late = true, true
	a.cancel(errUnanswered)
}

// began stops the time; false: it is too late.
func (a *awaiting) began() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	a.timer.Stop()
	return !a.late
}

// pause stops the time while the client is waited for, and resume has it begin
// anew.
func (a *awaiting) pause() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		a.timer.Stop()
	}
}

func (a *awaiting) resume() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		a.timer.Reset(a.limit)
	}
}

// An awaitedBody is a request's body as the transport takes it.
type awaitedBody struct {
	io.ReadCloser
	awaiting *awaiting
}

func (b *awaitedBody) Read(p []byte) (int, error) {
	b.awaiting.pause()
	defer b.awaiting.resume()
	return b.ReadCloser.Read(p)
}

func (e *Enforcer) maxResponseTime() time.Duration {
	return cmp.Or(e.MaxResponseTime, defaultMaxResponseTime)
}

// Unanswered is how many requests were broken off because their service did not
// begin to answer, since the start.
func (e *Enforcer) Unanswered() int64 { return e.unbegun.Load() }
