package proxy

// The watch over clients that stand still: one timer for all requests, which
// costs a short one next to nothing. What is said of a bound is so by an eighth
// of its time.

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A lookout has all requests that a client can hold up.
type lookout struct {
	server *Server

	mu     sync.Mutex
	first  *visit
	going  bool // a look is due
	visits int
}

// enter has a visit watched until it leaves.
func (w *lookout) enter(v *visit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v.next = w.first
	if w.first != nil {
		w.first.previous = v
	}
	w.first = v
	w.visits++
	if !w.going {
		w.going = true
		w.plan()
	}
}

func (w *lookout) leave(v *visit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v.previous == nil {
		w.first = v.next
	} else {
		v.previous.next = v.next
	}
	if v.next != nil {
		v.next.previous = v.previous
	}
	v.next, v.previous = nil, nil
	w.visits--
}

// plan has the watch look again; it ends with the last visit.
func (w *lookout) plan() {
	time.AfterFunc(max(w.server.limits.BodyTime/8, time.Millisecond), w.look)
}

func (w *lookout) look() {
	for _, v := range w.all() {
		Contained(w.server.log, "the watch over a slow client", v.look)
	}
}

// all is who is watched, and will be looked at again.
func (w *lookout) all() []*visit {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == nil {
		w.going = false
		return nil
	}
	w.plan()
	all := make([]*visit, 0, w.visits)
	for v := w.first; v != nil; v = v.next {
		all = append(all, v)
	}
	return all
}

// look breaks off what stands still.
func (v *visit) look() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return // the connection has gone on to another request
	}
	limit, now := v.server.limits.BodyTime, time.Since(epoch)
	still := func(at *atomic.Int64) bool {
		began := time.Duration(at.Load())
		return began != 0 && now-began >= limit
	}
	writer := http.NewResponseController(v.ResponseWriter)
	switch {
	case still(&v.reading):
		if !v.slow.Swap(true) {
			v.server.over(BoundBodyTime, v.r.RemoteAddr)
		}
		_ = writer.SetReadDeadline(time.Unix(1, 0))
	case still(&v.writing):
		v.over = true
		v.server.over(BoundAnswerTime, v.r.RemoteAddr)
		_ = writer.SetWriteDeadline(time.Unix(1, 0))
	case v.version >= 2 && !v.long && now-v.began > limit/2:
		v.long = true
		_ = writer.SetWriteDeadline(time.Time{})
	}
}
