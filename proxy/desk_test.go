package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"quotagate/proxy"
)

// Of bodies that may grow to the largest size no more are taken apart at once
// than there are seats, and others need none.
func TestBodiesThatMayGrowLargeTakeTurns(t *testing.T) {
	for _, tc := range []struct{ name, encoding string }{{"long", ""}, {"compressed", "gzip"}} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, five)
			body := []byte(`{"to":"bob","pad":"` + numbers(30_000) + `"}`)
			if tc.encoding != "" {
				body = []byte(gzipped(string(body)))
			}
			leave := proxy.TakeSeats(w.enforcer)
			done := make(chan int, 1)
			go func() {
				req := w.message(context.Background(), "anna", "bob")
				req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				if tc.encoding != "" {
					req.Header.Set("Content-Encoding", tc.encoding)
				}
				resp, err := w.enforcer.RoundTrip(req)
				if err != nil {
					done <- 0
					return
				}
				resp.Body.Close()
				done <- resp.StatusCode
			}()
			eventually(t, "the body is not read", func() bool { return w.enforcer.Buffered() == int64(len(body)) })
			for range 5 {
				if resp, _ := w.send(w.client(false), "ben", "bob"); resp.StatusCode != 200 {
					t.Errorf("a small one: %s", resp.Status)
				}
				if r := w.next(); len(r.Messages) != 1 || len(done) > 0 {
					t.Error("it did not wait for a seat")
				}
			}
			leave()
			if status := <-done; status != 200 {
				t.Errorf("answered %d", status)
			}
			w.next()
			eventually(t, "the memory is not given back", func() bool { return w.enforcer.Buffered() == 0 })
		})
	}
}

func TestAClientThatLeavesWhileItsBodyWaitsSendsNothing(t *testing.T) {
	w := newWorld(t, five)
	defer proxy.TakeSeats(w.enforcer)()
	ctx, cancel := context.WithCancel(context.Background())
	body := `{"to":"bob","pad":"` + strings.Repeat("x", 1<<20) + `"}`
	req := w.message(ctx, "anna", "bob")
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	done := make(chan error, 1)
	go func() {
		resp, err := w.enforcer.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	eventually(t, "the body is not read", func() bool { return w.enforcer.Buffered() == int64(len(body)) })
	cancel()
	if err := <-done; err == nil {
		t.Error("it was answered")
	}
	eventually(t, "the memory is not given back", func() bool { return w.enforcer.Buffered() == 0 })
}

// numbers do not shrink more than bodies may.
func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprint(&b, i)
	}
	return b.String()
}
