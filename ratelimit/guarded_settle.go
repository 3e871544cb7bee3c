package ratelimit

// What a store that came back, or that another server took over, is told
// before it decides again: what this replica sent lately, and what it owes.
//
// A new server may lack what any replica of the proxy sent, so none of them
// lets a message go before all have told it what they know: each announces for
// which servers it has settled, and waits for those it has seen. One that died
// is waited for Grace at most; what only it knew is told when it starts again.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// keeper is what only the keeping goroutine knows.
type keeper struct {
	state    string // the servers for which this replica has settled
	latest   int64  // the store's clock at the last beat
	lastBeat time.Time
	looked   bool // at how the store is set up
}

// tend looks at the store, tells it what it does not know, and opens or shuts
// the gate.
func (g *Guarded) tend(ctx context.Context) {
	g.book.trim(g.now())
	roll, err := g.beat(ctx)
	if err == nil {
		err = g.recognise(ctx, roll.Marker)
	}
	if errors.Is(err, ErrForgot) {
		g.forgotten(err)
		return
	}
	if err == nil {
		err = g.settle(ctx, roll)
	}
	if err == nil && g.witness != nil && !g.keeper.looked {
		g.keeper.looked = true
		g.inspect(ctx)
	}
	if err != nil && ctx.Err() == nil {
		_ = g.judge(err)
		if c := g.gate.closed(); c != nil && c.rank == passing && faultOf(err) != nil {
			g.fail(faultOf(err).cause, err)
		}
	}
}

// bounded gives one call of the keeper its time.
func (g *Guarded) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, g.o.Timeout)
}

// beat makes this replica known, and proves that the store takes writes.
func (g *Guarded) beat(ctx context.Context) (rollCall, error) {
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	if g.witness == nil {
		_, err := g.primary.Resolve(ctx, []string{"quotagate"})
		return rollCall{Replicas: []string{g.o.Replica}}, err
	}
	roll, err := g.witness.beat(ctx, g.o.Replica, g.o.Grace.Milliseconds(), g.keeper.state)
	if err == nil {
		g.watchClock(roll.Now)
	}
	return roll, err
}

// inspect says, once, what is wrong with the store.
func (g *Guarded) inspect(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*g.o.Timeout)
	defer cancel()
	for _, f := range g.witness.inspect(ctx) {
		level := slog.LevelWarn
		if f.grave {
			level = slog.LevelError
		}
		g.log.Log(ctx, level, "the store of the quotas: "+f.what, "do", f.do)
	}
}

// watchClock tells of a store whose clock went back: a server with another
// clock took over. Counters stand still until it has caught up.
func (g *Guarded) watchClock(now int64) {
	at := g.o.Now()
	if k := &g.keeper; k.latest != 0 {
		if behind := k.latest + at.Sub(k.lastBeat).Milliseconds() - now; behind > 2*setback.Milliseconds() {
			g.log.Warn("the clock of the store of the quotas went back; an account's time stands still until it has caught up; keep the clocks of all its servers right",
				"behind", time.Duration(behind)*time.Millisecond)
		}
	}
	g.keeper.latest, g.keeper.lastBeat = now, at
}

// recognise compares the store's marker with the one that was seen first.
func (g *Guarded) recognise(ctx context.Context, marker string) error {
	if g.witness == nil {
		return nil
	}
	known := g.book.remembered()
	if known == "" && marker == "" {
		ctx, cancel := g.bounded(ctx)
		defer cancel()
		mine := newName()
		switch theirs, err := g.witness.mark(ctx, mine, ""); {
		case err != nil:
			return err
		case theirs == mine:
			marker = mine
		default:
			// Another was first; or it is missing on a part of the store only.
			roll, err := g.beat(ctx)
			if err != nil {
				return err
			}
			marker = roll.Marker
		}
	}
	switch {
	case marker == known:
		return nil
	case marker != "" && known == "":
	case accepts(marker, known):
		g.log.Warn("the store of the quotas was accepted without what it had counted")
		g.settled.Store(0) // it knows nothing of what was sent
	case marker == "":
		return fmt.Errorf("%w: its marker is gone", ErrForgot)
	default:
		return fmt.Errorf("%w: it has the marker of another store", ErrForgot)
	}
	g.noted(g.book.remember(marker))
	return nil
}

// A marker written by AcceptEmpty names those in whose place it is, the latest
// first, so that the other replicas accept it too, also one that has missed
// some of them.
func accepts(marker, known string) bool {
	name, _, _ := strings.Cut(known, "<")
	names := strings.Split(marker, "<")
	return name != "" && slices.Contains(names[1:], name)
}

// markers is how many a marker may name.
const markers = 16

// inPlaceOf is a marker that those with either of these accept.
func inPlaceOf(name, known, was string) string {
	names, a, b := []string{name}, strings.Split(known, "<"), strings.Split(was, "<")
	for i := range max(len(a), len(b)) {
		for _, list := range [][]string{a, b} {
			if i < len(list) && list[i] != "" && !slices.Contains(names, list[i]) {
				names = append(names, list[i])
			}
		}
	}
	return strings.Join(names[:min(len(names), markers)], "<")
}

// forgotten shuts the gate for a store that has lost its data.
func (g *Guarded) forgotten(err error) {
	if g.gate.shut(&closure{cause: "data lost", err: err, since: g.o.Now(), rank: forgot}) {
		g.log.Error("the store of the quotas came back without what it had counted: it decides nothing, and each limit's on_store_error holds, until its data is back or somebody accepts it as it is",
			"error", err, "way_out", "restore Redis from its append-only file, a replica or a backup; or accept the store as it is (quotagate quota accept), which opens every quota anew")
	}
}

// AcceptEmpty takes a store that has lost what it counted as it is. What this
// replica sent in the last two minutes is told to it first; everything before
// is forgotten. The other replicas follow.
func (g *Guarded) AcceptEmpty(ctx context.Context) error {
	c := g.gate.closed()
	switch {
	case g.witness != nil && c != nil && errors.Is(c.err, ErrForgot):
	case c != nil:
		return fmt.Errorf("accept the store of the quotas: whether it has lost anything is not known before it answers: %w", c.err)
	default:
		return errors.New("accept the store of the quotas: it has not lost anything")
	}
	known, name, was := g.book.remembered(), newName(), ""
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	for {
		mine := inPlaceOf(name, known, was)
		marker, err := g.witness.mark(ctx, mine, was)
		if err != nil {
			return fmt.Errorf("accept the store of the quotas: %w", err)
		}
		// Another replica may have accepted it before.
		if marker == mine || accepts(marker, known) {
			g.noted(g.book.remember(marker))
			break
		}
		was = marker
	}
	g.settled.Store(0) // it knows nothing of what was sent
	g.log.Warn("the store of the quotas is accepted without what it had counted: every quota is open anew")
	g.poke()
	return nil
}

// settle tells the store what it does not know and opens the gate.
func (g *Guarded) settle(ctx context.Context, roll rollCall) error {
	told := 0
	for {
		generation := g.generation()
		all := generation != g.settled.Load()
		if all {
			g.gate.shut(&closure{cause: "new master", err: errors.New("another server took over and is being told what was sent"), since: g.o.Now()})
		}
		n, err := g.tell(ctx, all)
		told += n
		if err != nil {
			return err
		}
		if all {
			if roll, err = g.await(ctx, roll); err != nil {
				return err
			}
			if g.generation() != generation {
				continue
			}
			g.settled.Store(generation)
		}
		g.mu.Lock()
		g.replicas = roll.Replicas
		g.mu.Unlock()
		if n == 0 || g.gate.closed() == nil {
			break
		}
	}
	g.reopen(told)
	return nil
}

// await announces that this replica has settled, and waits for the others.
func (g *Guarded) await(ctx context.Context, roll rollCall) (rollCall, error) {
	// A store that was emptied and accepted is another, on the same servers.
	state := func(roll rollCall) string { return roll.State + " " + g.book.remembered() }
	g.keeper.state = state(roll)
	g.mu.Lock()
	seen := slices.Clone(g.replicas)
	g.mu.Unlock()
	until := g.o.Now().Add(g.o.Grace)
	tick := time.NewTicker(g.o.Beat / 10)
	defer tick.Stop()
	for {
		roll, err := g.beat(ctx)
		if err != nil {
			return roll, err
		}
		g.keeper.state = state(roll)
		behind := func(replica string) bool {
			return replica != g.o.Replica && roll.Settled[replica] != g.keeper.state
		}
		if !slices.ContainsFunc(seen, behind) && !slices.ContainsFunc(roll.Replicas, behind) {
			return roll, nil
		}
		if !g.o.Now().Before(until) {
			g.log.Warn("a replica of the proxy did not tell the store what it had sent; it is taken for dead",
				"waited", g.o.Grace)
			return roll, nil
		}
		select {
		case <-ctx.Done():
			return roll, ctx.Err()
		case <-tick.C:
		}
	}
}

// tellers is how many notes are told at once.
const tellers = 16

// tell carries out what is noted, all of it or what is owed.
func (g *Guarded) tell(ctx context.Context, all bool) (int, error) {
	due := g.book.due(g.now(), all)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(tellers)
	for _, n := range due {
		group.Go(func() error {
			bounded, cancel := g.bounded(ctx)
			defer cancel()
			err := g.repeat(bounded, n)
			if faultOf(err) != nil {
				return err
			}
			if err != nil {
				g.log.Error("the store of the quotas does not take a part of what it missed", "error", err)
			}
			g.noted(g.book.paid(n, g.now()))
			return nil
		})
	}
	return len(due), group.Wait()
}

// repeat does once more what a note says.
func (g *Guarded) repeat(ctx context.Context, n *note) error {
	switch {
	case n.Back:
		return g.backAgain(ctx, n, g.primary.Cancel(ctx, n.ID))
	case n.Request != nil:
		c, ok := g.primary.(charger)
		if !ok {
			return nil
		}
		r := without(*n.Request, n.Items)
		err := c.Charge(ctx, r, n.At)
		if errors.Is(err, ErrSkew) { // it was sent so long ago that windows have passed; others have not
			err = c.Charge(ctx, current(r, g.now()), n.At)
		}
		if err != nil || len(n.Items) == 0 {
			return err
		}
		return g.backAgain(ctx, n, g.primary.CancelItems(ctx, n.ID, n.Items))
	case len(n.Items) > 0:
		return g.backAgain(ctx, n, g.primary.CancelItems(ctx, n.ID, n.Items))
	case n.Cooling != nil:
		_, err := g.primary.Cool(ctx, *n.Cooling)
		return err
	case n.Event != nil:
		return g.primary.Observe(ctx, *n.Event)
	case n.Gift != nil:
		return g.primary.Give(ctx, n.Account, *n.Gift)
	case n.Hold != nil:
		return g.primary.Pause(ctx, n.Account, n.Hold)
	}
	return nil
}

// A finder gives back what it does not know any more: the server that another
// took over had given it back, or a process that is no more.
type finder interface {
	cancelOf(ctx context.Context, n *note) error
}

// backAgain follows a call that gave back what the store itself remembers.
func (g *Guarded) backAgain(ctx context.Context, n *note, err error) error {
	if f, ok := g.primary.(finder); ok && err == nil && n.Account != "" {
		return f.cancelOf(ctx, n)
	}
	return err
}

// without leaves out the claims of some items.
func without(r Request, items []int) Request {
	if len(items) > 0 {
		r.Claims = slices.DeleteFunc(slices.Clone(r.Claims), func(c Claim) bool { return slices.Contains(items, c.Item) })
	}
	r.Replace, r.Sooner, r.Dry = false, false, false
	return r
}

// current leaves out the claims whose windows have passed.
func current(r Request, now int64) Request {
	r.Claims = slices.DeleteFunc(slices.Clone(r.Claims), func(c Claim) bool {
		return c.Measure == Calendar && (c.Windows == nil || c.Windows[2].End <= now)
	})
	return r
}
