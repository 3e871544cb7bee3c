package ratelimit

// What the ledger remembers: one record for all the account-wide counters of
// an account, and one for each of its keys (a recipient). The records are
// plain data; what a measure does with its counter is in the measure's file.

import "slices"

// A record is the unit of reading and writing.
type record struct {
	account, key string
	// aliasOf says that this account stands for another, which has its
	// counters. Only in a record whose key is "".
	aliasOf string
	// hold stops the account. Only in a record whose key is "".
	hold     *Hold
	counters []counter

	// For the embedded store's shelf.
	absent bool // nothing is known of it: the cache remembers that too
	dirty  bool // in the group that is about to be committed
	weight int  // an estimate of its memory
}

// A counter is what one limit has counted. Which fields are used depends on
// its measure.
type counter struct {
	limit   string
	unit    string
	measure Measure

	wins [2]tally // Calendar: the newest window that has begun, and the one after it

	used   int64 // Lifetime
	warned int64 // Lifetime: 1 once warned; Rolling: when it last warned (ms)

	span  int64   // Rolling: that of the last charge; Pace: that with its jitter, 0 when unknown
	log   []entry // Rolling: sorted by time
	total int64   // Rolling: the sum of log

	slots []slot // Pace: sorted by time
}

// find returns the counter of that identity, or nil. The measure and the
// civil unit belong to the identity: a limit that changes from `per: day` to
// `per: week` starts a counter of its own.
func (r *record) find(limit string, m Measure, unit string) *counter {
	if r == nil {
		return nil
	}
	for i := range r.counters {
		c := &r.counters[i]
		if c.measure == m && c.limit == limit && c.unit == unit {
			return c
		}
	}
	return nil
}

// ensure is find, and adds the counter where it is missing. It may move the
// others: a pointer from find is good until then.
func (r *record) ensure(limit string, m Measure, unit string) *counter {
	if c := r.find(limit, m, unit); c != nil {
		return c
	}
	r.counters = append(r.counters, counter{limit: limit, measure: m, unit: unit})
	return &r.counters[len(r.counters)-1]
}

// clone is a copy that shares nothing with r; of nil it is an empty record.
func (r *record) clone(account, key string) *record {
	c := &record{account: account, key: key}
	if r == nil {
		return c
	}
	c.hold, c.counters = r.hold, slices.Clone(r.counters)
	for i := range c.counters {
		c.counters[i].log = slices.Clone(c.counters[i].log)
		c.counters[i].slots = slices.Clone(c.counters[i].slots)
	}
	return c
}

// A charge is what one claim took, exactly enough to give it back.
type charge struct {
	key, limit, unit string
	measure          Measure
	item             int
	cost             int64
	label            string // Calendar: the window charged
	at               int64  // Rolling: the entry's time; Pace: the slot
	bound            bool   // the counter had no room at once: later arrivals queue behind
	warned           bool   // it was the one that crossed the mark; without it, the next may be
}

// refund takes a charge back out of its counter. What is no longer there (a
// window that has passed, an entry that has left) needs no giving back.
func (c *counter) refund(ch *charge) {
	switch c.measure {
	case Calendar:
		c.refundCalendar(ch)
	case Rolling:
		c.refundRolling(ch)
	case Lifetime:
		if c.used = max(c.used-ch.cost, 0); ch.warned {
			c.warned = 0
		}
	case Pace:
		c.refundPace(ch)
	}
}

// merge adds what another counter of the same identity has counted.
func (c *counter) merge(o *counter) {
	switch c.measure {
	case Calendar:
		c.mergeCalendar(o)
	case Rolling:
		c.mergeRolling(o)
	case Lifetime:
		c.used += o.used
		c.warned = max(c.warned, o.warned)
	case Pace:
		c.mergePace(o)
	}
}
