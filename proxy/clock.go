package proxy

import (
	"context"
	"time"
)

// A Clock tells the time and waits for it. Rule tests bring one that jumps.
type Clock interface {
	Now() time.Time
	// Wait returns nil once the clock shows t or later, or the context's
	// cause if that ends first.
	Wait(ctx context.Context, t time.Time) error
}

// WallClock is the machine's clock.
type WallClock struct{}

// Now is time.Now.
func (WallClock) Now() time.Time { return time.Now() }

// Wait sleeps on a timer until t.
func (WallClock) Wait(ctx context.Context, t time.Time) error {
	d := time.Until(t)
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
