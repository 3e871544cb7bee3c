package proxy_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"quotagate/proxy"
	"quotagate/rules"
)

// bomb is what must not come out: a message's text in the words of a panic.
const bomb = "s3cret text"

type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic(bomb) }

func TestAPanicEndsItsRequestAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		option option
		used   int64
	}{
		"sending": {func(_ *world, _ *proxy.Config, e *proxy.Enforcer) { e.Next = panicking{} }, 1},
		"recording": {func(_ *world, _ *proxy.Config, e *proxy.Enforcer) {
			record := e.Record
			e.Record = func(r *proxy.Record) {
				record(r)
				panic(errors.New(bomb))
			}
		}, 1},
		"rules": {func(w *world, c *proxy.Config, e *proxy.Enforcer) {
			e.Rules = func() *rules.Set { panic(bomb) }
		}, -1},
		"transport": {func(_ *world, c *proxy.Config, _ *proxy.Enforcer) { c.Transport = panicking{} }, -1},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, five, tc.option, func(_ *world, c *proxy.Config, e *proxy.Enforcer) { e.Log = c.Log })
				c := w.client(h2)
				for range 2 { // the process lives, and the next is served
					resp, body := w.send(c, "anna", "bob")
					id := resp.Header.Get("Quotagate-Id")
					if resp.StatusCode != 500 || resp.Header.Get("Quotagate-Error") != "internal" || id == "" ||
						resp.Header.Get("Content-Type") != "application/problem+json" {
						t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
					}
					if strings.Contains(body, bomb) || strings.Contains(w.log.String(), bomb) {
						t.Errorf("the words of a panic came out: %s\n%s", body, w.log)
					}
					if !strings.Contains(w.log.String(), id) || !strings.Contains(w.log.String(), "panicked") {
						t.Errorf("the log does not tell of %s:\n%s", id, w.log)
					}
				}
				if tc.used >= 0 {
					if n := w.used("chat.day"); n != 2*tc.used {
						t.Errorf("%d counted, want %d", n, 2*tc.used)
					}
				}
				if n := w.server.Counts.Panics.Load() + w.enforcer.Panics(); n != 2 {
					t.Errorf("%d panics counted", n)
				}
			})
		}
	}
}

// Only a broken connection says that an answer is not whole.
func TestAPanicWithinAnAnswerBreaksItOff(t *testing.T) {
	w := newWorld(t, five, func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Internal = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = rw.Write([]byte("half"))
			_ = http.NewResponseController(rw).Flush()
			panic(bomb)
		})
	})
	page := w.dialFront()
	page.Write([]byte(getFront))
	resp, err := http.ReadResponse(bufio.NewReader(page), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q %v", body, err)
	}
}

func TestAPanicAtTheFrontEndsItsRequestAlone(t *testing.T) {
	w := newWorld(t, five, func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Internal = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(bomb) })
		c.PortAllowed = func(port uint16) bool {
			if port == 99 {
				panic(bomb)
			}
			return true
		}
	})
	page, connect := w.dialFront(), w.dialFront()
	page.Write([]byte(getFront))
	told(t, page, http.StatusInternalServerError, "internal")
	connect.Write([]byte("CONNECT chat.example:99 HTTP/1.1\r\nHost: chat.example\r\n\r\n"))
	hungUp(t, connect)
	if resp, body := w.send(w.client(false), "anna", "bob"); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	w.next()
	if strings.Contains(w.log.String(), bomb) || strings.Count(w.log.String(), "panicked") != 2 {
		t.Errorf("the log:\n%s", w.log)
	}
}
