package proxy

import (
	"context"
	"time"
)

// A Clock tells the time and waits for it. Rule tests bring one that jumps.
type Clock interface {
	Now() time.Time
	// Wait returns nil once the clock shows t or later; the context's cause if
	// that ends first, and ErrDraining if stop closes first (nil never does).
	Wait(ctx context.Context, t time.Time, stop <-chan struct{}) error
}

// WallClock is the machine's clock.
type WallClock struct{}

// Now is time.Now.
func (WallClock) Now() time.Time { return time.Now() }

// Wait sleeps on a timer until t.
func (WallClock) Wait(ctx context.Context, t time.Time, stop <-chan struct{}) error {
	timer := time.NewTimer(max(time.Until(t), 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-stop:
		return ErrDraining
	}
}
