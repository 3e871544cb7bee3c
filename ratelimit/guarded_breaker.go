package ratelimit

// When the shared store is asked. It is not while it fails: one fault that
// tells that it can decide nothing, or three in a row of any kind, shut the
// gate; a beat that gets through, and has told the store what it missed, opens
// it again.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// strikes is how many calls in a row may fail before the store is thought to:
// one may be a connection's bad luck.
const strikes = 3

// A closure is why the gate is shut.
type closure struct {
	cause string
	err   error
	since time.Time
	rank  rank
}

// A rank orders the reasons: a weightier one takes the place of another.
type rank uint8

const (
	passing rank = iota // not yet asked, or being told what was sent
	failing
	forgot
	ended
)

func (c *closure) unavailable() error {
	if errors.Is(c.err, ErrClosed) {
		return ErrClosed
	}
	return &unavailable{cause: c.cause, err: c.err, sure: true}
}

// unavailable is ErrUnavailable with what is known of it.
type unavailable struct {
	cause string
	err   error
	sure  bool // the call was not carried out
}

func (u *unavailable) Error() string {
	return fmt.Sprintf("%v (%s): %v", ErrUnavailable, u.cause, u.err)
}
func (u *unavailable) Unwrap() []error { return []error{ErrUnavailable, u.err} }

// refusedOutright reports whether a failed call certainly did nothing.
func refusedOutright(err error) bool {
	var u *unavailable
	if errors.As(err, &u) {
		return u.sure
	}
	// ErrInvalid and ErrSkew promise it, as does a context that had ended.
	return true
}

// A gate is open, or shut for a reason.
type gate struct {
	shutFor atomic.Pointer[closure]
	strikes atomic.Int32

	mu   sync.Mutex
	told bool // that the journal cannot be kept
}

func (g *gate) closed() *closure { return g.shutFor.Load() }

// shut reports whether the reason is new.
func (g *gate) shut(c *closure) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if was := g.shutFor.Load(); was != nil && was.rank >= c.rank {
		return false
	}
	g.shutFor.Store(c)
	return true
}

// open opens the gate, unless it was shut for a reason above a rank, and
// returns why it was shut.
func (g *gate) open(upTo rank) *closure {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.shutFor.Load()
	if was == nil || was.rank > upTo {
		return nil
	}
	g.strikes.Store(0)
	g.shutFor.Store(nil)
	return was
}

// judge turns an error of the primary into what the caller is told, and shuts
// the gate if the store is not to be asked any more.
func (g *Guarded) judge(err error) error {
	f := faultOf(err)
	if f == nil {
		if err == nil {
			g.gate.strikes.Store(0)
		}
		return err
	}
	if n := g.gate.strikes.Add(1); f.sure || n >= strikes {
		g.fail(f.cause, err)
	}
	// The client asks again by itself, so this is the end of the last attempt
	// only: one before it may have been carried out, and its answer lost.
	return &unavailable{cause: f.cause, err: err}
}

// fail shuts the gate and says so once.
func (g *Guarded) fail(cause string, err error) {
	if !g.gate.shut(&closure{cause: cause, err: err, since: g.o.Now(), rank: failing}) {
		return
	}
	g.log.Error("the store of the quotas cannot be used: each limit's on_store_error decides until it is back; it is tried again by itself",
		"cause", cause, "error", err, "tried_every", g.o.Beat)
	g.poke()
}

// reopen opens the gate after the store was told what it missed.
func (g *Guarded) reopen(told int) {
	was := g.gate.open(forgot)
	defer g.catchUp(was != nil && was.rank != passing)
	if was == nil || was.rank == passing {
		return
	}
	g.log.Warn("the store of the quotas is back and decides again",
		"after", g.o.Now().Sub(was.since).Round(time.Millisecond), "cause", was.cause, "told", told)
}

// poke makes the keeper look at the store now.
func (g *Guarded) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// run looks after the store until the context ends.
func (g *Guarded) run(ctx context.Context) {
	defer close(g.done)
	beat := time.NewTicker(g.o.Beat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		case <-g.wake:
		}
		g.tend(ctx)
	}
}

// Down returns since when the store is not asked, and why; nil while it is.
func (g *Guarded) Down() (time.Time, error) {
	c := g.gate.closed()
	if c == nil {
		return time.Time{}, nil
	}
	return c.since, c.unavailable()
}
