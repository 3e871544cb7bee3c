package ratelimit

// A ledger that was written under a wrong clock: booted once with a date of
// 2036, it has counted in windows that lie in the future, and its time would
// stand still until then. When a person says that the clock is right now, what
// lies in the future is brought back. The ledger's last moment is now: it was
// at the latest now that it was written, so nothing is moved further back than
// it happened, and no quota returns too early.

import (
	"fmt"
	"time"
)

// carried is the label of a civil window that was brought back: nobody knows
// which it was. It sorts before every other.
const carried = " "

// fromTheFuture says of a ledger whose time is ledger that it lies too far ahead.
func fromTheFuture(ledger int64, wall time.Time) error {
	if ledger-wall.UnixMilli() <= maxLead.Milliseconds() {
		return nil
	}
	return fmt.Errorf("it was last written at %s, and the system clock says %s: %w",
		time.UnixMilli(ledger).UTC().Format(time.RFC3339), wall.UTC().Format(time.RFC3339), ErrClock)
}

// acceptClock sets the ledger's time back to now.
func (e *Embedded) acceptClock(now time.Time, cacheBytes int) error {
	high, n := e.disk.clock, now.UnixMilli()
	err := e.disk.amend(kindRecord, n, func(key, value []byte) ([]byte, error) {
		account, rest, ok := splitKey(key)
		if !ok {
			return nil, fmt.Errorf("read a key: %w", ErrCorrupt)
		}
		rec, err := decodeRecord(account, rest, value)
		if err != nil {
			return nil, err
		}
		rec.bringBack(high, n)
		return appendRecord(nil, rec), nil
	})
	if err != nil {
		return err
	}
	// What was read before is as it was.
	e.shelf = newDiskShelf(e.disk, cacheBytes)
	e.engine.shelf = e.shelf
	e.engine.clock.high, e.engine.clock.reported = n, false
	e.log.Warn("the ledger's time was set back to the system clock; what it counted later counts as of now",
		"ledger_time", time.UnixMilli(high).UTC(), "now", now.UTC())
	return nil
}

// bringBack moves what lies after now back by as much as the ledger's last
// moment, high, is moved to become now.
func (r *record) bringBack(high, now int64) {
	for i := range r.holds {
		// A hold that ends nearer to high than to now was set by the wrong clock.
		if h := &r.holds[i]; h.Until-now > high-h.Until {
			h.Until -= high - now
		}
	}
	r.replied, r.connected = broughtBack(r.replied, high, now), broughtBack(r.connected, high, now)
	for i := range r.owed {
		o := &r.owed[i]
		slot := broughtBack(o.slot, high, now)
		o.until -= o.slot - slot
		o.slot = slot
	}
	r.mark.at = broughtBack(r.mark.at, high, now)
	for i := range r.counters {
		c := &r.counters[i]
		c.first = broughtBack(c.first, high, now)
		kindOf(c.measure).bringBack(c, high, now)
	}
}

func broughtBack(at, high, now int64) int64 {
	if at <= now {
		return at
	}
	return min(at-(high-now), now)
}

// bringBackCalendar adds the windows of the future to the present one. Where
// none is remembered, they make one that begins now and is as long as they are:
// the present one ends before that.
func (c *counter) bringBackCalendar(now int64) {
	var later tally
	for i := range c.wins {
		w := &c.wins[i]
		if w.start <= now {
			continue
		}
		if w.used > 0 {
			later.label, later.start = carried, now
			later.end = max(later.end, now+w.end-w.start)
			later.used += w.used
			later.warned = later.warned || w.warned
			if later.seen = mergeSights(later.seen, w.seen); len(later.seen) > 0 {
				later.used = countSeen(later.seen)
			}
		}
		*w = tally{}
	}
	if c.wins[0].label == "" {
		c.wins[0], c.wins[1] = c.wins[1], tally{}
	}
	if later.label == "" {
		return
	}
	for i := range c.wins {
		if w := &c.wins[i]; w.contains(now) {
			w.used += later.used
			w.warned = w.warned || later.warned
			if len(later.seen) > 0 {
				w.seen = mergeSights(w.seen, later.seen)
				w.used = countSeen(w.seen)
			}
			return
		}
	}
	if c.wins[0].label == "" {
		c.wins[0] = later
	} else {
		c.wins[1] = later
	}
}
