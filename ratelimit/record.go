package ratelimit

// What the ledger remembers: one record for all the account-wide counters of
// an account, and one for each of its keys (a recipient). The records are
// plain data; what a measure does with its counter is in the measure's file.

import "slices"

// A record is the unit of reading and writing.
type record struct {
	account, key string
	// aliasOf says that this account, or this thread, stands for another,
	// which has its counters.
	aliasOf string
	// holds stop the account or the recipient, one of each name.
	holds []hold
	// replied and connected are when the recipient last did so (ms); 0 never.
	replied, connected int64
	// gifts are pots that a person gave to limits of the account.
	gifts []Gift
	// owed are the charges that a reply of the recipient gives back.
	owed []debt
	// scopes are the accounts, other than this one, whose counters may name
	// recipients of this one.
	scopes []string
	// mark is of a message that its client numbered; see twin.go.
	mark     mark
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
	first   int64 // the earliest slot that it was charged for; 0 unknown

	wins [2]tally // Calendar: the newest window that has begun, and the one after it

	used   int64 // Lifetime, Concurrent
	warned int64 // Lifetime: 1 once warned; Rolling: when it last warned (ms)

	span  int64   // Rolling: that of the last charge; Pace: that with its jitter, 0 when unknown
	log   []entry // Rolling: sorted by time
	total int64   // Rolling: the sum of log

	slots []slot   // Pace: sorted by time
	pots  []potUse // what was used of pots
	seen  []sight  // Distinct, rolling or for life: sorted by recipient and time
	alike *alike   // Similar
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

// blank reports whether nothing is counted, of now or of before.
func (c *counter) blank() bool {
	return c.wins[0].used == 0 && c.wins[1].used == 0 && c.used == 0 && len(c.log) == 0 && len(c.slots) == 0 &&
		len(c.pots) == 0 && len(c.seen) == 0
}

// clone is a copy that shares nothing with r; of nil it is an empty record.
func (r *record) clone(account, key string) *record {
	c := &record{account: account, key: key}
	if r == nil {
		return c
	}
	c.aliasOf, c.replied, c.connected, c.mark = r.aliasOf, r.replied, r.connected, r.mark
	c.holds, c.gifts, c.owed = slices.Clone(r.holds), slices.Clone(r.gifts), slices.Clone(r.owed)
	c.scopes, c.counters = slices.Clone(r.scopes), slices.Clone(r.counters)
	for i := range c.counters {
		k := &c.counters[i]
		k.log, k.slots, k.pots, k.seen = slices.Clone(k.log), slices.Clone(k.slots), slices.Clone(k.pots), slices.Clone(k.seen)
		k.alike = k.alike.clone()
		for j := range k.wins {
			k.wins[j].seen = slices.Clone(k.wins[j].seen)
		}
	}
	return c
}

// absorb adds what another record of the same account or recipient knows.
func (r *record) absorb(from *record) {
	for i := range from.counters {
		o := &from.counters[i]
		c := r.ensure(o.limit, o.measure, o.unit)
		kindOf(o.measure).merge(c, o)
		c.first = earlier(c.first, o.first)
	}
	for i := range from.holds {
		r.addHold(&from.holds[i])
	}
	r.replied, r.connected = max(r.replied, from.replied), max(r.connected, from.connected)
	for _, g := range from.gifts {
		r.addGift(g)
	}
	r.owed = append(r.owed, from.owed...)
	for _, s := range from.scopes {
		r.addScope(s)
	}
	if from.mark.at > r.mark.at {
		r.mark = from.mark
	}
}

// become takes over what another record knows.
func (r *record) become(o *record) {
	absent, dirty, weight := r.absent, r.dirty, r.weight
	*r = *o
	r.absent, r.dirty, r.weight = absent, dirty, weight
}

// empty forgets all that the record knows, but not that it is an alias.
func (r *record) empty() {
	*r = record{account: r.account, key: r.key, aliasOf: r.aliasOf, absent: r.absent, dirty: r.dirty, weight: r.weight}
}

func (r *record) addScope(scope string) bool {
	if slices.Contains(r.scopes, scope) {
		return false
	}
	r.scopes = append(r.scopes, scope)
	return true
}

// earlier is the earlier of two times, of which 0 is unknown.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// A charge is what one claim took, exactly enough to give it back.
type charge struct {
	scope, key, limit, unit string
	item                    int
	cost                    int64
	label                   string // Calendar: the window charged
	at                      int64  // Rolling: the entry's time; Pace: the slot
	recipient               string // where the measure counts recipients, or the charge may return
	where                   string // the key of the record it lies in, where that is not key
	split                   []share
	measure                 Measure
	bound                   bool // the counter had no room at once: later arrivals queue behind
	warned                  bool // it was the one that crossed the mark; without it, the next may be
	first                   bool // of the counter's first slot
}

// A share is what one pot paid of a charge.
type share struct {
	label string
	n     int64
}

func (ch *charge) equal(o *charge) bool {
	return ch.scope == o.scope && ch.key == o.key && ch.limit == o.limit && ch.unit == o.unit && ch.measure == o.measure &&
		ch.item == o.item && ch.cost == o.cost && ch.label == o.label && ch.at == o.at && ch.bound == o.bound &&
		ch.warned == o.warned && ch.first == o.first && ch.recipient == o.recipient && ch.where == o.where &&
		slices.Equal(ch.split, o.split)
}

// of reports whether two charges lie in one counter.
func (ch *charge) of(o *charge) bool {
	return ch.measure == o.measure && ch.limit == o.limit && ch.unit == o.unit && ch.key == o.key && ch.scope == o.scope
}
