package proxy

// The client's socket.

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// A socket is a client's connection. It is counted until it is closed, and it
// is closed if the client takes nothing of what is written to it for a time.
//
// It embeds the *net.TCPConn so that a tunnel's bytes still move without
// passing through the process (splice(2)).
type socket struct {
	*net.TCPConn
	server *Server
	from   netip.Prefix
	tunnel atomic.Bool // was handed over
	closed atomic.Bool

	// armed is when the write deadline was last set, since epoch; 0: there is
	// none. another: somebody else set one, and minds it.
	armed   atomic.Int64
	another atomic.Bool

	reads reads
}

var epoch = time.Now()

// handOver counts the connection among those that net/http does not have;
// false: there are too many.
func (c *socket) handOver() bool {
	if c.tunnel.Load() {
		return true
	}
	if !c.server.census.handOver() {
		c.server.over(BoundTunnels, c.RemoteAddr().String())
		return false
	}
	c.tunnel.Store(true)
	if c.closed.Load() && c.tunnel.Swap(false) { // meanwhile, and counted without it
		c.server.census.handBack()
	}
	return true
}

// Close closes the connection and gives its place back.
func (c *socket) Close() error {
	if !c.closed.Swap(true) {
		c.server.census.leave(c.from, c.tunnel.Swap(false))
	}
	return c.TCPConn.Close()
}

// Write writes, for as long as the client takes something of it.
func (c *socket) Write(p []byte) (int, error) {
	c.arm()
	n, err := c.TCPConn.Write(p)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && !c.another.Load() && !c.closed.Load() {
		c.server.over(BoundAnswerTime, c.RemoteAddr().String())
	}
	return n, err
}

// arm sets the write deadline, anew only after an eighth of its time: setting
// it costs as much as a short write.
func (c *socket) arm() {
	if c.another.Load() {
		return
	}
	limit := c.server.limits.BodyTime
	now := time.Since(epoch)
	if at := c.armed.Load(); at != 0 && now-time.Duration(at) < limit/8 {
		return
	}
	c.armed.Store(int64(now))
	_ = c.TCPConn.SetWriteDeadline(time.Now().Add(limit)) // a closed one says so at once
}

// ReadFrom splices, with no deadline: what is on its way would be lost.
func (c *socket) ReadFrom(r io.Reader) (int64, error) {
	if c.armed.Swap(0) != 0 && !c.another.Load() {
		_ = c.TCPConn.SetWriteDeadline(time.Time{})
	}
	return c.TCPConn.ReadFrom(r)
}

// SetDeadline sets both deadlines; none for writing means the socket's own.
func (c *socket) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	c.another.Store(!t.IsZero())
	c.armed.Store(0)
	return c.TCPConn.SetWriteDeadline(t)
}

// SetWriteDeadline sets the deadline for writing; none means the socket's own.
func (c *socket) SetWriteDeadline(t time.Time) error {
	if t.IsZero() && !c.another.Load() {
		return nil // as net/http does after every request
	}
	c.another.Store(!t.IsZero())
	c.armed.Store(0)
	return c.TCPConn.SetWriteDeadline(t)
}

// below is the socket under a connection, or nil.
func below(c net.Conn) *socket {
	for c != nil {
		switch k := c.(type) {
		case *socket:
			return k
		case interface{ NetConn() net.Conn }:
			c = k.NetConn()
		case *replayConn:
			c = k.Conn
		default:
			return nil
		}
	}
	return nil
}
