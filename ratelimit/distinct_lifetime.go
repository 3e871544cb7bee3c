package ratelimit

// Distinct for life: recipients, ever. Remembered is every one of them.

type distinctLifetime struct{ plain }

func (distinctLifetime) seen(m *demand) []sight {
	if m.ctr == nil {
		return nil
	}
	return m.ctr.seen
}

func (k distinctLifetime) earliest(m *demand, at int64) int64 {
	if news := m.newcomers(k.seen(m)); news > 0 && m.lifetimeUsed()+news > m.claim.Allow {
		return never
	}
	return at
}

func (distinctLifetime) fits(m *demand, _ int64) int64 {
	return max(m.claim.Allow-m.lifetimeUsed(), 0)
}

func (distinctLifetime) use(m *demand, _ int64, u *Use) { u.Used = m.lifetimeUsed() }

func (distinctLifetime) charge(m *demand, cl *Claim, _ int64, ch *charge) bool {
	c := m.ctr
	ch.cost, ch.at = 1, 0
	used := c.used
	c.see(addSight(c.seen, sight{who: cl.Recipient, n: 1}))
	if crosses(cl.WarnAt, used, c.used-used) && c.warned == 0 {
		ch.warned, c.warned = true, 1
	}
	return true
}

func (c *counter) see(seen []sight) { c.seen, c.used = seen, countSeen(seen) }

func (distinctLifetime) refund(c *counter, ch *charge, _ func(string) *record) {
	if c.see(removeSight(c.seen, ch.recipient, 0, 1)); ch.warned {
		c.warned = 0
	}
}

func (distinctLifetime) merge(c, o *counter) {
	c.see(mergeSights(c.seen, o.seen))
	c.warned = max(c.warned, o.warned)
}

func (distinctLifetime) same(c *counter, from, to string) { c.see(renameSeen(c.seen, from, to)) }

func (distinctLifetime) over(c *counter, _ int64) bool { return len(c.seen) == 0 && c.warned == 0 }

func (distinctLifetime) encode(b []byte, c *counter) []byte {
	b = appendInt(b, c.warned)
	return appendSights(b, c.seen)
}

func (distinctLifetime) decode(d *decoder, c *counter) {
	c.warned = d.int()
	c.see(d.sights())
}
