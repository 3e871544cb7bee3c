package ratelimit

// The committer: one goroutine takes all the calls that are waiting, carries
// them out in memory, writes them in one transaction and answers when that is
// on disk. There is no timer: a lone call pays one commit, and while one is
// being synced the next group gathers.

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
)

type verb uint8

const (
	doReserve verb = iota
	doFire
	doKeep
	doCancel
	doCancelItems
	doResolve
	doPause
	doAccounts
	doCall
	doClose
)

// An op is one call, from the queue to its answer.
type op struct {
	verb    verb
	request Request
	id      string
	items   []int
	names   []string
	aliases []string
	hold    *Hold
	f       func() error // for doCall: one of the rarer

	decision Decision
	name     string
	err      error
	answered chan struct{}
	// alone: nobody waits for the answer, and it is carried out with the
	// next group.
	alone bool
}

var ops = sync.Pool{New: func() any { return &op{answered: make(chan struct{}, 1)} }}

// do queues an op and waits for its answer. Once it is queued it is carried
// out, whatever becomes of ctx: half an answer would be worse than a late one.
func (e *Embedded) do(ctx context.Context, o *op) error {
	if err := e.queue(ctx, o); err != nil {
		return err
	}
	<-o.answered
	return o.err
}

func (e *Embedded) queue(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return ErrClosed
	case e.stopped != nil && o.verb != doClose:
		return e.stopped
	}
	e.closed = o.verb == doClose
	e.waiting = append(e.waiting, o)
	if !e.woken && !o.alone {
		e.woken = true
		e.wake <- struct{}{} // has room: the committer empties it before it takes what waits
	}
	return nil
}

// forget returns an op to the pool.
func forget(o *op) {
	*o = op{answered: o.answered}
	ops.Put(o)
}

// commit is the committer.
func (e *Embedded) commit() {
	defer close(e.done)
	var group []*op
	for range e.wake {
		// Callers who were answered together come back together: let those
		// who can run queue first. A lone caller loses nothing by it.
		runtime.Gosched()
		e.mu.Lock()
		group, e.waiting = e.waiting, group[:0]
		e.woken = false
		e.mu.Unlock()
		last := group[len(group)-1].verb == doClose
		e.carryOut(group)
		if last {
			closing := group[len(group)-1]
			closing.err = e.disk.close()
			closing.answered <- struct{}{}
			return
		}
		clear(group)
	}
}

// carryOut runs a group, commits it and answers.
func (e *Embedded) carryOut(group []*op) {
	broken := e.stopped // only the committer sets it
	e.engine.adopted = false
	for _, o := range group {
		if broken != nil {
			break
		}
		e.run(o)
		if o.err != nil && !errors.Is(o.err, ErrInvalid) && !errors.Is(o.err, ErrSkew) {
			broken = o.err
		}
	}
	if broken == nil && e.shelf.changed() {
		if broken = e.shelf.sweep(e.engine.clock.high); broken == nil {
			broken = e.shelf.write(e.engine.clock.high)
		} else {
			e.shelf.discard()
		}
	} else if broken != nil {
		e.shelf.discard()
	} else {
		e.shelf.trim()
	}
	if broken == nil {
		e.engine.settled()
		if e.full {
			e.full = false
			e.log.Info("the ledger's disk has room again")
		}
	} else {
		e.engine.rollback()
		broken = e.report(broken)
	}
	if e.engine.adopted || broken != nil {
		e.names.Purge()
	}
	for _, o := range group {
		if o.verb == doClose {
			continue
		}
		if o.alone {
			forget(o)
			continue
		}
		if broken != nil {
			o.decision, o.err = Decision{}, broken
		}
		o.answered <- struct{}{}
	}
}

// report logs why a group failed, and stops the store unless it only found
// the disk full.
func (e *Embedded) report(err error) error {
	if errors.Is(err, ErrStorage) {
		if !e.full {
			e.full = true
			e.log.Error("the ledger's disk is full: messages are refused until there is room", "err", err)
		}
		return err
	}
	if errors.Is(err, ErrStopped) {
		return err
	}
	err = fmt.Errorf("%w: %w", ErrStopped, err)
	e.log.Error("the ledger has stopped", "err", err)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = err
	return err
}

// resolve remembers the names of identities that the ledger knows. Those that
// it does not know yet may still come to stand for another account.
func (e *Embedded) resolve(identities []string) (string, error) {
	name, err := e.engine.resolve(identities)
	if err != nil || len(identities) == 0 {
		return name, err
	}
	if _, rec, err := e.engine.canon(identities[0]); err == nil && rec != nil {
		e.names.Add(identities[0], name)
	}
	return name, err
}

func (e *Embedded) run(o *op) {
	g := e.engine
	switch o.verb {
	case doReserve:
		o.decision, o.err = g.reserve(&o.request)
	case doFire:
		o.decision, o.err = g.fire(o.id)
	case doKeep:
		g.keep(o.id)
	case doCancel:
		o.err = g.cancel(o.id)
	case doCancelItems:
		o.err = g.cancelItems(o.id, o.items)
	case doResolve:
		o.name, o.err = e.resolve(o.names)
	case doPause:
		o.err = g.pause(o.id, o.hold)
	case doCall:
		o.err = o.f()
	case doAccounts:
		o.names, o.aliases = e.shelf.recent()
	}
}
