package proxy

// What is read of a client's socket, and when. net/http sets a deadline six
// times a request, and has a goroutine read a byte beside every handler to
// notice a client that leaves. Both cost a short request more than its rules
// do, so here a deadline is set when the socket would wait beyond it, and who
// leaves is looked for where somebody waits.

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// reads is what a socket knows of its reading.
type reads struct {
	mu sync.Mutex
	// wanted is the deadline that was asked for, since epoch, and set the one
	// that the socket has, which is never later; 0: none.
	wanted, set time.Duration

	aside  bool // net/http's reader beside the handler was sent away
	watch  bool // who leaves is looked for as soon as that is so
	itself bool // what was sent away was another, so that reader notices who leaves
	never  bool // the connection is no longer net/http's
	// watching is closed when the watch that is on has ended; nil: none is.
	watching atomic.Pointer[chan struct{}]
	end      bool // it is to end
	// left ends what goes on for the client.
	left context.CancelFunc
	// inside is the TLS in which the client says that it leaves; nil: none.
	inside *overheard
	hears  atomic.Bool // the watch reads of it
}

// longAgo has a read end at once.
const longAgo = time.Duration(1)

// Read reads, and takes up the deadline that is wanted by then.
func (c *socket) Read(p []byte) (int, error) {
	if c.reads.hears.Load() { // nobody else reads meanwhile
		return glance(c.TCPConn, p)
	}
	c.unwatch()
	for {
		n, err := c.TCPConn.Read(p)
		if n > 0 || err == nil || !c.later(err) {
			return n, err
		}
	}
}

// WriteTo splices, which knows the socket's deadline alone.
func (c *socket) WriteTo(w io.Writer) (int64, error) {
	c.unwatch()
	c.reads.mu.Lock()
	err := c.deadline()
	c.reads.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.TCPConn.WriteTo(w)
}

// SetReadDeadline notes a deadline. Only one that is sooner is set: a read that
// ends too soon goes on.
func (c *socket) SetReadDeadline(t time.Time) error {
	r := &c.reads
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = 0
	if !t.IsZero() {
		r.wanted = max(t.Sub(epoch), longAgo)
	}
	if r.wanted == 0 || r.set != 0 && r.wanted >= r.set {
		return nil
	}
	return c.deadline()
}

// later reports whether a read ended too soon, which has it set anew.
func (c *socket) later(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	r := &c.reads
	r.mu.Lock()
	defer r.mu.Unlock()
	return (r.wanted == 0 || time.Since(epoch) < r.wanted) && c.deadline() == nil
}

// deadline sets the deadline that is wanted. The lock is held.
func (c *socket) deadline() error {
	var t time.Time
	if c.reads.wanted != 0 {
		t = epoch.Add(c.reads.wanted)
	}
	c.reads.set = c.reads.wanted
	return c.TCPConn.SetReadDeadline(t)
}
