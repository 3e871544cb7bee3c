package proxy_test

import (
	"context"
	"net/http"
	"testing"

	"quotagate/proxy"
)

func TestNoMoreRequestsWaitThanMayAndTheNextTakesNothing(t *testing.T) {
	const rules = "limits: [{name: chat.pace, on: chat.message, pace: 60s, wait: 5m}, {name: chat.day, on: chat.message, allow: 9, per: day}]\n"
	w := newWorld(t, rules, func(_ *world, _ *proxy.Config, e *proxy.Enforcer) { e.MaxHeld = 2 })
	c := w.client(false)
	w.send(c, "anna", "bob")
	w.next()
	ctx, leave := context.WithCancel(context.Background())
	ended := make(chan struct{}, 3)
	hold := func(account string) {
		req := w.message(ctx, account, "bob") // t.Fatal belongs to the test's goroutine
		go func() {
			if resp, err := c.Do(req); err == nil {
				resp.Body.Close()
			}
			ended <- struct{}{}
		}()
		if r := w.next(); r.Decision != proxy.DecisionHold {
			t.Fatalf("%+v", r)
		}
	}
	hold("anna")
	hold("anna")
	if n := w.enforcer.Held(); n != 2 {
		t.Errorf("%d held, want 2", n)
	}
	for range 2 { // a refused one takes no place either
		resp, _ := w.send(c, "anna", "bob")
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Quotagate-Error") != "busy" || resp.Header.Get("Retry-After") == "" {
			t.Errorf("over the cap: %s %v", resp.Status, resp.Header)
		}
		if r := w.next(); r.Decision != proxy.DecisionReject || r.Status != http.StatusServiceUnavailable {
			t.Errorf("over the cap: %+v", r)
		}
		if n := w.used("chat.day"); n != 3 {
			t.Errorf("%d counted, want 3", n)
		}
		if n := w.enforcer.Held(); n != 2 {
			t.Errorf("%d held, want 2", n)
		}
	}
	if resp, _ := w.send(c, "bert", "bob"); resp.StatusCode != http.StatusOK { // who need not wait is not refused
		t.Errorf("another account: %s", resp.Status)
	}
	w.next()
	leave()
	<-ended
	<-ended
	w.next()
	w.next()
	ctx, leave = context.WithCancel(context.Background())
	hold("anna") // there is room again
	leave()
	<-ended
	w.next()
	if n := w.service.messages.Load(); n != 2 {
		t.Errorf("the service saw %d messages, want 2", n)
	}
}
