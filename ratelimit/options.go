package ratelimit

// What a store is opened with, and the errors that callers branch on.

import (
	"errors"
	"log/slog"
	"time"
)

// Options are what a store needs from the world around it. The zero value
// works: the system's clock, and nothing logged.
type Options struct {
	// Now is the wall clock; nil is time.Now. The ledger never lets it go
	// back: see Store.
	Now func() time.Time
	// Log hears of what a person should know: a clock that went back, a disk
	// that is full, bookings of a dead process that were given back.
	Log *slog.Logger
	// CacheBytes bounds the memory that the embedded store spends on decoded
	// counters; 0 is 64 MiB. The memory store keeps everything.
	CacheBytes int
	// AcceptClock opens a ledger that ErrClock keeps shut: Now is right, and
	// the ledger was written under a clock that was wrong. Its time is set
	// back to Now, and what it counted in between counts as of just now; see
	// OpenEmbedded. It does nothing to any other ledger, and is meant for one
	// start, by a person who has looked at the clock.
	AcceptClock bool
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = 64 << 20
	}
	return o
}

var (
	// ErrInvalid says that a request or claim cannot be understood: a bug of
	// the caller. Nothing was changed.
	ErrInvalid = errors.New("the request to the ledger is not valid")
	// ErrSkew says that none of a Calendar claim's windows contains the
	// store's now: the caller's clock and the store's are more than a whole
	// window apart. Nothing was changed.
	ErrSkew = errors.New("the ledger's clock lies outside the windows of the claim; set the system clock right")
	// ErrClock says that a ledger was written at a time that lies well ahead
	// of the system clock. Standing still until then, it would keep every
	// quota shut for as long. Nothing was changed.
	ErrClock = errors.New("one of them is wrong; set the system clock right, or, if it is, have the ledger accept it once")
	// ErrStorage says that the disk had no room for what was asked. Nothing
	// was changed, and the store goes on when there is room again.
	ErrStorage = errors.New("the disk of the ledger is full; make room in the data directory")
	// ErrStopped says that the disk failed in a way after which nobody can
	// tell what is on it. The store admits nothing until it is opened again.
	ErrStopped = errors.New("the ledger has stopped because its disk failed; check the disk, then start quotagate again")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the ledger is closed")
	// ErrLocked says that another process has the file open.
	ErrLocked = errors.New("another quotagate is using it")
	// ErrNewer says that the file is of a later quotagate than this.
	ErrNewer = errors.New("a newer quotagate wrote it")
	// ErrCorrupt says that the file is damaged.
	ErrCorrupt = errors.New("the ledger's file is damaged; put a backup in its place, or move it away to start with empty counters")
)
