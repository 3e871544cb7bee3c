package ratelimit

// Rolling: so many within the last Span milliseconds, the half-open interval
// (t-Span, t]. The counter is a sorted log of times. All entries newer than
// t-Span count, those booked after t too: every interval that contains t is a
// part of that, so none can ever hold too much, in whatever order slots are
// booked. Who has a place in the queue already is not kept back by those behind
// it in intervals that hold only some of them: see rollingGap.
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
	good  int64 // Ratio: so many of them
}

type rollingKind struct{ plain }

func (rollingKind) earliest(m *demand, at int64) int64 {
	if m.simple() {
		if m.placed && m.claim.Allow <= exactEntries && m.ctr.exact(m.claim.Span, m.now) {
			return m.ctr.rollingGap(m.claim, m.cost, at)
		}
		return m.ctr.rollingEarliest(m.claim, m.cost, at)
	}
	span := m.claim.Span
	return m.firstRoom(at, func(t int64) (used, falls int64) {
		if falls = m.ctr.rollingOldest(span, t); falls == 0 {
			falls = forever
		}
		return m.ctr.rollingUsed(span, t), falls
	})
}

func (rollingKind) fits(m *demand, at int64) int64 {
	return m.most() + m.potsFree(at)
}

func (rollingKind) use(m *demand, at int64, u *Use) {
	span := m.claim.Span
	u.Used, u.Resets = m.ctr.rollingUsed(span, at), m.ctr.rollingOldest(span, at)
	m.allowance(at, u)
}

func (rollingKind) charge(m *demand, cl *Claim, at int64, ch *charge) bool {
	c := m.ctr
	c.pruneRolling(m.now - cl.Span)
	c.span = cl.Span
	used := c.rollingUsed(cl.Span, at)
	rest := m.pay(cl, at, ch, max(m.allowAt(at)-used, 0), 0)
	ch.warned = crosses(cl.WarnAt, used, rest) && c.warned <= at-cl.Span
	if cl.Allow > exactEntries || len(c.log) >= exactEntries {
		g := max(cl.Span/coarseBuckets, 1)
		at = (at + g - 1) / g * g
	}
	if ch.at = at; ch.warned {
		c.warned = at
	}
	if rest > 0 {
		c.addEntry(entry{at: at, n: rest})
	}
	return true
}

func (rollingKind) refund(c *counter, ch *charge, _ func(string) *record) {
	c.unpay(ch)
	i, ok := slices.BinarySearchFunc(c.log, ch.at, func(e entry, at int64) int {
		return cmp.Compare(e.at, at)
	})
	if !ok {
		return
	}
	if ch.warned && c.warned == ch.at {
		c.warned = 0
	}
	took := min(ch.unpaid(), c.log[i].n)
	c.total -= took
	if c.log[i].n -= took; c.log[i].n == 0 {
		c.log = slices.Delete(c.log, i, i+1)
	}
}

func (rollingKind) merge(c, o *counter) {
	for _, e := range o.log {
		c.addEntry(e)
	}
	c.span, c.warned = max(c.span, o.span), max(c.warned, o.warned)
	c.mergePots(o)
}

func (rollingKind) over(c *counter, at int64) bool {
	last := c.warned
	if n := len(c.log); n > 0 {
		last = max(last, c.log[n-1].at)
	}
	return (last == 0 || last+c.span <= at) && c.potsOver(at)
}

func (rollingKind) bringBack(c *counter, high, now int64) {
	log := c.log
	c.log, c.total = nil, 0
	for _, e := range log {
		e.at = broughtBack(e.at, high, now)
		c.addEntry(e)
	}
	c.warned = broughtBack(c.warned, high, now)
}

func (rollingKind) encode(b []byte, c *counter) []byte {
	b = appendInt(b, c.span)
	b = appendInt(b, c.warned)
	b = appendLog(b, c.log)
	return appendPots(b, c.pots)
}

func (rollingKind) decode(d *decoder, c *counter) {
	c.span, c.warned = d.int(), d.int()
	c.log, c.total = d.log()
	c.pots = d.pots()
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

// exact reports whether the log has the times after now that were charged. Those
// of a larger allowance were rounded up to a multiple; where that may be chance,
// all of them have to be.
func (c *counter) exact(span, now int64) bool {
	g := span / coarseBuckets
	if c == nil || len(c.log) >= exactEntries {
		return false
	}
	later, rounded := 0, 0
	for i := len(c.log) - 1; i >= 0 && c.log[i].at > now; i-- {
		if later++; g > 1 && c.log[i].at%g == 0 {
			rounded++
		}
	}
	return rounded == 0 || g < telling && rounded < later
}

// telling is a rounding that no time shows by chance (ms).
const telling = 1000

// rollingGap is rollingEarliest for who has a place in the queue already: what
// is booked for later counts only in those intervals that contain both. It looks
// at the intervals of the span that begin with an entry, or with the slot.
func (c *counter) rollingGap(cl *Claim, cost, at int64) int64 {
	if cost > cl.Allow {
		return never
	}
	var used int64 // in [b, b+span)
	end := 0
	for i := range c.log {
		b := c.log[i].at
		for ; end < len(c.log) && c.log[end].at < b+cl.Span; end++ {
			used += c.log[end].n
		}
		if b > at {
			var own int64 // in [at, at+span)
			for j := i; j < len(c.log) && c.log[j].at < at+cl.Span; j++ {
				own += c.log[j].n
			}
			if own+cost <= cl.Allow {
				return at
			}
			at = b + cl.Span
		} else if b+cl.Span > at && used+cost > cl.Allow {
			at = b + cl.Span
		}
		used -= c.log[i].n
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

func (c *counter) addEntry(e entry) {
	c.total += e.n
	i := len(c.log)
	for i > 0 && c.log[i-1].at > e.at {
		i--
	}
	if i > 0 && c.log[i-1].at == e.at {
		c.log[i-1].n += e.n
		c.log[i-1].good += e.good
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
