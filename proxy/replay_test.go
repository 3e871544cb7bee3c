package proxy_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// http.Transport repeats what it takes to be harmless when a kept connection
// dies under it. A message is harmless in no form.
func TestNoMessageIsSentAgainWhenAKeptConnectionDies(t *testing.T) {
	for name, tc := range map[string]struct {
		method, header, body string
	}{
		"no method":                             {"", "", ""},
		"GET":                                   {"GET", "", ""},
		"GET with a body":                       {"GET", "", `{"to":"bob"}`},
		"HEAD":                                  {"HEAD", "", ""},
		"HEAD with a body":                      {"HEAD", "", `{"to":"bob"}`},
		"OPTIONS":                               {"OPTIONS", "", ""},
		"OPTIONS with a body":                   {"OPTIONS", "", `{"to":"bob"}`},
		"TRACE":                                 {"TRACE", "", ""},
		"POST":                                  {"POST", "", `{"to":"bob"}`},
		"POST without a body":                   {"POST", "", ""},
		"POST, Idempotency-Key":                 {"POST", "Idempotency-Key", `{"to":"bob"}`},
		"POST, Idempotency-Key, no body":        {"POST", "Idempotency-Key", ""},
		"POST, X-Idempotency-Key":               {"POST", "X-Idempotency-Key", `{"to":"bob"}`},
		"POST, X-Idempotency-Key, without body": {"POST", "X-Idempotency-Key", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, five, http1Upstream)
			set := strings.Replace(chat, "method: POST", "method: [GET, HEAD, OPTIONS, TRACE, POST]", 1)
			w.set.Store(mustLoad(t, strings.Replace(set, "recipients: [{json: $.to}]", "recipients: [{query: to}]", 1)+five))
			var seen atomic.Int64
			w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if seen.Add(1) == 1 {
					return // the connection is kept for the next one
				}
				if conn, _, err := http.NewResponseController(rw).Hijack(); err == nil {
					conn.Close() // and dies under it
				}
			})
			for i := range 2 {
				req := w.message(context.Background(), "anna", "bob")
				req.Method, req.URL.RawQuery = tc.method, "to=bob"
				if tc.header != "" {
					req.Header.Set(tc.header, "k")
				}
				// As net/http gives a server's requests to a transport, and
				// with what clients in Go add: a way to read it once more.
				req.Body, req.GetBody, req.ContentLength = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }, 0
				if tc.body != "" {
					again := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(tc.body)), nil }
					req.GetBody, req.ContentLength = again, int64(len(tc.body))
					req.Body, _ = again()
				}
				resp, err := w.enforcer.RoundTrip(req)
				if (err == nil) != (i == 0) {
					t.Errorf("request %d: %v", i+1, err)
				}
				if err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				w.next()
			}
			if n := w.service.messages.Load(); n != 2 {
				t.Errorf("the service saw %d requests for 2 messages", n)
			}
			if n := w.used("chat.day"); n != 2 {
				t.Errorf("%d counted, want 2", n)
			}
		})
	}
}
