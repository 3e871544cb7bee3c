package ratelimit

// Pots: units that can be used once. A counter remembers what was used of each
// by the pot's label, with the end that the pot had then; how much a pot holds
// is the claim's to say, so a new plan holds at once. Gifts are pots that the
// account's record keeps.

import (
	"cmp"
	"slices"
)

// A potUse is what was used of a pot.
type potUse struct {
	label     string
	used, end int64 // end 0 is never
}

// giftLabel names the pot of a gift; no label of a claim begins like it.
const giftLabel = "gift "

// allPots are the claim's pots and the gifts to its limit. Who counts
// recipients has none.
func (m *demand) allPots() []Pot {
	pots := m.claim.Pots
	if m.wide == nil || m.claim.Distinct {
		return pots
	}
	for i := range m.wide.gifts {
		g := &m.wide.gifts[i]
		if g.Limit == m.claim.Limit {
			pots = append(pots[:len(pots):len(pots)], Pot{Label: giftLabel + g.ID, End: g.End, Units: g.Units})
		}
	}
	return pots
}

// usable reports whether a pot is there at a time. One that accrued, and ended
// or was followed by another before the counter first charged anything, never
// was.
func (m *demand) usable(pots []Pot, p *Pot, at int64) bool {
	if at < p.Start || p.End != 0 && at >= p.End {
		return false
	}
	if !p.Accrued {
		return true
	}
	first := earlier(m.began(), at)
	for i := range pots {
		if q := &pots[i]; q.Accrued && q.Start > p.Start && q.Start <= first {
			return false
		}
	}
	return true
}

func (m *demand) usedOf(p *Pot) int64 {
	if m.ctr != nil {
		for i := range m.ctr.pots {
			if m.ctr.pots[i].label == p.Label {
				return m.ctr.pots[i].used
			}
		}
	}
	return 0
}

// potsFree is what all pots together can pay at a time.
func (m *demand) potsFree(at int64) (free int64) {
	pots := m.allPots()
	for i := range pots {
		if m.usable(pots, &pots[i], at) {
			free += max(pots[i].Units-m.usedOf(&pots[i]), 0)
		}
	}
	return free
}

// nextPot is when the next pot begins; forever when none is known.
func (m *demand) nextPot(at int64) int64 {
	next := forever
	for _, p := range m.allPots() {
		if p.Start > at {
			next = min(next, p.Start)
		}
	}
	return next
}

// allowance adds what the pots hold at a time, and what was used of them, to a
// Use; and the allowance is the one of that time.
func (m *demand) allowance(at int64, u *Use) {
	if m.simple() {
		return
	}
	u.Allow = m.allowAt(at)
	m.addPots(at, u)
}

func (m *demand) addPots(at int64, u *Use) {
	pots := m.allPots()
	for i := range pots {
		if m.usable(pots, &pots[i], at) {
			u.Allow += pots[i].Units
			u.Used += m.usedOf(&pots[i])
		}
	}
}

// pay lets the pots pay their part of a claim and returns the rest, which the
// window pays: it has so many free and ends at end. Pots that end before it
// pay before it, the others after it. What nobody can pay is the window's, too:
// only a shadow's comes to that.
func (m *demand) pay(cl *Claim, at int64, ch *charge, free, end int64) int64 {
	pots := m.allPots()
	if len(pots) == 0 {
		return cl.Cost
	}
	due := make([]Pot, 0, len(pots))
	for i := range pots {
		if p := pots[i]; m.usable(pots, &p, at) {
			if p.End == 0 {
				p.End = forever
			}
			due = append(due, p)
		}
	}
	slices.SortStableFunc(due, func(a, b Pot) int { return cmp.Compare(a.End, b.End) })
	c, rest, window := m.ctr, cl.Cost, int64(0)
	c.prunePots(m.now)
	i := 0
	for ; i < len(due) && due[i].End < end; i++ {
		rest -= m.payFrom(&due[i], rest, ch)
	}
	window = min(rest, free)
	rest -= window
	for ; i < len(due); i++ {
		rest -= m.payFrom(&due[i], rest, ch)
	}
	return window + rest
}

func (m *demand) payFrom(p *Pot, due int64, ch *charge) int64 {
	n := min(due, max(p.Units-m.usedOf(p), 0))
	if n > 0 {
		end := p.End
		if end == forever {
			end = 0
		}
		m.ctr.addPot(potUse{p.Label, n, end})
		ch.split = append(ch.split, share{p.Label, n})
	}
	return n
}

func (c *counter) addPot(u potUse) {
	for i := range c.pots {
		if p := &c.pots[i]; p.label == u.label {
			p.used += u.used
			if p.end != 0 && (u.end == 0 || u.end > p.end) {
				p.end = u.end
			}
			return
		}
	}
	c.pots = append(c.pots, u)
}

// prunePots forgets pots that ended long ago.
func (c *counter) prunePots(now int64) {
	c.pots = slices.DeleteFunc(c.pots, func(p potUse) bool { return p.end != 0 && p.end+lingers <= now })
}

// unpay gives the pots back what they paid of a charge.
func (c *counter) unpay(ch *charge) {
	for _, s := range ch.split {
		for i := range c.pots {
			if p := &c.pots[i]; p.label == s.label {
				if p.used -= s.n; p.used <= 0 {
					c.pots = slices.Delete(c.pots, i, i+1)
				}
				break
			}
		}
	}
}

// unpaid is what of a charge no pot paid.
func (ch *charge) unpaid() int64 {
	n := ch.cost
	for _, s := range ch.split {
		n -= s.n
	}
	return n
}

func (c *counter) mergePots(o *counter) {
	for _, p := range o.pots {
		c.addPot(p)
	}
}

func (c *counter) potsOver(at int64) bool {
	for i := range c.pots {
		if c.pots[i].end == 0 || c.pots[i].end > at {
			return false
		}
	}
	return true
}

func (r *record) addGift(g Gift) bool {
	for i := range r.gifts {
		if r.gifts[i].ID == g.ID {
			return false
		}
	}
	r.gifts = append(r.gifts, g)
	return true
}

// creditsKind: only pots pay. Remembered is what was used of each, and the
// start of the newest pot that a warning was about.
type creditsKind struct{ plain }

func (creditsKind) earliest(m *demand, at int64) int64 {
	for at < forever {
		if m.potsFree(at) >= m.cost {
			return at
		}
		at = m.nextPot(at)
	}
	return never
}

func (creditsKind) fits(m *demand, at int64) int64 { return m.potsFree(at) }

func (creditsKind) use(m *demand, at int64, u *Use) {
	u.Used, u.Allow = 0, 0
	m.addPots(at, u)
	if next := m.nextPot(at); next < forever {
		u.Resets = next
	}
}

func (creditsKind) charge(m *demand, cl *Claim, at int64, ch *charge) bool {
	var u Use
	m.addPots(at, &u)
	newest := int64(1)
	for _, p := range m.allPots() {
		if p.Start < at {
			newest = max(newest, p.Start+1)
		}
	}
	if crosses(cl.WarnAt, u.Used, cl.Cost) && m.ctr.warned < newest {
		ch.warned, m.ctr.warned = true, newest
	}
	m.ctr.used += m.pay(cl, at, ch, 0, 0) // what a shadow had no pot for
	return true
}

func (creditsKind) refund(c *counter, ch *charge, _ func(string) *record) {
	c.unpay(ch)
	if c.used = max(c.used-ch.unpaid(), 0); ch.warned {
		c.warned = 0
	}
}

func (creditsKind) merge(c, o *counter) {
	c.mergePots(o)
	c.used += o.used
	c.warned = max(c.warned, o.warned)
}

func (creditsKind) over(c *counter, at int64) bool { return c.potsOver(at) }

func (creditsKind) encode(b []byte, c *counter) []byte {
	b = appendInt(b, c.used)
	b = appendInt(b, c.warned)
	return appendPots(b, c.pots)
}

func (creditsKind) decode(d *decoder, c *counter) {
	c.used, c.warned = d.int(), d.int()
	c.pots = d.pots()
}
