package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

const connectOK = "HTTP/1.1 200 Connection established\r\n\r\n"

// intercept takes over a connection to a host that the rules name: TLS is
// answered with a certificate of ours, and the requests inside go to the inner
// server, whatever version of HTTP they speak.
func (s *Server) intercept(r *http.Request, conn net.Conn, t target) {
	s.Counts.Intercepted.Add(1)
	if !s.conns.add(conn) {
		return
	}
	if err := conn.SetDeadline(time.Now().Add(s.limits.HandshakeTime)); err != nil {
		s.drop(conn)
		return
	}
	if !s.certifiable(r, conn, t) {
		s.drop(conn)
		return
	}
	if _, err := io.WriteString(conn, connectOK); err != nil {
		s.drop(conn)
		return
	}
	tagged := &taggedConn{gatheringConn: gatheringConn{Conn: conn}, target: t, server: s}
	tagged.target.tally = &tagged.tally
	tagged.tally.limits = &s.limits
	first, err := tagged.peek()
	if err != nil {
		s.noteHandshake(t, err)
		s.drop(conn)
		return
	}
	var inside net.Conn = tagged
	if first == tlsHandshake {
		tc := tls.Server(tagged, s.tls)
		if err := tc.HandshakeContext(context.Background()); err != nil {
			s.handshakeFailed(t, err)
			s.drop(conn)
			return
		}
		inside = tc
		if tc.ConnectionState().NegotiatedProtocol == "h2" { // net/http wants the *tls.Conn of that
			tagged.gathers.Store(newGatherer(conn))
		} else {
			inside = s.spokenTLS(tc)
		}
	} else {
		tagged.target.scheme = "http"
		plain := s.spoken(tagged)
		if s.cfg.TLS != nil { // the client may leave in that alone, so net/http reads
			plain.socket = nil
		}
		inside = plain
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		s.drop(conn)
		return
	}
	s.conns.remove(conn) // from here on the inner server closes it
	s.inlet.put(inside)
}

func (s *Server) drop(conn net.Conn) {
	s.conns.remove(conn)
	conn.Close()
}

// tlsHandshake is the first byte of a TLS connection (RFC 8446, 5.1).
const tlsHandshake = 0x16

// tlsConfig is shared by all intercepted connections, so that their sessions
// resume.
func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1", "http/1.0"}, // who offers only the last (curl --http1.0) is served too
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			name := h.ServerName
			if tagged, ok := h.Conn.(*taggedConn); ok && (name == "" || !s.cfg.Rules().Names(name)) {
				name = tagged.target.host
			}
			return s.cfg.Certificates.Certificate(name)
		},
	}
}

// handshakeFailed says what a failed handshake with a client means, which most
// of the time is that it does not trust our authority.
func (s *Server) handshakeFailed(t target, err error) {
	if s.noteHandshake(t, err) {
		return
	}
	distrusted := distrusts(err) || errors.Is(err, io.EOF)
	switch {
	case t.host == InternalHost && distrusted: // the set-up page asked whether its browser does
		s.log.Debug("a client does not trust quotagate's certificate yet", "client", t.client.Addr)
		return
	case distrusted && s.cfg.Visited != nil:
		s.cfg.Visited(Visit{Client: t.client, Host: t.host})
	}
	switch {
	case distrusts(err):
		s.log.Warn("a client does not trust quotagate's certificate", "host", t.host,
			"client", t.client.Addr, "alert", err.Error(),
			"hint", "start it with `quotagate exec -- …`, or let it trust the file that `quotagate ca export` prints; a client that pins certificates cannot be governed")
	case errors.Is(err, io.EOF):
		s.log.Warn("a client closed the connection during the handshake", "host", t.host,
			"client", t.client.Addr,
			"hint", "clients that do not trust quotagate's certificate often do; see `quotagate exec` and `quotagate ca export`")
	default:
		s.log.Info("the TLS handshake of a client failed", "host", t.host,
			"client", t.client.Addr, "error", err.Error())
	}
}

// noteHandshake counts a client that took too long to begin, or to go on.
func (s *Server) noteHandshake(t target, err error) bool {
	late := errors.Is(err, os.ErrDeadlineExceeded)
	if late {
		s.over(BoundHandshakeTime, t.client.Addr)
	}
	return late
}

// distrusts reports an alert by which a client rejects a certificate
// (RFC 8446, 6.2): bad_certificate, unsupported_certificate,
// certificate_unknown, unknown_ca, access_denied. OpenSSL, and so curl and
// Python, sends it unencrypted in TLS 1.3 before it has our keys, which here
// looks like a record that does not decrypt (seen with OpenSSL 3.0, 2026-11).
func distrusts(err error) bool {
	var op *net.OpError
	if !errors.As(err, &op) {
		return false
	}
	if op.Op == "local error" {
		return op.Err.Error() == tls.AlertError(20).Error() // bad_record_mac
	}
	for _, alert := range []tls.AlertError{42, 43, 46, 48, 49} {
		// The type of an alert from the other side is crypto/tls's own.
		if op.Err.Error() == alert.Error() {
			return true
		}
	}
	return false
}

// A taggedConn carries where its client wanted to go.
type taggedConn struct {
	gatheringConn
	server *Server
	target target
	tally  tally
	first  [1]byte
	peeked bool
}

func (c *taggedConn) peek() (byte, error) {
	_, err := io.ReadFull(c.Conn, c.first[:])
	c.peeked = err == nil
	return c.first[0], err
}

func (c *taggedConn) Read(p []byte) (int, error) {
	if c.peeked && len(p) > 0 {
		c.peeked = false
		p[0] = c.first[0]
		return 1, nil
	}
	n, err := c.Conn.Read(p)
	if !c.tally.took(n) {
		c.server.over(BoundControlBytes, c.target.client.Addr)
		c.Conn.Close()
		return 0, errFlood
	}
	return n, err
}

type targetKey struct{}

// connContext puts a connection's target where its requests find it.
func connContext(ctx context.Context, c net.Conn) context.Context {
	ctx = leaves(ctx, c)
	for {
		if tagged, ok := c.(*taggedConn); ok {
			return context.WithValue(ctx, targetKey{}, &tagged.target)
		}
		wrapped, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return ctx
		}
		c = wrapped.NetConn()
	}
}

// tallyOf is that of the intercepted connection a request came by, or nil.
func tallyOf(ctx context.Context) *tally {
	if t, ok := ctx.Value(targetKey{}).(*target); ok {
		return t.tally
	}
	return nil
}

// connOf is the client's connection that a request came by, or nil.
func connOf(ctx context.Context) net.Conn {
	if t, ok := ctx.Value(targetKey{}).(*target); ok {
		return t.conn
	}
	return socketOf(ctx)
}

// An inlet is a listener whose connections are put into it.
type inlet struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newInlet() *inlet {
	return &inlet{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *inlet) put(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.closed:
		c.Close()
	}
}

// Accept returns the next intercepted connection.
func (l *inlet) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept; connections put in later are closed.
func (l *inlet) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr names the inlet.
func (l *inlet) Addr() net.Addr { return &net.UnixAddr{Name: "intercepted", Net: "unix"} }
