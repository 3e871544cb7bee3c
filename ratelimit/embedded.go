package ratelimit

// The embedded store: the engine on a file and its journal, behind the committer.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Embedded is a Store in a file on the local disk, which it has for itself until
// Close. Until then, and after a crash, its journal lies beside it: see
// JournalSuffix.
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

	wake       chan struct{} // has one item when the committer has been told
	done       chan struct{} // closed when the committer has ended
	exportPage int           // bytes

	full bool // the last group found the disk full; the committer's
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
		wake: make(chan struct{}, 1), done: make(chan struct{}), exportPage: exportPage,
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
	if d.was != "" && d.was != formatVersion {
		o.Log.Info("the ledger is written in a newer format from here on, which the quotagate that wrote it before does not read", "file", path, "from", d.was, "to", formatVersion)
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
		same, charges, err := decodeBooking(id, v)
		left = append(left, &reservation{id: id, home: account, same: same, charges: charges})
		return err
	})
	if err != nil || len(left) == 0 {
		return err
	}
	for _, res := range left {
		if res.account, _, err = e.engine.canon(res.home); err != nil {
			return err
		}
		if err := errors.Join(e.engine.giveBack(res, nil), e.engine.unmark(res)); err != nil {
			return err
		}
		e.shelf.unbook(res)
	}
	e.log.Info("bookings of the last run were given back", "count", len(left))
	return e.shelf.write(e.engine.clock.read())
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

// Cool implements Store.
func (e *Embedded) Cool(ctx context.Context, c Cooling) (Hold, error) {
	var h Hold
	err := e.call(ctx, func() (err error) {
		h, err = e.engine.cool(&c)
		return err
	})
	if err != nil {
		return Hold{}, err
	}
	return h, nil
}

// Observe implements Store.
func (e *Embedded) Observe(ctx context.Context, ev Event) error {
	return e.call(ctx, func() error { return e.engine.observe(&ev) })
}

// Give implements Store.
func (e *Embedded) Give(ctx context.Context, account string, gift Gift) error {
	return e.call(ctx, func() error { return e.engine.give(account, &gift) })
}

// call carries out one of the rarer calls.
func (e *Embedded) call(ctx context.Context, f func() error) error {
	o := ops.Get().(*op)
	defer forget(o)
	o.verb, o.f = doCall, f
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
