package ratelimit

// The ledger's clock: the wall clock, which never goes back. Going back would
// open windows again that were full.

import (
	"log/slog"
	"time"
)

// setback is how far the wall clock may fall behind before it is reported: a
// little less is how clocks are kept right.
const setback = time.Second

// maxLead is how far a ledger's time may lie ahead of the wall clock when it is
// opened. Within it time stands still until the clock has caught up, which
// keeps a quota shut for an hour at worst. It is what a clock is off by that was
// set for summer time in winter; a clock that is further off was set to another
// zone, another day or another year, and no quota should wait for that.
const maxLead = time.Hour

type clock struct {
	wall     func() time.Time
	log      *slog.Logger
	high     int64 // the latest time that was ever given out (ms)
	reported bool
}

// read returns the store's now, in milliseconds.
func (c *clock) read() int64 {
	w := c.wall().UnixMilli()
	if w >= c.high {
		c.high, c.reported = w, false
		return w
	}
	if behind := c.high - w; behind > setback.Milliseconds() && !c.reported {
		c.reported = true
		c.log.Warn("the clock went back; the ledger's time stands still until it has caught up",
			"behind", time.Duration(behind)*time.Millisecond,
			"ledger_time", time.UnixMilli(c.high).UTC())
	}
	return c.high
}
