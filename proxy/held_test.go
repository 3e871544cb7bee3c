package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

func TestAnAccountAtItsBoundTakesNoPlaceAndBlocksNobody(t *testing.T) {
	w := newWorld(t, minutely, func(_ *world, _ *proxy.Config, e *proxy.Enforcer) { e.MaxHeldPerAccount, e.MaxHeld = 2, 4 })
	q, c := w.newQueue(), w.client(false)
	for _, account := range []string{"anna", "bert", "carl"} {
		w.send(c, account, account)
		w.next()
	}
	busy := func(account string, counted int64) {
		t.Helper()
		resp, _ := w.send(c, account, "x")
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Quotagate-Error") != "busy" || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s %v", account, resp.Status, resp.Header)
		}
		w.next()
		if n := w.used("chat.day"); n != counted {
			t.Errorf("%s: %d counted, want %d", account, n, counted)
		}
	}
	q.hold(c, "anna", "a2")
	q.hold(c, "anna", "a3")
	busy("anna", 3)
	q.hold(c, "bert", "b2") // another account waits all the same
	q.hold(c, "bert", "b3")
	busy("carl", 1) // in all
	if all, ofAccount := w.enforcer.HeldRefused(); all != 1 || ofAccount != 1 {
		t.Errorf("%d and %d were refused", all, ofAccount)
	}
	// The slots of the refused are free: who waits next is due right behind.
	w.enforcer.MaxHeldPerAccount = 3
	w.enforcer.MaxHeld = 5
	q.hold(c, "anna", "a4")
	w.mu.Lock()
	last := w.records[len(w.records)-1]
	w.mu.Unlock()
	if due := time.Until(last.RetryAt); due > 181*time.Second || due < 150*time.Second {
		t.Errorf("it is due in %s, want the third slot", due)
	}
	close(w.drain)
	q.answered()
}

// Whoever leaves gives back his place at once, whichever way he goes.
func TestHoweverAClientLeavesItsPlaceIsFreeAtOnce(t *testing.T) {
	type left struct {
		conn   net.Conn // the client's socket
		cancel context.CancelFunc
	}
	for _, tc := range []struct {
		name  string
		h2    bool
		front bool // TLS on the proxy's own port
		leave func(left)
	}{
		{"h1, given up", false, false, func(l left) { l.cancel() }},
		{"h1, closed", false, false, func(l left) { l.conn.Close() }},
		{"h1, closed, noticed by reading", false, false, func(l left) { l.conn.Close() }},
		{"h1, reset", false, false, func(l left) { l.conn.(*net.TCPConn).SetLinger(0); l.conn.Close() }},
		// Who ends its half of the connection is taken to have left, as
		// everywhere in net/http: nothing tells it from one that did.
		{"h1, half closed", false, false, func(l left) { l.conn.(*net.TCPConn).CloseWrite() }},
		{"h2, stream reset", true, false, func(l left) { l.cancel() }},
		{"h2, closed", true, false, func(l left) { l.conn.Close() }},
		{"h2, reset", true, false, func(l left) { l.conn.(*net.TCPConn).SetLinger(0); l.conn.Close() }},
		{"TLS front, h1, given up", false, true, func(l left) { l.cancel() }},
		{"TLS front, h1, closed", false, true, func(l left) { l.conn.Close() }},
		{"TLS front, h2, closed", true, true, func(l left) { l.conn.Close() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ca := newTestCA(t)
			w := newWorld(t, minutely, func(w *world, c *proxy.Config, _ *proxy.Enforcer) {
				if strings.HasSuffix(tc.name, "by reading") {
					w.prepare = proxy.WatchByReading
				}
				if tc.front {
					c.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "proxy.example")}, NextProtos: []string{"http/1.1"}}
				}
			})
			q := w.newQueue()
			c := w.client(tc.h2)
			tr := c.Transport.(*http.Transport)
			dialed := make(chan net.Conn, 10)
			tr.Proxy = nil
			tr.DialTLSContext = nil
			tr.DialContext = func(ctx context.Context, _, addr string) (net.Conn, error) {
				raw, err := net.Dial("tcp", w.addr)
				if err != nil {
					return nil, err
				}
				conn := raw
				if tc.front {
					conn = tls.Client(raw, &tls.Config{RootCAs: ca.pool(), ServerName: "proxy.example"})
				}
				fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", addr)
				resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 39)), nil)
				if err != nil || resp.StatusCode != http.StatusOK {
					raw.Close()
					return nil, fmt.Errorf("connect: %v %w", resp, err)
				}
				dialed <- raw
				return conn, nil
			}
			w.send(c, "anna", "a")
			w.next()
			conn := <-dialed
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			req := w.message(ctx, "anna", "b")
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if resp, err := c.Do(req); err == nil {
					resp.Body.Close()
				}
			}()
			if r := w.next(); r.Decision != proxy.DecisionHold {
				t.Fatalf("%+v", r)
			}
			tc.leave(left{conn, cancel})
			if r := w.next(); r.Decision != proxy.DecisionCancel { // comes when the place is given back
				t.Errorf("%+v", r)
			}
			if n := w.used("chat.day"); n != 1 {
				t.Errorf("%d counted, want 1", n)
			}
			if n := w.enforcer.Held(); n != 0 {
				t.Errorf("%d held", n)
			}
			conn.Close()
			<-ended
			if got := q.order(); got != "a" {
				t.Errorf("the service got %q", got)
			}
		})
	}
}

// Whoever reads that a hold is over may send the next at once.
func TestTheRecordThatEndsAHoldComesWhenItsPlaceIsFree(t *testing.T) {
	for how, end := range map[string]func(l *lab, leave, drain func()){
		"the client leaves": func(_ *lab, leave, _ func()) { leave() },
		"the proxy stops":   func(_ *lab, _, drain func()) { drain() },
		"it is refused": func(l *lab, _, _ func()) {
			if err := l.ledger.Pause(t.Context(), l.name(), &ratelimit.Hold{Why: "a person looks"}); err != nil {
				t.Error(err)
			}
		},
		"it goes": func(*lab, func(), func()) {},
	} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, chat+minutely)
				stop := make(chan struct{})
				l.Draining = stop
				var free atomic.Bool
				note := l.Record
				l.Record = func(r *proxy.Record) {
					note(r)
					free.Store(l.Held() == 0)
				}
				l.post("/send", `{"to":"a"}`)
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				held := l.start(ctx, `{"to":"b"}`)
				end(l, leave, func() { close(stop) })
				<-held
				if !free.Load() {
					t.Error("it has its place still")
				}
			})
		})
	}
}

// A person who pauses the account moves what waits; it keeps its place among
// those that may wait.
func TestWhoIsMovedKeepsItsPlaceInAFullRoom(t *testing.T) {
	w := newWorld(t, minutely, func(_ *world, _ *proxy.Config, e *proxy.Enforcer) { e.MaxHeld = 1 })
	q, c := w.newQueue(), w.client(false)
	w.send(c, "anna", "a")
	w.next()
	q.hold(c, "anna", "b")
	for _, pace := range []string{"pace: 70s", "pace: 80s", "pace: 90s"} {
		w.set.Store(mustLoad(t, chat+"limits: [{name: chat.pace, on: chat.message, "+pace+", wait: 5m}]\n"))
		w.enforcer.RulesChanged()
		if resp, _ := w.send(c, "anna", "x"); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("beside it: %s", resp.Status)
		}
		w.next()
	}
	w.set.Store(loadRules(t, five))
	w.enforcer.RulesChanged()
	q.wantSent("a b")
}
