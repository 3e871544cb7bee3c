package proxy_test

import (
	"context"
	"sync"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// A handClock stands until a test moves it. What has to wait is then held
// however slow the machine is, and goes when the test says so.
type handClock struct {
	mu    sync.Mutex
	now   time.Time
	moved chan struct{} // closed when it next moves
}

func newHandClock() *handClock {
	return &handClock{now: time.Now().Truncate(time.Millisecond), moved: make(chan struct{})}
}

// drive is an option: the world's proxy and its ledger go by this clock. It
// stands before those that wrap the ledger.
func (c *handClock) drive(w *world, _ *proxy.Config, e *proxy.Enforcer) {
	w.ledger = ratelimit.NewMemory(ratelimit.Options{Now: c.Now})
	e.Ledger, e.Clock = w.ledger, c
}

func (c *handClock) Now() time.Time {
	now, _ := c.look()
	return now
}

func (c *handClock) look() (now time.Time, moved <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.moved
}

// pass lets time go by.
func (c *handClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	close(c.moved)
	c.moved = make(chan struct{})
}

func (c *handClock) Wait(ctx context.Context, t time.Time, stop <-chan struct{}) error {
	for {
		now, moved := c.look()
		if !now.Before(t) {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-stop:
			return proxy.ErrDraining
		}
	}
}
