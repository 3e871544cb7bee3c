package proxy

import (
	"context"
	"net/http"
)

// TakeSeats takes all seats at an enforcer's desk, and returns what gives them
// back.
func TakeSeats(e *Enforcer) (leave func()) {
	e.desk.open()
	for range cap(e.desk.seats) {
		e.desk.seats <- struct{}{}
	}
	return func() {
		for range cap(e.desk.seats) {
			<-e.desk.seats
		}
	}
}

// Intercepted serves requests as if they came from inside a connection to host
// that is intercepted.
func (s *Server) Intercepted(host string) http.HandlerFunc {
	t := newTarget("https", host, 443)
	t.client, t.tally = &Client{Addr: "127.0.0.1:1"}, &tally{limits: &s.limits}
	return func(w http.ResponseWriter, r *http.Request) {
		s.inner.Handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), targetKey{}, &t)))
	}
}

// EnterNobody has nobody wait for an account of that name, at which a look
// panics, until leave is called.
func EnterNobody(e *Enforcer) (leave func()) {
	r := &e.room
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines["nobody"] = []*waiter{nil}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.lines, "nobody")
	}
}

// WatchByReading has a server notice clients that leave as it does where a
// socket does not tell: by net/http's reader beside each handler.
func WatchByReading(s *Server) { s.watches = false }
