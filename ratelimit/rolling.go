package ratelimit

// Rolling: so many within the last Span milliseconds, the half-open interval
// (t-Span, t]. The counter is a sorted log of times. All entries newer than
// t-Span count, those booked after t too: every interval that contains t is a
// part of that, so none can ever hold too much, in whatever order slots are
// booked.
//
// The log is exact up to exactEntries. A larger allowance rounds the time of
// an entry up to the next 1/96 of the window, so that a log never has more
// than about a hundred entries of that kind: never over, and room returns at
// most 1/96 of the window late.

import (
	"cmp"
	"slices"
)

const (
	exactEntries  = 2000
	coarseBuckets = 96
)

// An entry is what was charged at one time. Charges of one time are one
// entry: giving back needs no more than its time.
type entry struct {
	at, n int64
}

// rollingUsed returns what counts at a time.
func (c *counter) rollingUsed(span, at int64) int64 {
	if c == nil {
		return 0
	}
	used := c.total
	for i := range c.log {
		if c.log[i].at > at-span {
			break
		}
		used -= c.log[i].n
	}
	return used
}

// rollingEarliest returns the first time, not before at, at which cost more
// fits.
func (c *counter) rollingEarliest(cl *Claim, cost, at int64) int64 {
	if cost > cl.Allow {
		return never
	}
	if c == nil {
		return at
	}
	used := c.total
	for i := range c.log {
		if used+cost <= cl.Allow {
			break
		}
		used -= c.log[i].n
		at = max(at, c.log[i].at+cl.Span)
	}
	return at
}

// rollingOldest returns when the oldest entry that counts at a time leaves; 0
// when there is none.
func (c *counter) rollingOldest(span, at int64) int64 {
	if c == nil {
		return 0
	}
	for i := range c.log {
		if c.log[i].at > at-span {
			return c.log[i].at + span
		}
	}
	return 0
}

// chargeRolling adds an entry and returns its time.
func (c *counter) chargeRolling(cl *Claim, cost, at, now int64) (stored int64, warn bool) {
	c.pruneRolling(now - cl.Span)
	c.span = cl.Span
	warn = crosses(cl.WarnAt, c.rollingUsed(cl.Span, at), cost) && c.warned <= at-cl.Span
	if cl.Allow > exactEntries || len(c.log) >= exactEntries {
		g := max(cl.Span/coarseBuckets, 1)
		at = (at + g - 1) / g * g
	}
	if warn {
		c.warned = at
	}
	c.addEntry(entry{at, cost})
	return at, warn
}

func (c *counter) addEntry(e entry) {
	c.total += e.n
	i := len(c.log)
	for i > 0 && c.log[i-1].at > e.at {
		i--
	}
	if i > 0 && c.log[i-1].at == e.at {
		c.log[i-1].n += e.n
		return
	}
	c.log = slices.Insert(c.log, i, e)
}

// pruneRolling forgets what is not newer than a time.
func (c *counter) pruneRolling(before int64) {
	n := 0
	for n < len(c.log) && c.log[n].at <= before {
		c.total -= c.log[n].n
		n++
	}
	c.log = c.log[n:]
}

func (c *counter) refundRolling(ch *charge) {
	i, ok := slices.BinarySearchFunc(c.log, ch.at, func(e entry, at int64) int {
		return cmp.Compare(e.at, at)
	})
	if !ok {
		return
	}
	if ch.warned && c.warned == ch.at {
		c.warned = 0
	}
	took := min(ch.cost, c.log[i].n)
	c.total -= took
	if c.log[i].n -= took; c.log[i].n == 0 {
		c.log = slices.Delete(c.log, i, i+1)
	}
}

func (c *counter) mergeRolling(o *counter) {
	for _, e := range o.log {
		c.addEntry(e)
	}
	c.span, c.warned = max(c.span, o.span), max(c.warned, o.warned)
}
