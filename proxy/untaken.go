package proxy

// Requests that are whole at once, until their answer begins. How long a service
// may think is the transport's to watch, but it begins to when the request is
// written: what a service of HTTP/2 gives no window for, or one of either version
// does not read, never is. A context for each request, which could end it alone,
// costs ten times what a place in this list does, so what ends is the connection:
// one that has not taken a short request for so long serves nobody.

import (
	"net"
	"sync"
	"time"
)

// looks is how many times in the time that a service has a request is looked at.
const looks = 8

// An outbox has the requests that a transport has a connection for.
type outbox struct {
	mu    sync.Mutex
	first *sendTrace
	going bool // a look is due
}

// An outgoingPlace is a request's in the outbox, whose lock it is under.
type outgoingPlace struct {
	within         *Enforcer // nil: it is not watched
	there          bool
	previous, next *sendTrace
	seen           int  // how many times, since it last moved on
	written        bool // when it was last seen
	broken         bool // its connection was closed for it
}

// put has a request watched that is about to go out on c, for the first time or
// once more.
func (o *outbox) put(s *sendTrace, c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := &s.place
	s.conn, p.seen, p.written = c, 0, false
	s.written.Store(false)
	if p.there {
		return
	}
	p.there = true
	if p.next = o.first; o.first != nil {
		o.first.place.previous = s
	}
	o.first = s
	if !o.going {
		o.going = true
		o.plan(p.within)
	}
}

// take ends the watch; true: the connection was closed for this request.
func (o *outbox) take(s *sendTrace) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := &s.place
	if !p.there {
		return false
	}
	if p.previous == nil {
		o.first = p.next
	} else {
		p.previous.place.next = p.next
	}
	if p.next != nil {
		p.next.place.previous = p.previous
	}
	p.there, p.next, p.previous = false, nil, nil
	return p.broken
}

// plan has the watch look again; it ends with the last request.
func (o *outbox) plan(e *Enforcer) {
	time.AfterFunc(max(e.maxResponseTime()/looks, time.Millisecond), func() {
		for _, c := range o.late(e) {
			Contained(e.log(), "the end of a connection to a service", func() { sever(c) })
		}
	})
}

// sever ends a connection without last words: nobody takes them.
func sever(c net.Conn) {
	for {
		wrapped, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			c.Close()
			return
		}
		c = wrapped.NetConn()
	}
}

// unstick ends a connection of HTTP/2 that has not taken a request for as long as
// it may, if nothing at all moves on it: who goes on to use it would be stuck too.
func (e *Enforcer) unstick(c net.Conn) {
	g := gathererOf(c)
	if g == nil {
		return
	}
	if begun, writing := g.progress(); writing {
		time.AfterFunc(e.maxResponseTime()/looks, func() {
			if now, still := g.progress(); still && now == begun {
				sever(c)
			}
		})
	}
}

// late is the connections that are to end.
func (o *outbox) late(e *Enforcer) (conns []net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first == nil {
		o.going = false
		return nil
	}
	o.plan(e)
	for s := o.first; s != nil; s = s.place.next {
		p := &s.place
		most := looks + 1
		if s.written.Load() {
			// The transport keeps its time from when its own buffer is empty as
			// well, of HTTP/1, and if it can write that it takes it back.
			if most *= 2; !p.written {
				p.written, p.seen = true, 0
			}
		}
		if p.seen++; p.seen >= most {
			p.seen, p.broken = 0, true
			conns = append(conns, s.conn)
		}
	}
	return conns
}
