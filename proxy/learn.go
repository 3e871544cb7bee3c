package proxy

// What is learned of recipients from traffic: that one replied, that one became
// a connection, that a thread is a person. It is read out of copies of what
// passes and told to the ledger in the background: no byte waits for it.

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

const (
	// maxHeard is how much of a body is copied to learn from it. What is
	// longer is not read at all.
	maxHeard = 1 << 20
	// maxLessons and maxLessonBytes bound what waits to be learned.
	maxLessons     = 4096
	maxLessonBytes = 32 << 20
)

// An ear listens to one exchange. A nil one hears nothing.
type ear struct {
	e        *Enforcer
	sight    *rules.Sighting
	request  bool
	response bool
	asking   *copied
	answer   *copied
	status   int
	header   http.Header
}

// listen returns an ear for an exchange from which something may be learned.
func (e *Enforcer) listen(sight *rules.Sighting) *ear {
	if sight == nil {
		return nil
	}
	request, response := sight.Listens()
	if !request && !response {
		return nil
	}
	return &ear{e: e, sight: sight, request: request, response: response}
}

// asked copies the request's body as it goes by.
func (h *ear) asked(req *http.Request) *http.Request {
	if h == nil || !h.request || req.Body == nil || req.Body == http.NoBody {
		return req
	}
	h.asking = &copied{}
	out := req.WithContext(req.Context())
	out.Body = &copying{ReadCloser: req.Body, into: h.asking}
	out.GetBody = nil
	return out
}

// knows takes a request's body that was read already.
func (h *ear) knows(body []byte) {
	if h != nil && h.request && len(body) <= maxHeard {
		h.asking = &copied{b: body}
	}
}

// answered copies the answer's body as it goes by, and learns at its end.
func (h *ear) answered(resp *http.Response) {
	if h == nil {
		return
	}
	h.status, h.header = resp.StatusCode, resp.Header
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
	case !h.response || resp.Body == nil || resp.Body == http.NoBody || resp.ContentLength == 0:
		h.learn()
	case resp.ContentLength > maxHeard:
	default:
		h.answer = &copied{}
		resp.Body = &copying{ReadCloser: resp.Body, into: h.answer, end: sync.OnceFunc(h.learn)}
	}
}

func (h *ear) learn() {
	request, ok := h.asking.whole()
	response, also := h.answer.whole()
	if ok && also {
		h.e.learning.add(h.e, lesson{
			sight: h.sight, at: h.e.clock().Now(), status: h.status, header: h.header,
			request: request, response: response,
		})
	}
}

// copied is what was copied of a body: at most maxHeard, or nothing at all.
type copied struct {
	mu   sync.Mutex // the transport may still write the request when the answer is there
	b    []byte
	over bool
}

func (c *copied) add(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || len(c.b)+len(p) > maxHeard {
		c.b, c.over = nil, true
		return
	}
	c.b = append(c.b, p...)
}

// whole is all of it, if nothing is missing. Of nil that is nothing.
func (c *copied) whole() (b []byte, ok bool) {
	if c == nil {
		return nil, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b, !c.over
}

// copying is a body that is copied while it is read. end is called once it was
// read to its end, and never if it was not.
type copying struct {
	io.ReadCloser
	into *copied
	end  func()
}

func (c *copying) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.into.add(p[:n])
	if err == io.EOF && c.end != nil {
		c.end()
	}
	return n, err
}

// A lesson is an exchange to learn from, or an event that was learned.
type lesson struct {
	event ratelimit.Event // where there is no sight
	at    time.Time

	sight             *rules.Sighting
	request, response []byte
	status            int
	header            http.Header
}

func (l *lesson) size() int { return len(l.request) + len(l.response) }

// learning is the queue of lessons. They are taken up one after the other, in
// their order, by a goroutine that is there while there are any.
type learning struct {
	mu      sync.Mutex
	queue   []lesson
	bytes   int
	working bool
	idle    chan struct{} // closed when nothing is left; nil: nothing is
	dropped int64
}

// add puts a lesson into the queue, or drops it where that is full.
func (q *learning) add(e *Enforcer, l lesson) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) >= maxLessons || q.bytes+l.size() > maxLessonBytes {
		q.dropped++
		if q.dropped&(q.dropped-1) == 0 { // 1, 2, 4, 8, …
			e.log().Warn("the ledger is too slow to learn of replies and connections; some are lost", "lost", q.dropped)
		}
		return
	}
	q.queue, q.bytes = append(q.queue, l), q.bytes+l.size()
	if !q.working {
		q.working, q.idle = true, make(chan struct{})
		go q.work(e)
	}
}

func (q *learning) work(e *Enforcer) {
	for {
		q.mu.Lock()
		if len(q.queue) == 0 {
			q.working, q.queue = false, nil
			close(q.idle)
			q.mu.Unlock()
			return
		}
		l := q.queue[0]
		q.queue[0] = lesson{}
		q.queue, q.bytes = q.queue[1:], q.bytes-l.size()
		q.mu.Unlock()
		Contained(e.log(), "the learning from an exchange", func() { l.take(e) })
	}
}

// take reads the lesson and tells the ledger.
func (l *lesson) take(e *Enforcer) {
	if l.sight == nil {
		l.observe(e, l.event)
		return
	}
	for _, one := range l.sight.Learn(l.request, l.status, l.header, l.response) {
		account := one.Account
		if account == "" && len(one.Identities) > 0 {
			ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
			name, err := e.Ledger.Resolve(ctx, one.Identities)
			cancel()
			if err != nil {
				e.log().Error("an event is lost: the ledger did not answer", append(notes(&one.Event), "error", err.Error())...)
				continue
			}
			account = name
		}
		if account == "" {
			continue
		}
		one.Event.Account = account
		l.observe(e, one.Event)
	}
}

func (l *lesson) observe(e *Enforcer, event ratelimit.Event) {
	if event.At == 0 {
		event.At = l.at.UnixMilli()
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	if err := e.Ledger.Observe(ctx, event); err != nil {
		e.log().Error("an event is lost: the ledger did not take it", append(notes(&event), "error", err.Error())...)
	}
}

// Settle waits until the ledger was told all that was learned, or the context
// ends. Call it when no more requests come, before the ledger is closed.
func (e *Enforcer) Settle(ctx context.Context) error {
	e.learning.mu.Lock()
	idle := e.learning.idle
	e.learning.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Unlearned is how many events were dropped because too many waited.
func (e *Enforcer) Unlearned() int64 {
	e.learning.mu.Lock()
	defer e.learning.mu.Unlock()
	return e.learning.dropped
}
