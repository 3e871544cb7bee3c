package proxy

// TLS on the proxy's own port: what net/http and crypto/tls do there without
// asking us. (Config.TLS says how it is spoken.)

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// errPlain ends a connection on which HTTP came where TLS is spoken.
var errPlain = errors.New("the client speaks HTTP where TLS is spoken")

// A secured connection carries the TLS of a client. Plain HTTP is told so, which
// net/http does for few methods, and neither for CONNECT nor for whole URLs.
type secured struct {
	net.Conn
	began bool // only the handshake reads first
}

// NetConn is the connection below.
func (c *secured) NetConn() net.Conn { return c.Conn }

// CloseWrite half-closes.
func (c *secured) CloseWrite() error { return closeWrite(c.Conn) }

// Read looks at the first byte: a method begins with a letter, a TLS record of a
// handshake never does.
func (c *secured) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.began && n > 0 {
		c.began = true
		if p[0] >= 'A' && p[0] <= 'Z' {
			c.sayPlain(p[:n])
			return 0, errPlain
		}
	}
	return n, err
}

// sayPlain answers the request, of which begin came.
func (c *secured) sayPlain(begin []byte) {
	if c.SetDeadline(time.Now().Add(turnTime)) == nil {
		answerOnce(c, begin, rawResponse(response(nil, problem(http.StatusBadRequest,
			"quotagate: this port speaks TLS; write https:// before its address in the proxy settings", nil))))
	}
}

// answerOnce answers the request whose first bytes are begin, whatever it is. It
// is read first, and what follows it is too: a client that still writes to a
// closed connection would lose the answer.
func answerOnce(c net.Conn, begin, answer []byte) {
	head := bytes.Clone(begin)
	buf := make([]byte, 1<<10)
	for len(head) < 16<<10 && !bytes.Contains(head, []byte("\r\n\r\n")) {
		n, err := c.Read(buf)
		head = append(head, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return
		}
	}
	if _, err := c.Write(answer); err == nil && closeWrite(c) == nil {
		_, _ = io.CopyN(io.Discard, c, 256<<10) // until it hangs up
	}
}

// netHTTP is what net/http logs: it tells in no other way that it ended a
// connection of HTTP/2 for what came on it, and that a handshake failed.
type netHTTP struct {
	io.Writer
	server *Server
}

func (l netHTTP) Write(line []byte) (int, error) {
	switch {
	case bytes.HasPrefix(line, []byte("http2: server connection error")):
		l.server.Counts.Broken.Add(1)
	case bytes.HasPrefix(line, []byte(handshakeError)):
		l.server.noteClientCertificate(line[len(handshakeError):])
	}
	return l.Writer.Write(line)
}

const handshakeError = "http: TLS handshake error from "

// uncertain are the words of crypto/tls of Go 1.26 for a client's certificate
// that is missing, or that no authority named vouches for.
var uncertain = [][]byte{
	[]byte("tls: client didn't provide a certificate"),
	[]byte("tls: failed to verify certificate"),
	[]byte("tls: invalid signature by the client certificate"),
}

// noteClientCertificate counts a client that was refused for its certificate;
// said is its address, and why the handshake failed.
func (s *Server) noteClientCertificate(said []byte) {
	addr, why, _ := bytes.Cut(said, []byte(": "))
	for _, words := range uncertain {
		if bytes.HasPrefix(why, words) {
			s.Counts.ClientCertificates.Add(1)
			if s.uncertain.now(time.Now()) {
				s.log.Warn("a client was refused for its certificate: it showed none, or one that no authority in QUOTAGATE_CLIENT_CA vouches for",
					"client", string(addr))
			}
			return
		}
	}
}
