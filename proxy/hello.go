package proxy

// This file looks at the first bytes of a tunnel: the name in a ClientHello
// tells where a client means to go, whatever it named in its CONNECT.

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxHello bounds what is kept of a client before its name is known. It is
// the size of one full TLS record (RFC 8446, 5.1); the hellos of browsers,
// with post-quantum key shares and session tickets, are below 4 KiB.
const maxHello = 16 << 10

var (
	errHelloLong = fmt.Errorf("the client's first message is longer than %d bytes", maxHello)
	errHelloSeen = errors.New("seen")
)

// A hello is how a client began.
type hello struct {
	raw []byte // all that was read, for the upstream
	tls bool
	// name is whom the client asks for, in lower case: the SNI of TLS, or the
	// host of a plain HTTP request; "" if it names nobody.
	name string
}

// readHello reads until the client's server name is known, or until it is
// certain that the client does not begin with TLS, which its first byte tells.
// Bytes that came early, before c is read, are passed in early.
//
// For the first byte it waits as long as c does: in many protocols the server
// speaks first. For the rest of a hello it waits no longer than within.
// A hello that crypto/tls cannot read is an error: what cannot be looked at
// does not go on.
//
// With Encrypted Client Hello only the outer name can be seen.
func readHello(c net.Conn, early []byte, within time.Duration) (hello, error) {
	rec := &recorder{Conn: c, raw: early}
	for len(rec.raw) == 0 {
		if err := rec.more(); err != nil {
			return hello{}, err
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return hello{}, err
	}
	if rec.raw[0] != tlsHandshake {
		h, err := readHead(rec)
		return h, errors.Join(err, c.SetReadDeadline(time.Time{}))
	}
	h := hello{tls: true}
	seen := false
	err := tls.Server(rec, &tls.Config{
		GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			seen = true
			h.name = strings.ToLower(info.ServerName)
			return nil, errHelloSeen
		},
	}).Handshake()
	h.raw = rec.raw
	if !seen {
		return h, fmt.Errorf("read the ClientHello: %w", err)
	}
	return h, c.SetReadDeadline(time.Time{})
}

// readHead looks for the host of a plain HTTP request; what does not begin like
// one is let be at once.
func readHead(rec *recorder) (hello, error) {
	for {
		_, _, whole := bytes.Cut(withoutEmptyLines(rec.raw), []byte("\r\n\r\n"))
		if !looksLikeHTTP(rec.raw) {
			return hello{raw: rec.raw}, nil
		}
		if whole {
			break
		}
		if err := rec.more(); err != nil {
			return hello{raw: rec.raw}, fmt.Errorf("read the head of a request: %w", err)
		}
	}
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(withoutEmptyLines(rec.raw))))
	if err != nil {
		return hello{raw: rec.raw}, fmt.Errorf("read the head of a request: %w", err)
	}
	host := req.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return hello{raw: rec.raw, name: strings.ToLower(host)}, nil
}

// withoutEmptyLines is b from its request line on: servers skip what empty
// lines stand before it (RFC 9112, 2.2).
func withoutEmptyLines(b []byte) []byte { return bytes.TrimLeft(b, "\r\n") }

// looksLikeHTTP reports whether b begins with a request line of HTTP/1, or is so
// short that it may still become one.
func looksLikeHTTP(b []byte) bool {
	b = withoutEmptyLines(b)
	line, _, whole := bytes.Cut(b, []byte("\n"))
	if whole {
		line = bytes.TrimSuffix(line, []byte("\r"))
		last := bytes.LastIndexByte(line, ' ')
		return last > 0 && bytes.HasPrefix(line[last:], []byte(" HTTP/1.")) // servers take any minor version for 1.1
	}
	method, _, _ := bytes.Cut(line, []byte(" "))
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		if len(method) == len(line) && strings.HasPrefix(m, string(method)) || m == string(method) {
			return true
		}
	}
	return false
}

// A recorder feeds crypto/tls from a connection and keeps what it fed. What
// crypto/tls would answer (an alert) goes nowhere.
type recorder struct {
	net.Conn
	raw []byte
	fed int // how much of raw crypto/tls has got
}

// more appends what one Read gives to raw.
func (r *recorder) more() error {
	if len(r.raw) >= maxHello {
		return errHelloLong
	}
	if cap(r.raw) == len(r.raw) {
		r.raw = append(make([]byte, 0, max(2048, 2*len(r.raw))), r.raw...)
	}
	n, err := r.Conn.Read(r.raw[len(r.raw):min(cap(r.raw), maxHello)])
	r.raw = r.raw[:len(r.raw)+n]
	if n > 0 { // an error comes again with the next Read
		return nil
	}
	return err
}

func (r *recorder) Read(p []byte) (int, error) {
	if r.fed == len(r.raw) {
		if err := r.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.raw[r.fed:])
	r.fed += n
	return n, nil
}

func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }
func (r *recorder) Close() error                { return nil }
