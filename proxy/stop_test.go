package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"quotagate/proxy"
)

// A stoppable is one more proxy of a world, which the test stops.
type stoppable struct {
	w      *world
	addr   string
	l      net.Listener
	stop   context.CancelFunc
	served chan error
}

func (w *world) stoppable(t *testing.T, cfg *proxy.Config, grace time.Duration) *stoppable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &stoppable{w: w, addr: l.Addr().String(), l: l, stop: stop, served: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		s.served <- proxy.New(*cfg).Serve(ctx, l, grace)
		close(ended)
	}()
	t.Cleanup(func() { stop(); <-ended })
	return s
}

func (s *stoppable) client(h2 bool) *http.Client {
	c := s.w.client(h2)
	c.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: s.addr})
	return c
}

// refuses waits until nobody is let in any more, but told to come back.
func (s *stoppable) refuses(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		refused := 0
		for _, line := range []string{"CONNECT other.example:443 HTTP/1.1\r\nHost: other.example", "GET http://quotagate.internal/ HTTP/1.1\r\nHost: quotagate.internal"} {
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal("hung up on: ", err)
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprint(conn, line+"\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			conn.Close()
			if err == nil && resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "" &&
				resp.Header.Get("Quotagate-Error") == "draining" && resp.Close {
				refused++
			}
		}
		if refused == 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("new clients are still let in")
		}
	}
}

// ends waits for Serve.
func (s *stoppable) ends(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.served:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("Serve does not return")
		return nil
	}
}

// echo is a host that no rule names and that says back what it hears.
func (w *world) echo(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.dialTo["other.example:443"] = l.Addr().String()
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
}

// A tunnel that carried a line and would carry more.
func (s *stoppable) tunnel(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example\r\n\r\n")
	if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))); err != nil {
		t.Fatal(err)
	}
	said(t, conn, "SSH-2.0-first\r\n")
	return conn
}

// said fails the test unless what is written comes back.
func said(t *testing.T, conn net.Conn, line string) {
	t.Helper()
	if _, err := io.WriteString(conn, line); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(line))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != line {
		t.Fatalf("%q came back as %q, %v", line, got, err)
	}
}

type answer struct {
	status int
	word   string
	body   string
	err    error
}

// ask sends a message of account and tells later what came back.
func (s *stoppable) ask(c *http.Client, account string) <-chan answer {
	out := make(chan answer, 1)
	req := s.w.message(context.Background(), account, "bob")
	go func() {
		resp, err := c.Do(req)
		if err != nil {
			out <- answer{err: err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		out <- answer{resp.StatusCode, resp.Header.Get("Quotagate-Error"), string(body), err}
	}()
	return out
}

func keepConfig(cfg *proxy.Config) option {
	return func(_ *world, c *proxy.Config, _ *proxy.Enforcer) { *cfg = *c }
}

func TestStoppingLetsWhatRunsFinishAndClosesTunnelsLast(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", h2), func(t *testing.T) {
			var cfg proxy.Config
			w := newWorld(t, "limits: [{name: chat.pace, on: chat.message, pace: 60s, wait: 5m}]\n", keepConfig(&cfg))
			w.echo(t)
			running, release := make(chan struct{}, 1), make(chan struct{})
			w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "Bearer slow" {
					io.WriteString(rw, "half ")
					rw.(http.Flusher).Flush()
					running <- struct{}{}
					<-release
				}
				io.WriteString(rw, "whole")
			})
			s := w.stoppable(t, &cfg, 20*time.Second)
			c := s.client(h2)
			tunnel := s.tunnel(t)
			if a := <-s.ask(c, "anna"); a.body != "whole" {
				t.Fatalf("%+v", a)
			}
			w.next()
			held := s.ask(c, "anna")
			if r := w.next(); r.Decision != proxy.DecisionHold {
				t.Fatalf("%+v", r)
			}
			slow := s.ask(c, "slow")
			<-running
			w.next()

			s.stop()
			close(w.drain)
			if a := <-held; a.status != http.StatusServiceUnavailable || a.word != "draining" {
				t.Errorf("what was held: %+v", a)
			}
			s.refuses(t)
			said(t, tunnel, "still here\r\n")
			select {
			case err := <-s.served:
				t.Errorf("Serve returned %v while a request was running", err)
				s.served <- err
			default:
			}
			close(release)
			if a := <-slow; a.status != 200 || a.body != "half whole" || a.err != nil {
				t.Errorf("what was running: %+v", a)
			}
			if err := s.ends(t); err != nil {
				t.Errorf("serve: %v", err)
			}
			if n, err := tunnel.Read(make([]byte, 1)); err == nil || isTimeout(err) {
				t.Errorf("the tunnel still stands: %d %v", n, err)
			}
			if n := w.service.messages.Load(); n != 2 {
				t.Errorf("the service saw %d messages, want 2", n)
			}
		})
	}
}

// A connection that waits for its next request has none that could finish, so it
// is closed although others still run.
func TestStoppingClosesIdleConnectionsAtOnce(t *testing.T) {
	var cfg proxy.Config
	w := newWorld(t, five, keepConfig(&cfg))
	running, release := make(chan struct{}, 1), make(chan struct{})
	w.service.respond(func(http.ResponseWriter, *http.Request) {
		running <- struct{}{}
		<-release
	})
	s := w.stoppable(t, &cfg, 20*time.Second)
	idle, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	idle.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	told(t, idle, http.StatusBadRequest, "").Body.Close()
	slow := s.ask(s.client(false), "anna")
	<-running
	s.stop()
	hungUp(t, idle)
	close(release)
	<-slow
}

func TestStoppingWaitsNoLongerThanItsGrace(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", h2), func(t *testing.T) {
			var cfg proxy.Config
			w := newWorld(t, five, keepConfig(&cfg))
			running := make(chan struct{}, 1)
			w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
				io.WriteString(rw, "half ")
				rw.(http.Flusher).Flush()
				running <- struct{}{}
				<-r.Context().Done() // nobody waits for it any more
			})
			s := w.stoppable(t, &cfg, 50*time.Millisecond)
			endless := s.ask(s.client(h2), "anna")
			<-running
			s.stop()
			if err := s.ends(t); err != nil {
				t.Errorf("serve: %v", err)
			}
			select {
			case a := <-endless:
				if a.err == nil {
					t.Errorf("half an answer was taken for a whole one: %+v", a)
				}
			case <-time.After(10 * time.Second): // half of what the client bears
				t.Error("the request still runs")
			}
			w.next()
			if n := w.used("chat.day"); n != 1 {
				t.Errorf("%d counted, want 1", n)
			}
		})
	}
}

// WebSockets, and handshakes under way, are no requests that could finish.
func TestStoppingClosesWhatNobodyElseCloses(t *testing.T) {
	var cfg proxy.Config
	w := newWorld(t, five, keepConfig(&cfg), http1Upstream)
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Connection", "Upgrade")
		rw.Header().Set("Upgrade", "websocket")
		rw.WriteHeader(http.StatusSwitchingProtocols)
		if conn, brw, err := http.NewResponseController(rw).Hijack(); err == nil {
			io.Copy(conn, brw)
			conn.Close()
		}
	})
	s := w.stoppable(t, &cfg, 20*time.Second)
	open := func() net.Conn {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(8 * time.Second)) // less than a handshake may take
		fmt.Fprint(conn, "CONNECT chat.example:443 HTTP/1.1\r\nHost: chat.example\r\n\r\n")
		if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	silent := open() // says no word of its handshake
	socket := tls.Client(open(), &tls.Config{ServerName: "chat.example", RootCAs: w.roots})
	fmt.Fprint(socket, "GET /ws HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if _, err := io.ReadFull(socket, make([]byte, len("HTTP/1.1 101"))); err != nil {
		t.Fatal(err)
	}
	s.stop()
	if err := s.ends(t); err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := io.Copy(io.Discard, socket); isTimeout(err) {
		t.Error("the WebSocket still stands")
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the connection without a handshake still stands: %v", err)
	}
}

func TestAListenerThatFailsIsToldOf(t *testing.T) {
	var cfg proxy.Config
	w := newWorld(t, five, keepConfig(&cfg))
	s := w.stoppable(t, &cfg, 20*time.Second)
	if a := <-s.ask(s.client(false), "anna"); a.status != 200 {
		t.Fatalf("%+v", a)
	}
	w.next()
	s.l.Close()
	if err := s.ends(t); err == nil {
		t.Error("Serve ended without an error though nobody stopped it")
	}
}
