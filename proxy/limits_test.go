package proxy_test

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

// Every bound, passed on real sockets. What a client is told is looked at, and
// that it is counted; newWorld looks for what is left behind.

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

// A pausing body sends its pieces with pauses between them.
type pausing struct {
	pieces []string
	pause  time.Duration
	clock  *time.Timer
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.clock != nil {
		<-p.clock.C
	}
	if len(p.pieces) == 0 {
		return 0, io.EOF
	}
	p.clock = time.NewTimer(p.pause)
	n := copy(b, p.pieces[0])
	p.pieces = p.pieces[1:]
	return n, nil
}

func TestBodiesThatStandStillAreToldAndThoseThatMoveAreNot(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", h2), func(t *testing.T) {
			w := newWorld(t, five, limited(proxy.Limits{BodyTime: 4 * soon}))
			send := func(pause time.Duration, pieces ...string) (int, string) {
				req := w.message(t.Context(), "anna", "bob")
				req.Body, req.GetBody, req.ContentLength = io.NopCloser(&pausing{pieces: pieces, pause: pause}), nil, -1
				resp, err := w.client(h2).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				return resp.StatusCode, resp.Header.Get("Quotagate-Error")
			}
			if status, _ := send(soon/2, `{"to":`, `"bob"`, `,"text"`, `:"hel`, `lo"`, ` `, ` `, ` `, `}`); status != 200 {
				t.Errorf("a body that moves: %d", status)
			}
			w.next()
			if h2 {
				if status, word := send(15*soon, `{"to":`, `"bob"}`); status != http.StatusRequestTimeout || word != "slow" {
					t.Errorf("a body that stands still: %d %q", status, word)
				}
				w.wantRefused(proxy.BoundBodyTime, 1)
			} else {
				for i, expect := range []string{"", "Expect: 100-continue\r\n"} {
					c := w.dialInside("http/1.1")
					io.WriteString(c, "POST /send HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\n"+expect+"Content-Length: 20\r\n\r\n")
					if asked := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n")); expect != "" {
						if _, err := io.ReadFull(c, asked); err != nil {
							t.Fatal(err)
						}
					}
					io.WriteString(c, `{"to":`)
					told(t, c, http.StatusRequestTimeout, "slow")
					hungUp(t, c)
					w.wantRefused(proxy.BoundBodyTime, int64(i+1))
				}
			}
			if n := w.service.messages.Load(); n != 1 {
				t.Errorf("the service saw %d messages, want 1", n)
			}
		})
	}
}

func TestAnswersThatNobodyTakesEnd(t *testing.T) {
	w := newWorld(t, five, limited(proxy.Limits{BodyTime: 2 * soon}))
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		io.CopyN(rw, endless{}, 256<<20)
	})
	c := w.dialInside("http/1.1")
	io.WriteString(c, "GET /file HTTP/1.1\r\nHost: chat.example\r\n\r\n")
	eventually(t, "the connection is not closed", func() bool { n, _ := w.server.Open(); return n == 0 })
	w.wantRefused(proxy.BoundAnswerTime, 1)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestATunnelThatMovesOutlivesTheTimeOfAnswers(t *testing.T) {
	const enough = 200 * time.Millisecond
	w := newWorld(t, five, limited(proxy.Limits{BodyTime: enough}))
	w.echo(t)
	c := w.dialConnect("other.example:443")
	tick := time.NewTicker(enough / 10)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < 3*enough; <-tick.C {
		got := make([]byte, 4)
		if _, err := io.WriteString(c, "ping"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "ping" {
			t.Fatalf("after %v: %q %v", time.Since(begin), got, err)
		}
	}
	if n := w.server.Refused(proxy.BoundAnswerTime); n != 0 {
		t.Errorf("%d answers took too long", n)
	}
}

func TestLargeBodiesLeaveRoomForUsualOnes(t *testing.T) {
	w := newWorld(t, five, func(_ *world, _ *proxy.Config, e *proxy.Enforcer) { e.MaxBuffered = 1 << 20 })
	big := w.dialInside("http/1.1")
	go fmt.Fprintf(big, "POST /send HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\nContent-Length: %d\r\n\r\n%s", 2<<20, strings.Repeat(" ", 900<<10))
	told(t, big, http.StatusServiceUnavailable, "busy") // there would be room, if all of it were for such
	if n := w.service.messages.Load(); n != 0 {
		t.Errorf("the service saw %d messages", n)
	}
}

// What is read of a call to find whose it is lies in memory as well.
func TestBodiesOfCallsAreBoundedToo(t *testing.T) {
	w := newWorld(t, "", func(w *world, _ *proxy.Config, e *proxy.Enforcer) {
		w.set.Store(mustLoad(t, strings.Replace(chat, "{bearer: true, secret: true}", "{json: $.token, secret: true}", 1)+
			"limits: [{name: chat.calls, on: chat.request, allow: 9, per: day}]\n"))
		e.MaxBuffered = 64 << 10
	})
	held := w.dialInside("http/1.1")
	fmt.Fprintf(held, "POST /read HTTP/1.1\r\nHost: chat.example\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", 60<<10, strings.Repeat(" ", 40<<10))
	eventually(t, "what came is not counted", func() bool { return w.enforcer.Buffered() == 40<<10 })
	other := w.dialInside("http/1.1")
	go fmt.Fprintf(other, "POST /read HTTP/1.1\r\nHost: chat.example\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", 40<<10, strings.Repeat(" ", 40<<10))
	told(t, other, http.StatusServiceUnavailable, "busy")
	held.Close()
	eventually(t, "the memory is not given back", func() bool { return w.enforcer.Buffered() == 0 })
}

func TestBodiesThatAreTooLargeAreCounted(t *testing.T) {
	w := newWorld(t, five, func(_ *world, _ *proxy.Config, e *proxy.Enforcer) { e.MaxBody = 5 })
	if resp, _ := w.send(w.client(false), "anna", "bob"); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%s", resp.Status)
	}
	w.next()
	if n := w.enforcer.TooLarge(); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}

func TestBodiesInMemoryAreBoundedInAll(t *testing.T) {
	w := newWorld(t, five, func(_ *world, _ *proxy.Config, e *proxy.Enforcer) { e.MaxBuffered = 1 << 20 })
	big := w.dialInside("http/1.1")
	fmt.Fprintf(big, "POST /send HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\nContent-Length: %d\r\n\r\n%s", 2<<20, strings.Repeat(" ", 700<<10))
	eventually(t, "what came is not counted", func() bool { return w.enforcer.Buffered() == 700<<10 })
	other := w.dialInside("http/1.1")
	go fmt.Fprintf(other, "POST /send HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer ben\r\nContent-Length: %d\r\n\r\n%s", 2<<20, strings.Repeat(" ", 700<<10))
	told(t, other, http.StatusServiceUnavailable, "busy")
	if n := w.enforcer.Crowded(); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
	if resp, body := w.send(w.client(false), "anna", "bob"); resp.StatusCode != 200 { // a small one still goes
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	w.next()
	big.Close()
	eventually(t, "the memory is not given back", func() bool { return w.enforcer.Buffered() == 0 })
}

// Requests that take long: the answer comes in pieces, or late.
func TestAnswersThatMoveOutliveTheTimeOfShortOnes(t *testing.T) {
	const enough = 200 * time.Millisecond
	for _, h2 := range []bool{false, true} {
		w := newWorld(t, five, limited(proxy.Limits{BodyTime: enough}))
		w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(enough / 4)
			defer tick.Stop()
			late := r.URL.Path == "/late"
			for range 12 {
				<-tick.C
				if !late {
					io.WriteString(rw, "piece ")
					rw.(http.Flusher).Flush()
				}
			}
			if late {
				io.WriteString(rw, "at last")
			}
		})
		for path, want := range map[string]string{"/pieces": strings.Repeat("piece ", 12), "/late": "at last"} {
			resp, err := w.client(h2).Get("https://chat.example" + path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(got) != want || err != nil {
				t.Errorf("http2=%v %s: %q %v", h2, path, got, err)
			}
		}
		if n := w.server.Refused(proxy.BoundAnswerTime); n != 0 {
			t.Errorf("http2=%v: %d answers took too long", h2, n)
		}
	}
}
