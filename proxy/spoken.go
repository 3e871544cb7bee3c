package proxy

// What net/http does with a client's header without asking us, seen from the
// connection.

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// A spoken connection carries HTTP/1 in clear. It tells the client, and us, when
// a header is too long or too slow, which net/http answers briefly or not at
// all.
type spoken struct {
	net.Conn
	server *Server
	socket *socket // below; nil: it is another listener's
	// serving: a request's header was read, so what happens is the handler's.
	serving atomic.Bool
	came    atomic.Int64 // bytes since
	late    atomic.Bool  // the client was told
}

func (s *Server) spoken(c net.Conn) *spoken {
	return &spoken{Conn: c, server: s, socket: below(c)}
}

func (c *spoken) below() *socket { return c.socket }

// NetConn is the connection below.
func (c *spoken) NetConn() net.Conn { return c.Conn }

// SetWriteDeadline does nothing: net/http's is for a whole answer, however
// long, and the socket has its own.
func (c *spoken) SetWriteDeadline(time.Time) error { return nil }

// CloseWrite half-closes, as net/http does before it hangs up.
func (c *spoken) CloseWrite() error { return closeWrite(c.Conn) }

// Read notes a header that does not come.
func (c *spoken) Read(p []byte) (int, error) {
	if len(p) == 1 && c.socket != nil && c.socket.stepAside() {
		return 0, nil
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.came.Add(int64(n))
	}
	if err != nil && !c.serving.Load() && errors.Is(err, os.ErrDeadlineExceeded) && !c.late.Swap(true) {
		if c.came.Load() == 0 {
			c.server.over(BoundIdleTime, c.RemoteAddr().String())
			return n, err
		}
		c.server.over(BoundHeaderTime, c.RemoteAddr().String())
		_, _ = c.Conn.Write(rawAnswer(errSlowHeader)) // net/http closes it
	}
	return n, err
}

// tooLong begins net/http's own answer to a header that is too long; one that
// we pass on from a service has a Date before anything else is said of it.
var tooLong = []byte("HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n431 ")

// Write puts our words in the place of net/http's.
func (c *spoken) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, tooLong) {
		c.server.over(BoundHeaderBytes, c.RemoteAddr().String())
		if _, err := c.Conn.Write(rawAnswer(errLongHeader)); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// noteState is net/http's ConnState.
func noteState(c net.Conn, state http.ConnState) {
	k, ok := c.(interface{ state(http.ConnState) })
	if ok {
		k.state(state)
	}
}

// state follows what net/http does with the connection.
func (c *spoken) state(state http.ConnState) {
	switch state {
	case http.StateActive:
		c.serving.Store(true)
	case http.StateIdle:
		c.came.Store(0)
		c.serving.Store(false)
		if c.socket != nil {
			c.socket.rest()
		}
	case http.StateHijacked:
		if c.socket != nil {
			c.socket.release()
		}
	}
}

// spokenTLS is a spoken connection inside TLS. That it still shows the state of
// that lets net/http tell a request's handler.
type spokenTLS struct {
	spoken
	inside *overheard
}

func (s *Server) spokenTLS(c *tls.Conn) *spokenTLS {
	inside := &overheard{Conn: c, socket: below(c)}
	return &spokenTLS{spoken: spoken{Conn: inside, server: s, socket: inside.socket}, inside: inside}
}

// ConnectionState is the state of the TLS below.
func (c *spokenTLS) ConnectionState() tls.ConnectionState { return c.inside.ConnectionState() }
