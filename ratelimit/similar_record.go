package ratelimit

// What Similar's groups and bands are as records: added to each other, over,
// moved in time, on disk.

import "slices"

func (similarKind) merge(c, o *counter) {
	if o.alike == nil {
		return
	}
	if c.alike == nil {
		c.alike = &alike{exact: o.alike.exact, signature: o.alike.signature}
	}
	a := c.alike
	a.until = max(a.until, o.alike.until)
	for _, name := range o.alike.groups {
		if !slices.Contains(a.groups, name) {
			a.groups = append(a.groups, name)
		}
	}
	for _, e := range o.log {
		c.addEntry(e)
	}
	for _, p := range o.alike.people {
		a.add(p.who, p.n, exactEntries+groupSpare)
	}
	a.others += o.alike.others
	c.span, c.warned = max(c.span, o.span), max(c.warned, o.warned)
}

func (similarKind) over(c *counter, at int64) bool {
	switch {
	case c.alike == nil:
		return true
	case c.unit == inBand:
		return c.alike.until <= at
	}
	return len(c.log) == 0 || c.ends(c.span) <= at
}

func (similarKind) bringBack(c *counter, high, now int64) {
	rollingKind{}.bringBack(c, high, now) // until stays: bands may be kept longer
}

func (similarKind) encode(b []byte, c *counter) []byte {
	a := c.alike
	if b = appendBool(b, a != nil); a == nil {
		return b
	}
	b = appendInt(b, a.until)
	b = appendStrings(b, a.groups)
	b = appendString(b, a.exact)
	b = appendString(b, a.signature)
	b = appendInt(b, a.others)
	b = appendInt(b, c.span)
	b = appendInt(b, c.warned)
	b = appendLog(b, c.log)
	b = appendInt(b, int64(len(a.people)))
	for _, p := range a.people {
		b = appendString(b, p.who)
		b = appendInt(b, p.n)
	}
	return b
}

func (similarKind) decode(d *decoder, c *counter) {
	if !d.bool() {
		return
	}
	a := &alike{until: d.int(), groups: d.strings(), exact: d.string(), signature: d.string(), others: d.int()}
	c.alike, c.span, c.warned = a, d.int(), d.int()
	c.log, c.total = d.log()
	a.people = make([]received, max(0, min(d.int(), int64(len(d.b)))))
	for i := range a.people {
		a.people[i] = received{d.string(), d.int()}
	}
}
