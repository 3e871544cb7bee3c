package ratelimit

// Ratio: of the messages of the last span, so many must be good: answered, or
// sent to a connection.
//
// The account's counter is a log as Rolling's, with how many of each time are
// good. What a recipient has not answered stands in a counter of its own record,
// of the unit toAnswer, so that a reply finds those messages in the account's
// log: an entry there has the slot, and in good by how much later the account's
// log has it, which is 0 as long as that is exact.

import (
	"cmp"
	"slices"
)

const (
	toAnswer = "to"

	// What a charge's label says of a message whose goodness is known when it
	// is sent.
	sentGood = "good"
	sentBad  = "bad"
)

type ratioKind struct{ rollingKind }

// enough reports whether so many good ones among so many messages let more
// through.
func (cl *Claim) enough(sent, good int64) bool {
	return sent < cl.Sample || sent == 0 || good*1_000_000 >= cl.Rate*sent
}

// freeFrom returns when the demand makes nothing worse: all its messages go to
// connections, or to recipients who have replied, and to everything of the last
// span.
func (m *demand) freeFrom() int64 {
	var from int64
	for _, cl := range m.claims {
		if cl.Cost == 0 {
			continue
		}
		r := m.other(cl.Recipient)
		switch {
		case r == nil:
			return forever
		case cl.Good == Connected && r.connected == 0, cl.Good != Connected && r.replied == 0:
			return forever
		case cl.Good != Connected:
			if n, last := r.find(cl.Limit, Ratio, toAnswer).openSince(r.replied); n > 0 {
				from = max(from, last+cl.Span)
			}
		}
	}
	return from
}

func (ratioKind) earliest(m *demand, at int64) int64 {
	if m.ctr == nil {
		return at
	}
	free := max(at, m.freeFrom())
	if free == at {
		return at
	}
	cl := m.claim
	sent, good := int64(0), int64(0)
	for i := range m.ctr.log {
		sent, good = sent+m.ctr.log[i].n, good+m.ctr.log[i].good
	}
	for i := range m.ctr.log {
		e := &m.ctr.log[i]
		if e.at > at-cl.Span {
			if cl.enough(sent, good) {
				break
			}
			at = e.at + cl.Span
		}
		sent, good = sent-e.n, good-e.good
	}
	return min(at, free)
}

func (ratioKind) fits(*demand, int64) int64 { return -1 }

// use tells of the messages that are not good, and how many of those the rate
// lets there be.
func (ratioKind) use(m *demand, at int64, u *Use) {
	cl := m.claim
	var sent, good int64
	if m.ctr != nil {
		for _, e := range m.ctr.log {
			if e.at > at-cl.Span {
				sent, good = sent+e.n, good+e.good
			}
		}
	}
	u.Used = sent - good
	u.Allow = max(sent, cl.Sample) * (1_000_000 - cl.Rate) / 1_000_000
	u.Resets = m.ctr.rollingOldest(cl.Span, at)
}

func (ratioKind) charge(m *demand, cl *Claim, at int64, ch *charge) bool {
	c := m.ctr
	c.span = cl.Span
	c.pruneRolling(m.now - cl.Span)
	e := entry{at: at, n: cl.Cost}
	if len(c.log) >= exactEntries {
		g := max(cl.Span/coarseBuckets, 1)
		e.at = (at + g - 1) / g * g
	}
	ch.at = e.at
	if cl.Good == Connected {
		ch.label = sentBad
		if r := m.other(cl.Recipient); r != nil && r.connected != 0 {
			e.good, ch.label = e.n, sentGood
		}
		c.addEntry(e)
		return true
	}
	r := m.ensure(cl.Recipient)
	if at <= r.replied { // it came in this very millisecond: see Unanswered
		e.good = e.n
		c.addEntry(e)
		return true
	}
	to := r.ensure(cl.Limit, Ratio, toAnswer)
	if r == m.record { // its own counter may have moved
		c = r.find(cl.Limit, Ratio, "")
		m.ctr = c
	}
	to.span = cl.Span
	to.pruneRolling(m.now - cl.Span)
	to.owe(entry{at: at, n: cl.Cost, good: e.at - at})
	c.addEntry(e)
	return true
}

// owe notes a message that is to be answered. Those of one time in the
// account's log are one entry, or the later would hide the other.
func (c *counter) owe(e entry) {
	c.total += e.n
	i := len(c.log)
	for i > 0 && (c.log[i-1].at > e.at || c.log[i-1].at == e.at && c.log[i-1].good > e.good) {
		i--
	}
	if i > 0 && c.log[i-1].at == e.at && c.log[i-1].good == e.good {
		c.log[i-1].n += e.n
		return
	}
	c.log = slices.Insert(c.log, i, e)
}

// answered carries out that the record's recipient has replied: what it got up
// to then is good in the counters of the account and its scopes, and no longer
// unanswered.
func (r *record) answered(homes ...*record) {
	for i := range r.counters {
		c := &r.counters[i]
		switch {
		case c.measure == Unanswered:
			c.pruneRolling(r.replied)
		case c.measure == Settling:
			c.settled(r.replied, r.connected)
		case c.measure == Ratio && c.unit == toAnswer:
			counted := []*counter{r.find(c.limit, Ratio, "")}
			for _, home := range homes {
				counted = append(counted, home.find(c.limit, Ratio, ""))
			}
			for _, e := range c.log {
				for _, o := range counted {
					if o != nil && e.at <= r.replied {
						o.improve(e.at+e.good, e.n)
					}
				}
			}
			c.pruneRolling(r.replied)
		}
	}
}

// improve makes n more messages of a time good.
func (c *counter) improve(at, n int64) {
	if i, ok := slices.BinarySearchFunc(c.log, at, atTime); ok {
		e := &c.log[i]
		e.good = min(e.good+n, e.n)
	}
}

func atTime(e entry, at int64) int { return cmp.Compare(e.at, at) }

func (ratioKind) refund(c *counter, ch *charge, at func(string) *record) {
	good := int64(0)
	switch ch.label {
	case sentGood:
		good = ch.cost
	case sentBad:
	default:
		if r := at(ch.recipient); r == nil || !r.find(ch.limit, Ratio, toAnswer).disown(ch) {
			good = ch.cost // it was answered
		}
	}
	i, ok := slices.BinarySearchFunc(c.log, ch.at, atTime)
	if !ok {
		return
	}
	e := &c.log[i]
	took := min(ch.cost, e.n)
	c.total -= took
	if e.n -= took; e.n == 0 {
		c.log = slices.Delete(c.log, i, i+1)
		return
	}
	e.good = min(max(e.good-good, 0), e.n)
}

// disown takes back a message that was to be answered; false if there is none.
func (c *counter) disown(ch *charge) bool {
	if c == nil {
		return false
	}
	for i := range c.log {
		if e := &c.log[i]; e.at+e.good == ch.at {
			c.total -= min(ch.cost, e.n)
			if e.n -= ch.cost; e.n <= 0 {
				c.log = slices.Delete(c.log, i, i+1)
			}
			return true
		}
	}
	return false
}

func (ratioKind) merge(c, o *counter) {
	for _, e := range o.log {
		if o.unit == toAnswer {
			c.owe(e)
		} else {
			c.addEntry(e)
		}
	}
	c.span = max(c.span, o.span)
}

func (ratioKind) bringBack(c *counter, high, now int64) {
	if c.unit != toAnswer {
		rollingKind{}.bringBack(c, high, now)
		return
	}
	log := c.log
	c.log, c.total = nil, 0
	for _, e := range log {
		counted := broughtBack(e.at+e.good, high, now)
		e.at = broughtBack(e.at, high, now)
		e.good = counted - e.at
		c.owe(e)
	}
}

func (ratioKind) encode(b []byte, c *counter) []byte {
	b = appendInt(b, c.span)
	b = appendLog(b, c.log)
	for i := range c.log {
		b = appendInt(b, c.log[i].good)
	}
	return b
}

func (ratioKind) decode(d *decoder, c *counter) {
	c.span = d.int()
	c.log, c.total = d.log()
	for i := range c.log {
		c.log[i].good = d.int()
	}
}
