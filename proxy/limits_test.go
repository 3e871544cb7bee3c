package proxy_test

// Every bound of connections and headers, passed on real sockets. What a client
// is told is looked at, and that it is counted; newWorld looks for what is left
// behind.

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
)

func limited(l proxy.Limits) option {
	return func(_ *world, c *proxy.Config, _ *proxy.Enforcer) { c.Limits = l }
}

// soon is a time that a test waits out.
const soon = 200 * time.Millisecond

func (w *world) dialFront() net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// dialConnect opens a CONNECT that is granted.
func (w *world) dialConnect(target string) net.Conn {
	w.t.Helper()
	c := w.dialFront()
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
	if line := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n")); true {
		if _, err := io.ReadFull(c, line); err != nil || !strings.HasPrefix(string(line), "HTTP/1.1 200") {
			w.t.Fatalf("CONNECT: %q %v", line, err)
		}
	}
	return c
}

// dialInside speaks TLS, and alpn in it, with the intercepted service.
func (w *world) dialInside(alpn string) *tls.Conn {
	w.t.Helper()
	c := tls.Client(w.dialConnect("chat.example:443"), &tls.Config{ServerName: "chat.example", RootCAs: w.roots, NextProtos: []string{alpn}})
	if err := c.Handshake(); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// told reads an answer and checks its status and its Quotagate-Error.
func told(t *testing.T, c net.Conn, status int, word string) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != status || resp.Header.Get("Quotagate-Error") != word {
		t.Errorf("%d %q %s, want %d %q", resp.StatusCode, resp.Header.Get("Quotagate-Error"), body, status, word)
	}
	if status == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	return resp
}

// hungUp waits until the other side has closed.
func hungUp(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); isTimeout(err) {
		t.Error("the connection still stands")
	}
}

func (w *world) wantRefused(b proxy.Bound, n int64) {
	w.t.Helper()
	// A connection may be seen to end before what ended it is counted.
	eventually(w.t, fmt.Sprintf("%s counts %d, want %d", b, w.server.Refused(b), n), func() bool { return w.server.Refused(b) >= n })
	if got := w.server.Refused(b); got != n {
		w.t.Errorf("%s counts %d, want %d", b, got, n)
	}
}

// eventually polls until a thing on the other side of a socket has happened.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

const getFront = "GET http://quotagate.internal/ HTTP/1.1\r\nHost: quotagate.internal\r\n\r\n"

func TestConnectionsAreBounded(t *testing.T) {
	for bound, l := range map[proxy.Bound]proxy.Limits{
		proxy.BoundConns:          {Conns: 3, ConnsPerClient: 100},
		proxy.BoundConnsPerClient: {Conns: 100, ConnsPerClient: 3},
	} {
		t.Run(bound.String(), func(t *testing.T) {
			w := newWorld(t, five, limited(l))
			var open []net.Conn
			for range 3 {
				open = append(open, w.dialFront())
			}
			w.dialConnectRefused(t, open)
			w.wantRefused(bound, 1)
			open[0].Close()
			eventually(t, "the place of a closed connection is not given back", func() bool { n, _ := w.server.Open(); return n == 2 })
			c := w.dialFront()
			io.WriteString(c, getFront)
			told(t, c, http.StatusNotFound, "")
			for _, c := range append(open, c) {
				c.Close()
			}
			eventually(t, "connections are counted after their end", func() bool { n, _ := w.server.Open(); return n == 0 })
		})
	}
}

// dialConnectRefused opens one more connection than there may be.
func (w *world) dialConnectRefused(t *testing.T, open []net.Conn) {
	t.Helper()
	eventually(t, "the connections are not counted", func() bool { n, _ := w.server.Open(); return n == int64(len(open)) })
	c := w.dialFront()
	io.WriteString(c, "CONNECT chat.example:443 HTTP/1.1\r\nHost: chat.example\r\n\r\n")
	told(t, c, http.StatusServiceUnavailable, "busy")
	hungUp(t, c)
}

func TestTunnelsAreBounded(t *testing.T) {
	w := newWorld(t, five, limited(proxy.Limits{Tunnels: 2}))
	w.echo(t)
	tunnel, inside := w.dialConnect("other.example:443"), w.dialInside("http/1.1")
	for _, target := range []string{"other.example:443", "chat.example:443"} {
		c := w.dialFront()
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
		told(t, c, http.StatusServiceUnavailable, "busy")
	}
	w.wantRefused(proxy.BoundTunnels, 2)
	inside.Close()
	eventually(t, "an intercepted connection keeps its place", func() bool { _, n := w.server.Open(); return n == 1 })
	tunnel.Close()
	eventually(t, "a tunnel keeps its place", func() bool { _, n := w.server.Open(); return n == 0 })
	w.dialConnect("other.example:443")
}

func TestHeadersAreBounded(t *testing.T) {
	w := newWorld(t, five, limited(proxy.Limits{HeaderBytes: 8 << 10}))
	for i, tc := range []struct {
		conn net.Conn
		line string
	}{
		{w.dialFront(), "GET http://quotagate.internal/ HTTP/1.1\r\nHost: quotagate.internal\r\n"},
		{w.dialInside("http/1.1"), "GET /me HTTP/1.1\r\nHost: chat.example\r\n"},
		{w.dialInside("http/1.1"), "GET /me HTTP/1.1\r\nHost: chat.example\r\nX-Much-More: " + strings.Repeat("b", 32<<10) + "\r\n"},
	} {
		io.WriteString(tc.conn, tc.line+"X-Much: "+strings.Repeat("a", 13<<10)+"\r\n\r\n")
		told(t, tc.conn, http.StatusRequestHeaderFieldsTooLarge, "header")
		w.wantRefused(proxy.BoundHeaderBytes, int64(i+1))
		hungUp(t, tc.conn)
	}
	req := w.message(t.Context(), "anna", "bob")
	req.Header.Set("X-Much", strings.Repeat("a", 9<<10))
	resp, err := w.client(true).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge || resp.ProtoMajor != 2 {
		t.Errorf("by HTTP/2: %d %s", resp.StatusCode, resp.Proto)
	}
	w.wantRefused(proxy.BoundHeaderBytes, 4)
	if n := w.service.messages.Load(); n != 0 {
		t.Errorf("the service saw %d messages", n)
	}
}

func TestHeadersThatTrickleAreTold(t *testing.T) {
	w := newWorld(t, five, limited(proxy.Limits{HeaderTime: 5 * soon})) // a CONNECT comes within it
	for i, dial := range []func() net.Conn{w.dialFront, func() net.Conn { return w.dialInside("http/1.1") }} {
		c := dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: chat.exa")
		told(t, c, http.StatusRequestTimeout, "slow")
		hungUp(t, c)
		w.wantRefused(proxy.BoundHeaderTime, int64(i+1))
	}
}

func TestHandshakesThatDoNotComeEnd(t *testing.T) {
	w := newWorld(t, five, limited(proxy.Limits{HandshakeTime: soon}))
	silent, half := w.dialConnect("chat.example:443"), w.dialConnect("chat.example:443")
	half.Write([]byte{0x16, 3, 1, 2, 0, 1, 0})
	hungUp(t, silent)
	hungUp(t, half)
	w.wantRefused(proxy.BoundHandshakeTime, 2)
}

func TestIdleConnectionsEnd(t *testing.T) {
	w := newWorld(t, five, limited(proxy.Limits{IdleTime: soon, TunnelIdleTime: soon}))
	w.echo(t)
	for alpn, first := range map[string]string{
		"http/1.1": "GET /me HTTP/1.1\r\nHost: chat.example\r\n\r\n",
		"h2":       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
	} {
		c := w.dialInside(alpn)
		io.WriteString(c, first)
		hungUp(t, c)
	}
	w.wantRefused(proxy.BoundIdleTime, 1) // net/http tells nobody of HTTP/2's
	hungUp(t, w.dialConnect("other.example:443"))
	w.wantRefused(proxy.BoundTunnelIdleTime, 1)
}
