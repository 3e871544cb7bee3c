package proxy

// Frames of HTTP/2 that leave together. net/http writes each frame by itself:
// for a short message two system calls and two packets, on either side. Here a
// write only leaves what it has, and a goroutine writes what has gathered since
// it was asked to: with the frames of one message go those of others.

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// mostGathered is how much may lie here before whoever writes more waits.
	mostGathered = 32 << 10
	// worthCopying is the longest piece that is worth copying to save a call.
	worthCopying = 8 << 10
	// lastWrites is for what lies here when a connection is closed, as long as
	// crypto/tls gives its own last words.
	lastWrites = 5 * time.Second
)

// A gatherer writes to a connection for others. What fails closes the
// connection, so that its reader hears of it, and is the error of all later
// writes.
type gatherer struct {
	conn net.Conn

	mu      sync.Mutex
	written sync.Cond // something was, or nothing more will be
	pending *[]byte   // of buffers; nil: nothing
	writing bool
	begun   int // writes to conn
	err     error
}

func newGatherer(c net.Conn) *gatherer {
	g := &gatherer{conn: c}
	g.written.L = &g.mu
	return g
}

// Write leaves p to be written. It waits where too much waits already.
func (g *gatherer) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.err == nil && g.pending != nil && len(*g.pending)+len(p) > mostGathered {
		g.written.Wait()
	}
	if g.err != nil {
		return 0, g.err
	}
	if len(p) > worthCopying && !g.writing {
		g.writing = true
		g.write(p)
		if g.pending == nil {
			g.writing = false
		} else {
			go g.writeAll()
		}
		if g.err != nil {
			return 0, g.err
		}
		return len(p), nil
	}
	if g.pending == nil {
		g.pending = buffers.Get().(*[]byte)
		*g.pending = (*g.pending)[:0]
	}
	*g.pending = append(*g.pending, p...)
	if !g.writing {
		g.writing = true
		go g.writeAll()
	}
	return len(p), nil
}

// writeAll writes until nothing is left.
func (g *gatherer) writeAll() {
	runtime.Gosched() // whoever has more to write for the same message does it now
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.pending != nil {
		out := g.pending
		g.pending = nil
		if g.err == nil {
			g.write(*out)
		}
		*out = (*out)[:cap(*out)]
		buffers.Put(out)
	}
	g.writing = false
	g.written.Broadcast()
}

// write writes one piece. The lock is held, but not meanwhile.
func (g *gatherer) write(p []byte) {
	g.begun++
	g.mu.Unlock()
	_, err := g.conn.Write(p)
	if err != nil {
		g.conn.Close()
	}
	g.mu.Lock()
	if g.err == nil {
		g.err = err
	}
	g.written.Broadcast()
}

// progress tells whether something is being written, and how often that began.
func (g *gatherer) progress() (begun int, writing bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.begun, g.writing && g.err == nil
}

// finish waits until all is written, if the other side takes it.
func (g *gatherer) finish() {
	_ = g.conn.SetWriteDeadline(time.Now().Add(lastWrites))
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.writing {
		g.written.Wait()
	}
	if g.err == nil {
		g.err = net.ErrClosed
	}
}

// A gatheringConn gathers once it is known to carry HTTP/2.
type gatheringConn struct {
	net.Conn
	gathers atomic.Pointer[gatherer]
}

// Gathering dials for an http.Transport: connections that write the frames of
// HTTP/2 together.
func Gathering(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &gatheringConn{Conn: c}, nil
	}
}

// gather has a connection that the transport has just made gather, if it
// carries HTTP/2.
func gather(c net.Conn) {
	t, ok := c.(*tls.Conn)
	if !ok {
		return
	}
	if c, ok := t.NetConn().(*gatheringConn); ok && t.ConnectionState().NegotiatedProtocol == "h2" {
		c.gathers.CompareAndSwap(nil, newGatherer(c.Conn))
	}
}

// gathererOf is that of a connection of the transport's, or nil.
func gathererOf(c net.Conn) *gatherer {
	if t, ok := c.(*tls.Conn); ok {
		if c, ok := t.NetConn().(*gatheringConn); ok {
			return c.gathers.Load()
		}
	}
	return nil
}

// NetConn is the connection below.
func (c *gatheringConn) NetConn() net.Conn { return c.Conn }

// Write leaves p to be written, or writes it.
func (c *gatheringConn) Write(p []byte) (int, error) {
	if g := c.gathers.Load(); g != nil {
		return g.Write(p)
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline changes nothing where writes are left to others: crypto/tls
// forbids further writes so before it closes, and would take back what lies
// here.
func (c *gatheringConn) SetWriteDeadline(t time.Time) error {
	if c.gathers.Load() != nil {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets the deadline for reading, and for writing as
// SetWriteDeadline does.
func (c *gatheringConn) SetDeadline(t time.Time) error {
	if c.gathers.Load() != nil {
		return c.Conn.SetReadDeadline(t)
	}
	return c.Conn.SetDeadline(t)
}

// Close closes the connection when what lies here is written.
func (c *gatheringConn) Close() error {
	if g := c.gathers.Load(); g != nil {
		g.finish()
	}
	return c.Conn.Close()
}
