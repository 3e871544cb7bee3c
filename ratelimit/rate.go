package ratelimit

// Rates: how many requests may go in a time, smoothed. They protect (a service
// that counts calls, this proxy from its clients) and are no quota: what goes
// through at once and what is earned while it does add up, so that up to
// Burst + N pass within one Per. See docs/ledger.md, Rates.

import (
	"context"
	"fmt"
	"time"
)

// A Rate lets N requests through in Per milliseconds, evenly, after a Burst
// that may go at once.
type Rate struct {
	// Limit is the limit's name, for people.
	Limit string
	// Key is the counter's full name: the limit and whom it binds, hashed.
	// Rates of the same Key and different N, Per or Burst are counted apart,
	// so that a new plan begins with its own burst instead of waiting for
	// what the old one would have waited for.
	Key string
	// N in Per milliseconds; an N of 0 lets nothing through.
	N, Per int64
	// Burst may go at once; 0 is N.
	Burst int64
	// Cost is what one request takes; 0 is 1.
	Cost int64
	// Wait is how long a request may be held for this rate, in milliseconds.
	Wait int64
	// Shadow counts without ever deciding.
	Shadow bool
}

// Rates count. All methods may be called from any number of goroutines.
type Rates interface {
	// Take takes n from a rate. wait is 0 where they were taken; otherwise
	// nothing was, and there may be room after wait, in whole milliseconds
	// rounded up. never: there will be none, ever: N is 0, or n more than the
	// burst. An error wraps ErrInvalid, or says that the counter's store did
	// not answer; what was asked for may then have been taken.
	Take(ctx context.Context, r Rate, n int64) (wait time.Duration, never bool, err error)
}

// The bounds of a rate. Above a million a second, a counter kept as a floating
// point number of seconds, as redis_rate's is, does not move any more (at 1e7 a
// second an emission is under two units in the last place, measured 2026-11).
// A burst that takes longer than some centuries to earn overflows nanoseconds.
const (
	maxPerMilli = 1000
	century     = 100 * 365 * 24 * 3600 * 1000 // ms
)

// settle checks a rate and decides what needs no counter: never, or none to
// take (asked false). burst is the one in force.
func (r *Rate) settle(n int64) (burst int64, asked, never bool, err error) {
	if r.Per <= 0 || r.Burst < 0 || n < 0 {
		return 0, false, false, fmt.Errorf("take from rate %s: %d per %d ms, burst %d, cost %d: %w", r.Limit, r.N, r.Per, r.Burst, n, ErrInvalid)
	}
	if burst = r.Burst; burst == 0 {
		burst = r.N
	}
	switch {
	case n == 0:
		return burst, false, false, nil
	case r.N <= 0 || n > burst:
		return burst, false, true, nil
	case float64(r.N) > maxPerMilli*float64(r.Per):
		return 0, false, false, fmt.Errorf("take from rate %s: more than a million a second: %w", r.Limit, ErrInvalid)
	case r.Per > century || float64(r.Per)/float64(r.N)*float64(burst) > century:
		return 0, false, false, fmt.Errorf("take from rate %s: its burst takes more than a century to earn: %w", r.Limit, ErrInvalid)
	}
	return burst, true, false, nil
}

// counter is the name under which a rate is counted. The braces make a hash
// slot of the key alone; a key without them would be as good, since one call
// has one key, but so a cluster keeps the rates of one key together.
func (r *Rate) counter(burst int64) string {
	return fmt.Sprintf("{%s}:%d/%d/%d", r.Key, r.N, r.Per, burst)
}

// emission is the time in which one request is earned, in nanoseconds, rounded
// up: never over.
func (r *Rate) emission() int64 {
	return (r.Per*int64(time.Millisecond) + r.N - 1) / r.N
}

// cost is what a request takes from the rate.
func (r *Rate) cost() int64 {
	if r.Cost == 0 {
		return 1
	}
	return r.Cost
}

// wholeMillis rounds a wait up, to at least one millisecond.
func wholeMillis(d time.Duration) time.Duration {
	return max((d+time.Millisecond-1)/time.Millisecond, 1) * time.Millisecond
}
