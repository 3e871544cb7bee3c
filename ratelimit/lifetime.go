package ratelimit

// Lifetime: so many, ever. Remembered are a number that never falls, and
// whether it has warned.

type lifetimeKind struct{ plain }

func (m *demand) lifetimeUsed() int64 {
	if m.ctr == nil {
		return 0
	}
	return m.ctr.used
}

func (lifetimeKind) earliest(m *demand, at int64) int64 {
	if m.simple() {
		if m.lifetimeUsed()+m.cost > m.claim.Allow {
			return never
		}
		return at
	}
	for at < forever {
		if max(m.claim.Allow-m.lifetimeUsed(), 0)+m.potsFree(at) >= m.cost {
			return at
		}
		at = m.nextPot(at)
	}
	return never
}

func (lifetimeKind) fits(m *demand, at int64) int64 {
	return max(m.claim.Allow-m.lifetimeUsed(), 0) + m.potsFree(at)
}

func (lifetimeKind) use(m *demand, at int64, u *Use) {
	u.Used = m.lifetimeUsed()
	m.addPots(at, u)
}

func (lifetimeKind) charge(m *demand, cl *Claim, at int64, ch *charge) bool {
	c := m.ctr
	rest := m.pay(cl, at, ch, max(cl.Allow-c.used, 0), 0)
	if crosses(cl.WarnAt, c.used, rest) && c.warned == 0 {
		ch.warned, c.warned = true, 1
	}
	c.used += rest
	return true
}

func (lifetimeKind) refund(c *counter, ch *charge, _ func(string) *record) {
	c.unpay(ch)
	if c.used = max(c.used-ch.unpaid(), 0); ch.warned {
		c.warned = 0
	}
}

func (lifetimeKind) merge(c, o *counter) {
	c.used += o.used
	c.warned = max(c.warned, o.warned)
	c.mergePots(o)
}

func (lifetimeKind) over(c *counter, at int64) bool {
	return c.used == 0 && c.warned == 0 && c.potsOver(at)
}

func (lifetimeKind) encode(b []byte, c *counter) []byte {
	b = appendInt(b, c.used)
	b = appendInt(b, c.warned)
	return appendPots(b, c.pots)
}

func (lifetimeKind) decode(d *decoder, c *counter) {
	c.used, c.warned = d.int(), d.int()
	c.pots = d.pots()
}
