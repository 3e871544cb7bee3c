package ratelimit

// Pace: at least Span milliseconds between one message and the next. The
// counter keeps the slots that are taken, not a time until which nothing may
// go: a new spacing holds at once, and when the last slots are given back, in
// whatever order, the place is free again.
//
// Every slot carries a fraction, a hash of its reservation's id. The spacing
// after it is Span plus that fraction of Jitter: never less than Span, never
// more than Span+Jitter, and the same for whoever asks.

import (
	"cmp"
	"slices"
)

// keptSlots is how many slots of the past a pace remembers at most, so that
// they can be given back in any order.
const keptSlots = 32

// A slot is a time taken by n messages; the batch goes at that time and takes
// n spacings.
type slot struct {
	at, n int64
	frac  uint16
}

type paceKind struct{ plain }

func (paceKind) earliest(m *demand, at int64) int64 {
	if m.placed {
		return m.ctr.paceGap(m.claim, slot{n: m.cost, frac: fraction(m.id)}, at)
	}
	return max(at, m.ctr.paceNext(m.claim))
}

func (paceKind) use(m *demand, _ int64, u *Use) {
	if next := m.ctr.paceNext(m.claim); next > m.now {
		u.Resets = next
	}
}

func (paceKind) charge(m *demand, cl *Claim, at int64, _ *charge) bool {
	c := m.ctr
	c.prunePace(cl, m.now)
	c.span = cl.Span + cl.Jitter // for the sweep
	c.addSlot(slot{at: at, n: cl.Cost, frac: fraction(m.id)})
	return true
}

func (paceKind) refund(c *counter, ch *charge, _ func(string) *record) {
	i, ok := slices.BinarySearchFunc(c.slots, ch.at, func(s slot, at int64) int {
		return cmp.Compare(s.at, at)
	})
	if !ok {
		return
	}
	if c.slots[i].n -= ch.cost; c.slots[i].n <= 0 {
		c.slots = slices.Delete(c.slots, i, i+1)
	}
}

func (paceKind) merge(c, o *counter) {
	for _, s := range o.slots {
		c.addSlot(s)
	}
	c.span = max(c.span, o.span)
}

func (paceKind) over(c *counter, at int64) bool {
	if len(c.slots) == 0 {
		return true
	}
	_, end := c.lastEnd(&Claim{Span: c.span})
	return c.span > 0 && end <= at // without a span: from a file that did not note it
}

func (paceKind) bringBack(c *counter, high, now int64) {
	slots := c.slots
	c.slots = nil
	for _, s := range slots {
		s.at = broughtBack(s.at, high, now)
		c.addSlot(s)
	}
}

func (paceKind) encode(b []byte, c *counter) []byte {
	b = appendInt(b, c.span)
	return appendSlots(b, c.slots)
}

func (paceKind) decode(d *decoder, c *counter) {
	c.span = max(d.int(), 0)
	c.slots = d.slots()
}

// ends returns when the next message may follow.
func (s *slot) ends(cl *Claim) int64 {
	space := cl.Span + cl.Jitter*int64(s.frac)>>16
	if space > 0 && s.n > (forever-s.at)/space {
		return forever
	}
	return s.at + s.n*space
}

// paceNext returns the next free slot; 0 when nothing was counted. A batch may
// end after slots that follow it: those of another account that was merged, or
// of messages that a shadow let go.
func (c *counter) paceNext(cl *Claim) int64 {
	_, next := c.lastEnd(cl)
	return next
}

// paceGap returns the first time, not before at, that has room for a slot before
// those that follow: for who has a place in the queue already.
func (c *counter) paceGap(cl *Claim, own slot, at int64) int64 {
	if c == nil {
		return at
	}
	own.at = at
	for i := range c.slots {
		s := &c.slots[i]
		if own.at < s.at && own.ends(cl) <= s.at {
			break
		}
		own.at = max(own.at, s.ends(cl))
	}
	return own.at
}

// lastEnd returns which slot ends last, and when.
func (c *counter) lastEnd(cl *Claim) (i int, end int64) {
	if c == nil {
		return 0, 0
	}
	for j := range c.slots {
		if e := c.slots[j].ends(cl); e >= end {
			i, end = j, e
		}
	}
	return i, end
}

func (c *counter) addSlot(s slot) {
	i := len(c.slots)
	for i > 0 && c.slots[i-1].at > s.at {
		i--
	}
	if i > 0 && c.slots[i-1].at == s.at {
		same := &c.slots[i-1]
		same.n += s.n
		same.frac = max(same.frac, s.frac)
		return
	}
	c.slots = slices.Insert(c.slots, i, s)
}

// prunePace forgets slots that no longer keep anyone back, but never the one
// that ends last, nor the latest of the past: another pace may reach that far.
func (c *counter) prunePace(cl *Claim, now int64) {
	past := 0
	for past < len(c.slots) && c.slots[past].at <= now {
		past++
	}
	if past == 0 {
		return
	}
	last, _ := c.lastEnd(cl)
	kept := c.slots[:0]
	for i, s := range c.slots {
		if i >= past-1 || i == last || past-i <= keptSlots && s.ends(cl) > now {
			kept = append(kept, s)
		}
	}
	c.slots = kept
}

// fraction hashes a reservation's id (FNV-1a, folded), so that any store
// gives one id the same jitter.
func fraction(id string) uint16 {
	h := uint32(2166136261)
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	h ^= h >> 15
	h *= 0x2c1b3c6d
	return uint16(h>>16) ^ uint16(h)
}
