package proxy_test

// Services that take a connection and not what is sent on it.

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"quotagate/proxy"
)

// stall has a service that answers nothing in the place of the world's. It speaks
// alpn, and leaves each connection to attend.
func (w *world) stall(t *testing.T, alpn string, attend func(net.Conn)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	cfg := &tls.Config{Certificates: w.service.TLS.Certificates, NextProtos: []string{alpn}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, raw)
			mu.Unlock()
			wg.Go(func() {
				c := tls.Server(raw, cfg)
				if raw.(*net.TCPConn).SetReadBuffer(4<<10) == nil && c.Handshake() == nil {
					attend(c)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	w.dialTo["chat.example:443"] = l.Addr().String()
}

// greet is a service of HTTP/2 that takes frames and gives no window for
// another body.
func greet(c net.Conn) {
	f := http2.NewFramer(c, c)
	if f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}) != nil {
		return
	}
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			c.Close()
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				f.WritePing(true, frame.Data)
			}
		}
	}
}

// deaf is a service that reads nothing, by HTTP/2 with all the window there is.
func deaf(c net.Conn) {
	if c.(*tls.Conn).ConnectionState().NegotiatedProtocol == "h2" {
		f := http2.NewFramer(c, c)
		f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		f.WriteWindowUpdate(0, 1<<31-1-65535)
	}
}

// narrowly has the way to the service keep little in the system. What becomes of
// the connections is told to ended.
func narrowly(ended chan<- struct{}) option {
	return func(_ *world, _ *proxy.Config, e *proxy.Enforcer) {
		tr := e.Next.(*http.Transport)
		dial := tr.DialContext
		tr.DialContext = proxy.Gathering(func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &ending{Conn: c, ended: ended}, c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		})
	}
}

type ending struct {
	net.Conn
	once  sync.Once
	ended chan<- struct{}
}

func (e *ending) Close() error {
	e.once.Do(func() { e.ended <- struct{}{} })
	return e.Conn.Close()
}

// What the service does not take never is written, so nobody but the outbox
// keeps its time.
func TestAServiceThatTakesNothingIsNotWaitedForLonger(t *testing.T) {
	for _, tc := range []struct {
		name, alpn string
		attend     func(net.Conn)
		size       int // of a message
		buffer     int // of the transport
	}{
		{"no window", "h2", greet, 1 << 10, 0},
		{"deaf", "h2", deaf, 60 << 10, 0},
		{"deaf", "http/1.1", deaf, 60 << 10, 0},
		{"deaf, with a buffer that takes all", "http/1.1", deaf, 60 << 10, 128 << 10},
	} {
		t.Run(tc.name+" "+tc.alpn, func(t *testing.T) {
			const limit, requests = 3 * soon, 3
			ended := make(chan struct{}, 9)
			w := newWorld(t, five, within(limit), narrowly(ended), upstreamSpeaks(tc.alpn == "h2"))
			w.enforcer.Next.(*http.Transport).WriteBufferSize = tc.buffer
			w.stall(t, tc.alpn, tc.attend)
			client := w.client(true)
			for i := range requests { // what the first may be told to, and the system keeps, is written
				req := w.message(t.Context(), "anna", "bob")
				body := fmt.Sprintf(`{"to":"bob%d","text":"%s"}`, i, strings.Repeat("x", tc.size))
				req.Body, req.GetBody, req.ContentLength = io.NopCloser(strings.NewReader(body)), nil, int64(len(body))
				began := time.Now()
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if took := time.Since(began); resp.StatusCode != 504 || resp.Header.Get("Quotagate-Error") != "unanswered" || took < limit {
					t.Errorf("request %d: %d %v after %v", i, resp.StatusCode, resp.Header, took)
				}
				if r := w.next(); !strings.Contains(r.Reason, "it counts") {
					t.Errorf("request %d: recorded %+v", i, r)
				}
			}
			if n := w.enforcer.Unanswered(); n != requests {
				t.Errorf("%d are said to be unanswered", n)
			}
			select {
			case <-ended:
			case <-time.After(30 * time.Second):
				t.Error("the connection still stands")
			}
		})
	}
}

// An upload that is not taken ends by its context alone, and would leave the
// connection to the next.
func TestAConnectionThatTakesNothingEnds(t *testing.T) {
	const limit = 3 * soon
	ended := make(chan struct{}, 9)
	w := newWorld(t, five, within(limit), narrowly(ended), upstreamSpeaks(true))
	w.stall(t, "h2", deaf)
	req, err := http.NewRequestWithContext(t.Context(), "POST", "https://chat.example/upload", strings.NewReader(strings.Repeat("x", 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.client(true).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 504 || resp.Header.Get("Quotagate-Error") != "unanswered" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the connection still stands")
	}
}
