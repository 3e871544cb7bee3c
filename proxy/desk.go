package proxy

// How many bodies are taken apart at once. While one is, it takes many times
// the memory that it came with: what was compressed is undone, JSON becomes a
// tree. So those that may grow large take turns, no more at once than there are
// processors to work on them: together they would not be done sooner.

import (
	"context"
	"net/http"
	"runtime"
	"sync"

	"quotagate/rules"
)

// smallEncoded is as much of a compressed body as may be undone at any time: by
// what rules let one grow, it becomes a mebibyte.
const smallEncoded = 4 << 10

// A desk has room for a few large bodies. Its zero value is ready.
type desk struct {
	once  sync.Once
	seats chan struct{}
}

func (d *desk) open() {
	d.once.Do(func() { d.seats = make(chan struct{}, runtime.GOMAXPROCS(0)) })
}

// sit waits for a seat, and returns what gives it back.
func (d *desk) sit(ctx context.Context) (leave func(), err error) {
	d.open()
	select {
	case d.seats <- struct{}{}:
		return func() { <-d.seats }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// heavy reports a body that may grow large while it is taken apart.
func heavy(h http.Header, body []byte) bool {
	return len(body) > smallBody || len(body) > smallEncoded && len(h["Content-Encoding"]) > 0
}

// takeApart reads a body's messages. The first error is the client's: it left
// while others were at it.
func (e *Enforcer) takeApart(req *http.Request, sight *rules.Sighting, body []byte) (sending *rules.Sending, gone, err error) {
	if heavy(req.Header, body) {
		leave, gone := e.desk.sit(req.Context())
		if gone != nil {
			return nil, requestError{gone}, nil
		}
		defer leave()
	}
	sending, err = sight.Read(body)
	return sending, nil, err
}
