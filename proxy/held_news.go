package proxy

// What others change for those who wait here: other replicas on the same store,
// and people who write to it.

import (
	"context"
	"fmt"

	"quotagate/ratelimit"
)

// Listen has those who wait hear what other processes change in the ledger,
// until the context ends. It returns at once where nobody shares the ledger.
// Without it, and while the store tells nothing, they ask it time and again.
func (e *Enforcer) Listen(ctx context.Context) error {
	room, ok := e.Ledger.(ratelimit.Newsroom)
	if !ok {
		return nil
	}
	defer e.room.hears.Store(false)
	if err := room.Listen(ctx, e.hear); err != nil {
		return fmt.Errorf("listen to what others change in the ledger: %w", err)
	}
	return nil
}

func (e *Enforcer) hear(n ratelimit.News) {
	switch {
	case n.Deaf:
		e.room.hears.Store(false)
	case n.All: // it may have been missed
		e.room.hears.Store(true)
		e.change(func(c *changes) { c.everybody = true })
	}
	if n.Account != "" {
		e.AccountChanged(n.Account)
	}
	if n.Same != "" {
		e.flights.landed(n.Same)
	}
	e.room.free(n.Places)
}

// polls reports whether others may change what nobody tells of.
func (e *Enforcer) polls() bool {
	_, shared := e.Ledger.(ratelimit.Newsroom)
	return shared && !e.room.hears.Load()
}
