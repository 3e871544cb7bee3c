package ruletest

import (
	"context"
	"time"

	"quotagate/proxy"
)

// A clock stands still until the test moves it, or until somebody waits: then
// it is at once as late as they wait for. One test is one goroutine.
type clock struct{ now time.Time }

var _ proxy.Clock = (*clock)(nil)

func (c *clock) Now() time.Time { return c.now }

func (c *clock) Wait(ctx context.Context, t time.Time, _ <-chan struct{}) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	c.reach(t)
	return nil
}

// reach moves the clock forward, never back.
func (c *clock) reach(t time.Time) {
	if t.After(c.now) {
		c.now = t
	}
}
