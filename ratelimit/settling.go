package ratelimit

// Settling: so many messages to a recipient from when it became a connection
// until it replied or the span has passed. The counter is a log of slots, also
// of those before the connection was known: that is often learned late.

type settlingKind struct{ rollingKind }

// settling returns the time within which the recipient may get only so many, at
// a time; bound tells whether there is one.
func (m *demand) settling(at int64) (from, end int64, bound bool) {
	replied, connected := m.marks()
	if connected == 0 || replied >= connected {
		return 0, 0, false
	}
	from, end = connected, forever
	if m.claim.Span > 0 {
		end = from + m.claim.Span
	}
	return from, end, at < end
}

// within returns how many messages of the log lie in [from, end).
func (c *counter) within(from, end int64) (n int64) {
	if c == nil {
		return 0
	}
	for i := range c.log {
		if e := &c.log[i]; from <= e.at && e.at < end {
			n += e.n
		}
	}
	return n
}

func (settlingKind) earliest(m *demand, at int64) int64 {
	from, end, bound := m.settling(at)
	switch {
	case !bound || m.ctr.within(from, end)+m.cost <= m.claim.Allow:
		return at
	case end == forever:
		return never
	}
	return end
}

func (settlingKind) fits(m *demand, at int64) int64 {
	from, end, bound := m.settling(at)
	if !bound {
		return -1
	}
	return max(m.claim.Allow-m.ctr.within(from, end), 0)
}

func (settlingKind) use(m *demand, at int64, u *Use) {
	if from, end, bound := m.settling(at); bound {
		u.Used = m.ctr.within(from, end)
		if end != forever {
			u.Resets = end
		}
	}
}

func (settlingKind) charge(m *demand, cl *Claim, at int64, ch *charge) bool {
	c := m.ctr
	// Of a connection that is learned of later, nothing that is older than the
	// span could count any more.
	if c.span = cl.Span; c.span > 0 {
		c.pruneRolling(m.now - c.span)
	}
	m.record.replied, m.record.connected = m.marks()
	c.settled(m.record.replied, m.record.connected)
	if from, end, bound := m.settling(at); bound && crosses(cl.WarnAt, c.within(from, end), cl.Cost) && c.warned < from {
		c.warned, ch.warned = at, true
	}
	c.addEntry(entry{at: at, n: cl.Cost})
	c.foldOldest(0)
	return true
}

// settled forgets what was before the last reply and before the connection:
// both can only move on.
func (c *counter) settled(replied, connected int64) { c.pruneRolling(max(replied, connected-1)) }

// over: where no span ends it, only a reply does, and that empties the log.
func (settlingKind) over(c *counter, at int64) bool {
	n := len(c.log)
	return n == 0 || c.span > 0 && c.log[n-1].at+c.span <= at
}
