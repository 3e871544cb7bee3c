package proxy

// Clients of HTTP/1 that leave while they wait for an answer. (Those of HTTP/2
// say so in a frame, which net/http reads in any case.)

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"
)

// soon is after how long a request is one whose client may lose patience.
const soon = 100 * time.Millisecond

// stepAside answers a read of one byte, which is how net/http's reader begins
// beside a handler: the first of a request is told that nothing came, and that
// reader ends. It may have been another read that had room for one byte; that
// asks again, as it must where nothing came, and nobody is watched beside it or
// the reader that comes later.
func (c *socket) stepAside() bool {
	r := &c.reads
	if !c.server.watches {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aside || r.never {
		r.itself = r.aside
		return false
	}
	r.aside = true
	if r.watch {
		c.begin()
	}
	return true
}

// attend has the client watched until something is read, or the next request
// ends.
func (c *socket) attend() {
	r := &c.reads
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.never || r.watch {
		return
	}
	if r.watch = true; r.aside {
		c.begin()
	}
}

// rest notes that a request is done.
func (c *socket) rest() {
	c.reads.mu.Lock()
	defer c.reads.mu.Unlock()
	c.reads.aside, c.reads.watch, c.reads.itself = false, false, false
}

// release ends the watching for good: others read from now on.
func (c *socket) release() {
	c.reads.mu.Lock()
	c.reads.never = true
	c.reads.mu.Unlock()
	c.unwatch()
}

// begin begins the watch. The lock is held.
func (c *socket) begin() {
	r := &c.reads
	if r.watching.Load() != nil || r.left == nil || r.itself {
		return
	}
	done := make(chan struct{})
	r.watching.Store(&done)
	r.end = false
	go c.look(done, r.left, r.inside)
}

// look waits for the client to leave, or for its socket to be closed. It waits
// for the socket alone, since a reader of TLS has a large stack.
func (c *socket) look(done chan struct{}, left context.CancelFunc, inside *overheard) {
	defer close(done)
	Contained(c.server.log, "the watch over a client", func() {
		for {
			err := inside.hear()
			if err == nil {
				err = stirs(c.TCPConn, inside.listens())
			}
			switch {
			case err == nil: // bytes came
			case !errors.Is(err, os.ErrDeadlineExceeded):
				left()
				return
			case c.ending() || !c.later(err):
				return
			}
		}
	})
}

// ending reports whether a watch is to end.
func (c *socket) ending() bool {
	c.reads.mu.Lock()
	defer c.reads.mu.Unlock()
	return c.reads.end
}

// unwatch ends a watch, so that somebody else can read.
func (c *socket) unwatch() {
	r := &c.reads
	done := r.watching.Load()
	if done == nil {
		return
	}
	r.mu.Lock()
	r.end, r.set = true, longAgo
	_ = c.TCPConn.SetReadDeadline(time.Unix(1, 0))
	r.mu.Unlock()
	<-*done
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watching.CompareAndSwap(done, nil)
	_ = c.deadline() // a closed one says so to who reads
}

// leaves is the context of a connection on which requests of HTTP/1 come: it ends
// when the client leaves.
func leaves(ctx context.Context, c net.Conn) context.Context {
	s, ok := c.(interface{ below() *socket })
	if !ok || s.below() == nil {
		return ctx
	}
	ctx, left := context.WithCancel(ctx)
	r := &s.below().reads
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left, r.never, r.aside, r.watch, r.itself, r.inside = left, false, false, false, false, nil
	if t, ok := c.(*spokenTLS); ok {
		r.inside = t.inside
	}
	return ctx
}

// An overheard connection is the TLS of a client that may say in it that it
// leaves, and leave its socket open until we have said so too, as those of
// Python's asyncio do for half a minute. So the watch reads of it, one byte.
type overheard struct {
	*tls.Conn
	socket *socket // nil: nobody is watched
	byte   [1]byte
	has    bool
}

// listens reports whether anything that is said is still to be heard: one byte is
// all that there is room for.
func (c *overheard) listens() bool { return c != nil && !c.has }

// hear takes what is said already, and waits for nothing. The error is the end.
func (c *overheard) hear() error {
	if !c.listens() {
		return nil
	}
	c.socket.reads.hears.Store(true)
	defer c.socket.reads.hears.Store(false)
	for {
		n, err := c.Conn.Read(c.byte[:])
		switch c.has = n > 0; {
		case c.has, errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
}

// Read reads on behind what the watch has heard.
func (c *overheard) Read(p []byte) (int, error) {
	if c.socket != nil {
		c.socket.unwatch()
	}
	if c.has && len(p) > 0 {
		p[0], c.has = c.byte[0], false
		return 1, nil
	}
	return c.Conn.Read(p)
}
