package ratelimit

// Rates in this process: the generic cell rate algorithm in integer
// nanoseconds, deciding as redis_rate does, without its rounding.

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxRates is how many counters are remembered, about 200 bytes each. The one
// that was asked least recently goes first; if it was not earned back by then,
// its key begins with a full burst.
const maxRates = 100_000

type localRates struct {
	now   func() time.Time
	start time.Time
	log   *slog.Logger

	mu sync.Mutex
	// at is, for each counter, when all that was taken from it will have been
	// earned (ns since start): its theoretical arrival time.
	at      *simplelru.LRU[string, int64]
	evicted bool // a counter that still mattered was forgotten, and the log knows
}

// NewLocalRates counts in this process, and forgets when it ends. Its memory is
// bounded. Time is monotonic where Options.Now is: a wall clock that is set
// neither opens a rate nor shuts it.
func NewLocalRates(o Options) Rates {
	return newLocalRates(o, maxRates)
}

func newLocalRates(o Options, size int) *localRates {
	o = o.withDefaults()
	l := &localRates{now: o.Now, start: o.Now(), log: o.Log}
	// The error is that of a size below one.
	l.at, _ = simplelru.NewLRU(size, l.forgot)
	return l
}

// Take implements Rates.
func (l *localRates) Take(ctx context.Context, r Rate, n int64) (wait time.Duration, never bool, err error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	burst, asked, never, err := r.settle(n)
	if !asked {
		return 0, never, err
	}
	emission, key := r.emission(), r.counter(burst)
	// What may be ahead of now: the burst. More than that is only there if the
	// clock went back, and would shut the rate until it has caught up.
	ahead := emission * burst

	l.mu.Lock()
	defer l.mu.Unlock()
	now := int64(l.now().Sub(l.start))
	at, _ := l.at.Get(key)
	at = max(min(at, now+ahead), now) + emission*n
	if wait := at - ahead - now; wait > 0 {
		return wholeMillis(time.Duration(wait)), false, nil
	}
	l.at.Add(key, at)
	return 0, false, nil
}

// forgot notes that a counter was pushed out; the lock is held.
func (l *localRates) forgot(_ string, at int64) {
	if l.evicted || at <= int64(l.now().Sub(l.start)) {
		return
	}
	l.evicted = true
	l.log.Warn("more rates are counted at once than are remembered; the least recent begin anew", "remembered", maxRates)
}
