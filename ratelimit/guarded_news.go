package ratelimit

// News through a guard: what came while the store decided nothing waits until
// it does again, or everybody who waits would be refused for having asked.

import (
	"context"
	"sync"
)

// listeners are who hears, and whether there is something to tell them all.
type listeners struct {
	mu     sync.Mutex
	hear   map[*func(News)]struct{}
	missed bool
}

var _ Newsroom = (*Guarded)(nil)

// Listen implements Newsroom. When the store decides again after it did not,
// anything may have changed.
func (g *Guarded) Listen(ctx context.Context, hear func(News)) error {
	room, ok := g.primary.(Newsroom)
	if !ok {
		return ErrNoNews
	}
	l := &g.listeners
	l.mu.Lock()
	if l.hear == nil {
		l.hear = map[*func(News)]struct{}{}
	}
	l.hear[&hear] = struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.hear, &hear)
	}()
	return room.Listen(ctx, func(n News) {
		if n.All && g.gate.closed() != nil {
			l.mu.Lock()
			l.missed = true
			l.mu.Unlock()
			if g.gate.closed() != nil { // or nobody would tell it
				return
			}
		}
		hear(n)
	})
}

// catchUp tells of what was missed, once the store decides again. Nobody has
// missed anything before the first time.
func (g *Guarded) catchUp(before bool) {
	l := &g.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.missed = l.missed || before; !l.missed {
		return
	}
	l.missed = false
	for hear := range l.hear {
		(*hear)(News{All: true})
	}
}
