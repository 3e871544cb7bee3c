package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

const paced = "limits: [{name: chat.pace, on: chat.message, pace: 300ms, wait: 5s}, {name: chat.day, on: chat.message, allow: 5, per: day}]\n"

func TestAHeldMessageGoesInItsTurn(t *testing.T) {
	clock := newHandClock()
	w, q := held(t, paced, clock.drive)
	if r := w.records[1]; r.Limit != "chat.pace" || !r.RetryAt.Equal(clock.Now().Add(300*time.Millisecond)) {
		t.Errorf("the first record of a hold: %+v", r)
	}
	clock.pass(299 * time.Millisecond)
	if n := w.enforcer.Held(); n != 1 || q.order() != "a" {
		t.Errorf("%d held, and the service got %q", n, q.order())
	}
	clock.pass(time.Millisecond)
	q.wantSent("a b")
	if r := w.next(); r.Decision != proxy.DecisionForward || r.Held != 300*time.Millisecond {
		t.Errorf("the second record of a hold: %+v", r)
	}
}

func TestAClientThatLeavesAHoldSendsNothing(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", h2), func(t *testing.T) {
			w := newWorld(t, strings.Replace(paced, "300ms, wait: 5s", "60s, wait: 90s", 1))
			c := w.client(h2)
			w.send(c, "anna", "bob")
			w.next()
			ctx, leave := context.WithCancel(context.Background())
			gone := make(chan error, 1)
			go func() {
				resp, err := c.Do(w.message(ctx, "anna", "bob"))
				if err == nil {
					resp.Body.Close()
				}
				gone <- err
			}()
			if r := w.next(); r.Decision != proxy.DecisionHold {
				t.Fatalf("%+v", r)
			}
			if n := w.enforcer.Held(); n != 1 {
				t.Errorf("%d held", n)
			}
			leave()
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Errorf("the client got %v", err)
			}
			if r := w.next(); r.Decision != proxy.DecisionCancel {
				t.Errorf("%+v", r)
			}
			if n := w.service.messages.Load(); n != 1 {
				t.Errorf("the service saw %d messages", n)
			}
			if n := w.used("chat.day"); n != 1 {
				t.Errorf("%d counted, want 1", n)
			}
			if n := w.enforcer.Held(); n != 0 {
				t.Errorf("%d held", n)
			}
		})
	}
}

func TestOnlyProofThatNothingWasSentGivesQuotaBack(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(*testing.T, *world)
		status  int
		word    string // Quotagate-Error
		used    int64
	}{
		{"the service says it did not take it", func(_ *testing.T, w *world) {
			w.service.respond(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(422) })
		}, 422, "", 0},
		{"the service throttles", func(_ *testing.T, w *world) {
			w.service.respond(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(429) })
		}, 429, "", 1},
		{"the service fails", func(_ *testing.T, w *world) {
			w.service.respond(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) })
		}, 500, "", 1},
		{"the service resets", func(_ *testing.T, w *world) {
			w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(rw).Hijack()
				if err == nil {
					conn.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn).SetLinger(0)
					conn.Close()
				}
			})
		}, 502, "reset", 1},
		{"nobody listens", func(t *testing.T, w *world) { w.dialTo["chat.example:443"] = closedPort(t) }, 502, "refused", 0},
		{"a wrong certificate", func(t *testing.T, w *world) {
			stranger := newTestCA(t).issue(t, "chat.example")
			w.service.TLS.Certificates[0] = stranger
		}, 502, "certificate-unknown-authority", 0},
		{"a private address", func(_ *testing.T, w *world) { w.dialTo["chat.example:443"] = "10.255.255.1:443" }, 403, "address", 0},
		{"a broken answer", func(_ *testing.T, w *world) {
			w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Length", "100")
				io.WriteString(rw, "short")
			})
		}, brokenOff, "", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, five, http1Upstream)
			tc.prepare(t, w)
			resp, err := w.client(false).Do(w.message(context.Background(), "anna", "bob"))
			if tc.status == brokenOff {
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				if err == nil {
					t.Error("the client takes half an answer for a whole one")
				}
				w.next()
				if n := w.used("chat.day"); n != tc.used {
					t.Errorf("%d counted, want %d", n, tc.used)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tc.status || resp.Header.Get("Quotagate-Error") != tc.word {
				t.Errorf("%s, Quotagate-Error %q", resp.Status, resp.Header.Get("Quotagate-Error"))
			}
			if resp.Header.Get("Quotagate-Id") == "" {
				t.Error("no Quotagate-Id")
			}
			if r := w.next(); r.Status != tc.status {
				t.Errorf("the record: %+v", r)
			}
			if n := w.used("chat.day"); n != tc.used {
				t.Errorf("%d counted, want %d", n, tc.used)
			}
		})
	}
}

// brokenOff stands for an answer that ends before it is whole.
const brokenOff = -1

// http1Upstream makes the service be asked by HTTP/1.1, where a handler can
// take its connection.
func http1Upstream(_ *world, _ *proxy.Config, e *proxy.Enforcer) {
	tr := e.Next.(*http.Transport)
	tr.ForceAttemptHTTP2 = false
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestARefusalTakesNothing(t *testing.T) {
	w := newWorld(t, "limits:\n - {name: chat.day, on: chat.message, allow: 5, per: day}\n - {name: chat.pair, on: chat.message, allow: 1, per: day, by: recipient}\n")
	c := w.client(false)
	w.send(c, "anna", "bob")
	if resp, _ := w.send(c, "anna", "bob"); resp.Header.Get("Quotagate-Limit") != "chat.pair" {
		t.Errorf("%s by %q", resp.Status, resp.Header.Get("Quotagate-Limit"))
	}
	if n := w.used("chat.day"); n != 1 {
		t.Errorf("%d counted for the day, want 1", n)
	}
	if resp, _ := w.send(c, "anna", "carl"); resp.StatusCode != 200 {
		t.Errorf("another recipient: %s", resp.Status)
	}
}

func TestNewRulesHoldForWhatWaits(t *testing.T) {
	clock := newHandClock()
	w, q := held(t, paced, clock.drive)
	w.set.Store(loadRules(t, "limits: [{name: chat.none, on: chat.message, allow: 0, per: day}]\n"))
	clock.pass(300 * time.Millisecond)
	if a := q.answered()[0]; a.word != "chat.none" || q.order() != "a" {
		t.Errorf("%+v; the service got %q", a, q.order())
	}
}

func TestAPauseHoldsForWhatWaits(t *testing.T) {
	clock := newHandClock()
	w, q := held(t, paced, clock.drive)
	if err := w.ledger.Pause(t.Context(), w.records[0].Account, &ratelimit.Hold{Why: "a person looks"}); err != nil {
		t.Fatal(err)
	}
	clock.pass(300 * time.Millisecond)
	if a := q.answered()[0]; a.word != ratelimit.PausedLimit || q.order() != "a" {
		t.Errorf("%+v; the service got %q", a, q.order())
	}
	if n := w.used("chat.day"); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}

func TestStoppingEndsHoldsWithAnAnswer(t *testing.T) {
	w := newWorld(t, strings.Replace(paced, "300ms, wait: 5s", "60s, wait: 90s", 1))
	c := w.client(false)
	w.send(c, "anna", "bob")
	w.next()
	answered := make(chan *http.Response, 1)
	go func() {
		resp, err := c.Do(w.message(context.Background(), "anna", "bob"))
		if err == nil {
			resp.Body.Close()
		}
		answered <- resp
	}()
	w.next() // the hold
	close(w.drain)
	resp := <-answered
	if resp == nil || resp.StatusCode != 503 || resp.Header.Get("Quotagate-Error") != "draining" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%+v", resp)
	}
	if n := w.used("chat.day"); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}

func TestALedgerThatFailsLetsNothingThrough(t *testing.T) {
	w := newWorld(t, five, func(w *world, _ *proxy.Config, e *proxy.Enforcer) { e.Ledger = brokenLedger{w.ledger} })
	resp, body := w.send(w.client(false), "anna", "bob")
	if resp.StatusCode != 503 || resp.Header.Get("Quotagate-Error") != "store" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if strings.Contains(body, "secret path") {
		t.Errorf("the answer tells what is inside: %s", body)
	}
	if n := w.service.messages.Load(); n != 0 {
		t.Errorf("the service saw %d messages", n)
	}
}

type brokenLedger struct{ ratelimit.Store }

func (brokenLedger) Reserve(context.Context, ratelimit.Request) (ratelimit.Decision, error) {
	return ratelimit.Decision{}, errors.New("write /secret path: no space left")
}

func TestWhatCannotBeReadForCertainIsRefused(t *testing.T) {
	w := newWorld(t, five)
	c := w.client(false)
	for name, body := range map[string]string{
		"a key twice":    `{"to":"a","to":"b","text":"x"}`,
		"half an object": `{"to":"a"`,
	} {
		req, err := http.NewRequest("POST", "https://chat.example/send", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer anna")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 403 || resp.Header.Get("Quotagate-Limit") != "unreadable" {
			t.Errorf("%s: %s %v", name, resp.Status, resp.Header)
		}
	}
	resp, err := c.Do(w.anonymous(t))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.Header.Get("Quotagate-Limit") != "unknown-account" {
		t.Errorf("no account: %s %v", resp.Status, resp.Header)
	}
	if n := w.service.messages.Load(); n != 0 {
		t.Errorf("the service saw %d messages", n)
	}
}

func (w *world) anonymous(t *testing.T) *http.Request {
	req, err := http.NewRequest("POST", "https://chat.example/send", strings.NewReader(`{"to":"bob","text":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestTheServicesOwnQuotagateHeadersAreDropped(t *testing.T) {
	w := newWorld(t, five)
	w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Quotagate-Decision", "reject")
		rw.Header().Set("Quotagate-Forged", "yes")
		rw.Header().Set("Alt-Svc", `h3=":443"`)
	})
	resp, _ := w.send(w.client(false), "anna", "bob")
	if resp.Header.Get("Quotagate-Decision") != "forward" || resp.Header.Get("Quotagate-Forged") != "" || resp.Header.Get("Alt-Svc") != "" {
		t.Errorf("%v", resp.Header)
	}
}

func TestAMessageByGetIsNotRepeatedByTheTransport(t *testing.T) {
	w := newWorld(t, "limits: [{name: chat.day, on: chat.message, allow: 5, per: day}]\n", http1Upstream)
	set := strings.ReplaceAll(chat, "method: POST", "method: [GET, POST]")
	w.set.Store(mustLoad(t, strings.Replace(set, "recipients: [{json: $.to}]", "recipients: [{query: to}]", 1)+five))
	var seen atomic.Int64
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		if seen.Add(1) == 1 {
			return // the connection is kept for the next one
		}
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err == nil {
			conn.Close() // and dies under it
		}
	})
	c := w.client(false)
	for range 2 {
		req, err := http.NewRequest("GET", "https://chat.example/send?to=bob", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer anna")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if n := seen.Load(); n != 2 {
		t.Errorf("the service saw %d requests for 2 messages", n)
	}
	if n := w.used("chat.day"); n != 2 {
		t.Errorf("%d counted", n)
	}
}

func TestShadowRefusesNothing(t *testing.T) {
	w := newWorld(t, "limits: [{name: chat.day, on: chat.message, allow: 1, per: day}]\n", func(w *world, _ *proxy.Config, e *proxy.Enforcer) {
		w.set.Store(mustLoad(t, strings.Replace(chat, "{wait: 0s}", "{wait: 0s, mode: shadow}", 1)+
			"limits: [{name: chat.day, on: chat.message, allow: 1, per: day}]\n"))
		e.MaxBody = 40
	})
	c := w.client(false)
	for _, body := range []string{
		`{"to":"bob","text":"one"}`, `{"to":"bob","text":"two"}`, `{"to":"a","to":"b"}`, `{"to":`,
		`{"to":"bob","text":"` + strings.Repeat("long ", 20) + `"}`,
	} {
		var got string
		w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			got = string(b)
		})
		req, err := http.NewRequest("POST", "https://chat.example/send", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer anna")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || got != body {
			t.Errorf("%s: %s, and the service got %q", body, resp.Status, got)
		}
		w.next()
	}
	var shadowed []string
	for _, r := range w.records {
		shadowed = append(shadowed, strings.Join(r.Shadowed, ","))
	}
	if got := strings.Join(shadowed, " "); got != " chat.day unreadable unreadable unreadable" {
		t.Errorf("the records say what would have been: %q", got)
	}
}
