package proxy

// The watch over clients that stand still, or leave: one timer for all requests,
// which costs a short one next to nothing. What is said of a bound is so by an
// eighth of its time.

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A lookout has all requests that are with their handlers.
type lookout struct {
	server *Server

	mu          sync.Mutex
	first, last *visit // in the order in which they came
	young       *visit // the first that is not attended yet; nil: all are
	going       bool   // a look is due
	looked      time.Duration
}

// enter has a visit watched until it leaves.
func (w *lookout) enter(v *visit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v.began = time.Since(epoch)
	if v.previous = w.last; w.last == nil {
		w.first = v
	} else {
		w.last.next = v
	}
	w.last = v
	if w.young == nil {
		w.young = v
	}
	if !w.going {
		w.going, w.looked = true, v.began
		w.plan()
	}
}

func (w *lookout) leave(v *visit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.young == v {
		w.young = v.next
	}
	if v.previous == nil {
		w.first = v.next
	} else {
		v.previous.next = v.next
	}
	if v.next == nil {
		w.last = v.previous
	} else {
		v.next.previous = v.previous
	}
	v.next, v.previous = nil, nil
}

// plan has the watch look again; it ends with the last visit.
func (w *lookout) plan() {
	time.AfterFunc(min(soon, w.every()), w.look)
}

// every is how often clients that stand still are looked for.
func (w *lookout) every() time.Duration {
	return max(w.server.limits.BodyTime/8, time.Millisecond)
}

func (w *lookout) look() {
	slow, all := w.due()
	for _, v := range slow {
		Contained(w.server.log, "the watch over a client", v.attend)
	}
	for _, v := range all {
		Contained(w.server.log, "the watch over a slow client", v.look)
	}
}

// due is who is to be attended from now on, and who may stand still. There will
// be another look, if there is anybody.
func (w *lookout) due() (slow, all []*visit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == nil {
		w.going = false
		return nil, nil
	}
	w.plan()
	now := time.Since(epoch)
	for ; w.young != nil && now-w.young.began >= soon; w.young = w.young.next {
		slow = append(slow, w.young)
	}
	if now-w.looked >= w.every() {
		w.looked = now
		for v := w.first; v != nil; v = v.next {
			all = append(all, v)
		}
	}
	return slow, all
}

// attend looks for a client of HTTP/1 that leaves.
func (v *visit) attend() {
	if k := below(connOf(v.r.Context())); k != nil && v.version == 1 {
		k.attend()
	}
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
