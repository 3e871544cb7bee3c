package proxy

// How long a service may take until its answer begins.

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
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

// An awaiting ends a request when, before its answer begins, nothing has gone
// on for a time: it runs from the start, and anew whenever the transport has
// taken a piece of the body. While the client is waited for it stands still:
// a client has bounds of its own.
//
// http.Transport's ResponseHeaderTimeout begins when all of the body is written,
// which a service that does not read keeps from ever being so.
type awaiting struct {
	e      *Enforcer
	whole  bool // the body is in memory
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	over  bool // the answer has begun, or it is too late
	late  bool
}

// attach makes the context in which the request is sent. Its end breaks off the
// answer too, so nobody ends it but the time.
func (a *awaiting) attach(ctx context.Context) context.Context {
	ctx, a.cancel = context.WithCancelCause(ctx)
	return ctx
}

// roundTrip sends what was attached.
func (a *awaiting) roundTrip(next http.RoundTripper, out *http.Request) (*http.Response, error) {
	if out.Body != nil && out.Body != http.NoBody && (!a.whole || out.ContentLength > smallBody) {
		out.Body = &awaitedBody{out.Body, a} // a small one goes in one piece
	}
	a.mu.Lock()
	a.timer = time.AfterFunc(a.e.maxResponseTime(), a.end)
	a.mu.Unlock()
	resp, err := next.RoundTrip(out)
	if a.began() {
		return resp, err
	}
	if err == nil { // at the very last moment: its body is broken off
		resp.Body.Close()
	}
	a.e.unbegun.Add(1)
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
		a.timer.Reset(a.e.maxResponseTime())
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
