package ratelimit

// Unanswered: so many messages to a recipient since its last reply, with a gap
// between one and the next. The counter is a log of slots; those up to the
// reply, which is the record's, no longer count. Nothing else ends them: a
// recipient who never answers is remembered.

type unansweredKind struct{ rollingKind }

// openSince returns how many messages of a log are after a time, and the slot of
// the last of them; 0 when there are none.
func (c *counter) openSince(after int64) (n, last int64) {
	if c == nil {
		return 0, 0
	}
	for i := len(c.log) - 1; i >= 0 && c.log[i].at > after; i-- {
		n += c.log[i].n
	}
	if n > 0 {
		last = c.log[len(c.log)-1].at
	}
	return n, last
}

// marks are when the recipient last replied and became a connection; 0 is
// never. A scope's counter goes by what its record was told, and by what the
// sender knew before there was one.
func (m *demand) marks() (replied, connected int64) {
	if m.record != nil {
		replied, connected = m.record.replied, m.record.connected
	}
	if m.home != m.account {
		if r := m.other(m.claim.Key); r != nil {
			replied, connected = max(replied, r.replied), max(connected, r.connected)
		}
	}
	return replied, connected
}

// unanswered returns how many messages there are since the last reply, and the
// slot of the last of them.
func (m *demand) unanswered() (n, last int64) {
	replied, _ := m.marks()
	return m.ctr.openSince(replied)
}

func (unansweredKind) earliest(m *demand, at int64) int64 {
	cl := m.claim
	used, last := m.unanswered()
	if used+m.cost > cl.Allow || cl.Gap > 0 && m.messages() > 1 {
		return never
	}
	if used > 0 {
		at = max(at, last+cl.Gap)
	}
	return at
}

// messages counts the claims that take anything: each is one message.
func (m *demand) messages() (n int) {
	for _, cl := range m.claims {
		if cl.Cost > 0 {
			n++
		}
	}
	return n
}

func (unansweredKind) fits(m *demand, _ int64) int64 {
	used, _ := m.unanswered()
	left := max(m.claim.Allow-used, 0)
	if m.claim.Gap > 0 {
		left = min(left, 1)
	}
	return left
}

func (unansweredKind) use(m *demand, _ int64, u *Use) {
	u.Used, _ = m.unanswered()
}

func (unansweredKind) charge(m *demand, cl *Claim, at int64, ch *charge) bool {
	c := m.ctr
	m.record.replied, m.record.connected = m.marks()
	c.pruneRolling(m.record.replied)
	used, _ := c.openSince(0)
	if crosses(cl.WarnAt, used, cl.Cost) && c.warned <= m.record.replied {
		c.warned, ch.warned = at, true
	}
	c.addEntry(entry{at: at, n: cl.Cost})
	c.foldOldest(0)
	return true
}

// foldOldest keeps a log within exactEntries: of those that it may touch the two
// oldest become one, at the later of their times. Only what a shadow or a very
// large allowance let through comes that far; it counts longer, not shorter.
func (c *counter) foldOldest(from int) {
	if len(c.log) <= exactEntries {
		return
	}
	c.log[from+1].n += c.log[from].n
	c.log[from+1].good += c.log[from].good
	c.log = append(c.log[:from], c.log[from+1:]...)
}

func (unansweredKind) over(c *counter, _ int64) bool { return len(c.log) == 0 }
