package ratelimit

// The embedded store: the engine on one file. One goroutine, the committer,
// takes all that is waiting, carries it out in memory, writes it in one
// transaction and answers when that is on disk. There is no timer: a lone
// request pays one commit, and while one is being synced the next group
// gathers.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Embedded is a Store in one file on the local disk. It has the file for
// itself until Close.
type Embedded struct {
	disk   *disk
	shelf  *diskShelf
	engine *engine
	log    *slog.Logger

	mu      sync.Mutex
	waiting []*op
	woken   bool  // the committer has been told of what waits
	stopped error // why the disk is not trusted any more
	closed  bool

	// names answers Resolve for identities that were resolved before, so that
	// a name does not cost a turn of the committer. It may be a group behind:
	// Reserve follows the aliases again.
	names *lru.Cache[string, string]

	wake chan struct{} // has one item when the committer has been told
	done chan struct{} // closed when the committer has ended
	full bool          // the last group found the disk full; the committer's
}

var _ Store = (*Embedded)(nil)

// OpenEmbedded opens the store in the file path, and makes it if there is
// none. Bookings of a process that died are given back; what had been on its
// way stays counted.
//
// A ledger whose time lies more than an hour ahead of the clock is not opened:
// it or the clock is wrong. With Options.AcceptClock it is, and what it counted
// in the clock's future is moved: what it counted last counts as of now, what
// came an hour before that as of an hour ago, and a civil window that lies in
// the future is added to the present one, or begins now and lasts as long. So
// nothing that was sent under the wrong clock is handed out again. Windows that
// the wrong clock had already forgotten stay forgotten.
//
// The error wraps ErrLocked while another process has the file, ErrCorrupt
// when it is damaged, ErrStorage when the disk is full, and ErrClock.
func OpenEmbedded(path string, o Options) (*Embedded, error) {
	o = o.withDefaults()
	d, err := openDisk(path)
	if err != nil {
		return nil, err
	}
	wall := o.Now()
	early := fromTheFuture(d.clock, wall)
	if early != nil && !o.AcceptClock {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", path, early), d.close())
	}
	s := newDiskShelf(d, o.CacheBytes)
	e := &Embedded{
		disk: d, shelf: s, engine: newEngine(o, s), log: o.Log,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if e.names, err = lru.New[string, string](knownNames); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", path, err), d.close())
	}
	e.engine.undoable = true
	e.engine.clock.high = d.clock
	if err := errors.Join(s.resume(), e.giveBackBookings()); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", path, err), d.close())
	}
	if early != nil {
		if err := e.acceptClock(wall, o.CacheBytes); err != nil {
			return nil, errors.Join(fmt.Errorf("open ledger %s: accept the clock: %w", path, err), d.close())
		}
	}
	go e.commit()
	return e, nil
}

// knownNames is how many resolved identities are remembered, about 200 bytes
// each.
const knownNames = 50_000

// giveBackBookings ends the bookings that a dead process left.
func (e *Embedded) giveBackBookings() error {
	var left []*reservation
	err := e.disk.each([]byte{kindBooking}, func(k, v []byte) error {
		account, id, ok := splitKey(k)
		if !ok {
			return fmt.Errorf("read a booking: %w", ErrCorrupt)
		}
		charges, err := decodeBooking(id, v)
		left = append(left, &reservation{id: id, home: account, charges: charges})
		return err
	})
	if err != nil || len(left) == 0 {
		return err
	}
	for _, res := range left {
		if res.account, _, err = e.engine.canon(res.home); err != nil {
			return err
		}
		if err := e.engine.giveBack(res, nil); err != nil {
			return err
		}
		e.shelf.unbook(res)
	}
	e.log.Info("bookings of the last run were given back", "count", len(left))
	return e.shelf.write(e.engine.clock.read())
}

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

// Reserve implements Store.
func (e *Embedded) Reserve(ctx context.Context, r Request) (Decision, error) {
	o := ops.Get().(*op)
	defer forget(o)
	o.verb, o.request = doReserve, r
	err := e.do(ctx, o)
	return o.decision, err
}

// Fire implements Store.
func (e *Embedded) Fire(ctx context.Context, id string) (Decision, error) {
	o := ops.Get().(*op)
	defer forget(o)
	o.verb, o.id = doFire, id
	err := e.do(ctx, o)
	return o.decision, err
}

// Keep implements Store. What is kept was counted when it was let go, so
// nothing has to be written and nobody waits: it is carried out before any
// later call.
func (e *Embedded) Keep(ctx context.Context, id string) error {
	o := ops.Get().(*op)
	o.verb, o.id, o.alone = doKeep, id, true
	err := e.queue(ctx, o)
	if err != nil {
		forget(o)
	}
	return err
}

// Cancel implements Store.
func (e *Embedded) Cancel(ctx context.Context, id string) error {
	o := ops.Get().(*op)
	defer forget(o)
	o.verb, o.id = doCancel, id
	return e.do(ctx, o)
}

// CancelItems implements Store.
func (e *Embedded) CancelItems(ctx context.Context, id string, items []int) error {
	o := ops.Get().(*op)
	defer forget(o)
	o.verb, o.id, o.items = doCancelItems, id, items
	return e.do(ctx, o)
}

// Resolve implements Store.
func (e *Embedded) Resolve(ctx context.Context, identities []string) (string, error) {
	if len(identities) > 0 {
		if name, ok := e.names.Get(identities[0]); ok {
			return name, ctx.Err()
		}
	}
	o := ops.Get().(*op)
	defer forget(o)
	o.verb, o.names = doResolve, identities
	err := e.do(ctx, o)
	return o.name, err
}

// Pause implements Store.
func (e *Embedded) Pause(ctx context.Context, account string, h *Hold) error {
	o := ops.Get().(*op)
	defer forget(o)
	o.verb, o.id, o.hold = doPause, account, h
	return e.do(ctx, o)
}

// Accounts implements Store. Nobody waits while the file is read.
func (e *Embedded) Accounts(ctx context.Context) ([]string, error) {
	o := ops.Get().(*op)
	defer forget(o)
	o.verb = doAccounts
	if err := e.do(ctx, o); err != nil {
		return nil, err
	}
	names, err := e.disk.accounts(o.names, o.aliases)
	if err != nil {
		return nil, fmt.Errorf("list the accounts: %w", err)
	}
	return names, nil
}

// Close waits for what is under way and closes the file.
func (e *Embedded) Close() error {
	o := &op{verb: doClose, answered: make(chan struct{}, 1)}
	err := e.do(context.Background(), o)
	<-e.done
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
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
	case doAccounts:
		o.names, o.aliases = e.shelf.recent()
	}
}
