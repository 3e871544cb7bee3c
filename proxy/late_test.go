package proxy_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// A sleepyClock wakes late from every wait, as a machine that slept does.
type sleepyClock struct {
	mu   sync.Mutex
	now  time.Time
	late time.Duration
}

func (c *sleepyClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *sleepyClock) Wait(_ context.Context, t time.Time, _ <-chan struct{}) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.Before(t) {
		c.now = t.Add(c.late)
		c.late = 0 // it sleeps once
	}
	return nil
}

func TestWhatWakesLateIsSpacedFromWhenItLeaves(t *testing.T) {
	c := &sleepyClock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), late: 20 * time.Second}
	set := loadRules(t, strings.Replace(paced, "300ms, wait: 5s", "1s, wait: 5s", 1))
	var sent []time.Time
	var records []proxy.Record
	ledger := ratelimit.NewMemory(ratelimit.Options{Now: c.Now})
	w := &world{t: t}
	e := &proxy.Enforcer{
		Rules: constant(set), Ledger: ledger, Clock: c,
		Next:   recording{c, &sent},
		Record: func(r *proxy.Record) { records = append(records, *r) },
	}
	for range 3 {
		resp, err := e.RoundTrip(w.message(context.Background(), "anna", "bob"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if len(sent) != 3 {
		t.Fatalf("%d were sent: %+v", len(sent), records)
	}
	// The second is due after a second and wakes twenty late; the third comes
	// right behind it and must keep the pace from there.
	if got := sent[1].Sub(sent[0]); got != 21*time.Second {
		t.Errorf("the second left after %s", got)
	}
	if got := sent[2].Sub(sent[1]); got < time.Second {
		t.Errorf("the third left %s behind the second", got)
	}
}
