package ratelimit

// Distinct: as Calendar, Rolling and Lifetime, but counting recipients. A
// counter remembers every message as a sight of its recipient, so that giving
// one back leaves what the others are worth, in whatever order: a recipient
// counts while any of them does. Of one recipient it keeps the latest few; older
// ones count from the next of them, which is never too little.

import (
	"cmp"
	"slices"
	"strings"
)

// A sight is n messages to a recipient: in a civil window (at is 0), or at a
// time.
type sight struct {
	who   string
	at, n int64
}

// keptSights is how many times are kept of one recipient.
const keptSights = 8

func compareSights(a, b sight) int {
	if c := strings.Compare(a.who, b.who); c != 0 {
		return c
	}
	return cmp.Compare(a.at, b.at)
}

func addSight(seen []sight, s sight) []sight {
	i, ok := slices.BinarySearchFunc(seen, s, compareSights)
	if ok {
		seen[i].n += s.n
		return seen
	}
	seen = slices.Insert(seen, i, s)
	from, to := run(seen, i)
	if to-from > keptSights {
		seen[from+1].n += seen[from].n
		seen = slices.Delete(seen, from, from+1)
	}
	return seen
}

// run returns the sights of the recipient of the i-th: [from, to).
func run(seen []sight, i int) (from, to int) {
	from, to = i, i+1
	for from > 0 && seen[from-1].who == seen[i].who {
		from--
	}
	for to < len(seen) && seen[to].who == seen[i].who {
		to++
	}
	return from, to
}

// removeSight gives one message back; at an earlier time than any that is
// kept, the earliest that is.
func removeSight(seen []sight, who string, at, n int64) []sight {
	i, ok := slices.BinarySearchFunc(seen, sight{who: who, at: at}, compareSights)
	if !ok && (i == len(seen) || seen[i].who != who) {
		return seen
	}
	if seen[i].n -= n; seen[i].n <= 0 {
		seen = slices.Delete(seen, i, i+1)
	}
	return seen
}

func mergeSights(a, b []sight) []sight {
	for _, s := range b {
		a = addSight(a, s)
	}
	return a
}

// countSeen is how many recipients there are.
func countSeen(seen []sight) (n int64) {
	for i := range seen {
		if i == 0 || seen[i].who != seen[i-1].who {
			n++
		}
	}
	return n
}

func hasSeen(seen []sight, who string) bool {
	i, _ := slices.BinarySearchFunc(seen, sight{who: who}, compareSights)
	return i < len(seen) && seen[i].who == who
}

// renameSeen lets what one recipient counted count for another.
func renameSeen(seen []sight, from, to string) []sight {
	i, _ := slices.BinarySearchFunc(seen, sight{who: from}, compareSights)
	if i == len(seen) || seen[i].who != from {
		return seen
	}
	_, end := run(seen, i)
	moved := slices.Clone(seen[i:end])
	seen = slices.Delete(seen, i, end)
	for _, s := range moved {
		s.who = to
		seen = addSight(seen, s)
	}
	return seen
}

// newcomers is how many of the demand's recipients are not among those seen.
func (m *demand) newcomers(seen []sight) (n int64) {
	for _, who := range m.recipients() {
		if !hasSeen(seen, who) {
			n++
		}
	}
	return n
}

type distinctCalendar struct{ calendarKind }

func (distinctCalendar) earliest(m *demand, at int64) int64 {
	for {
		w, known := m.ctr.calendarAt(m.claim.Windows, at)
		news := m.newcomers(w.seen)
		if news == 0 {
			return at
		}
		need, next := w.used+news, forever
		if need <= m.allowAt(at) {
			return at
		}
		if known {
			next = w.end
		}
		if when := m.allowWhen(need); when > at {
			next = min(next, when)
		}
		if next >= forever {
			return never
		}
		at = next
	}
}

func (distinctCalendar) fits(m *demand, _ int64) int64 { return m.most() }

func (distinctCalendar) use(m *demand, at int64, u *Use) {
	if t, known := m.ctr.calendarAt(m.claim.Windows, at); known {
		u.Used, u.Resets = t.used, t.end
	}
	u.Allow = m.allowAt(at)
}

func (distinctCalendar) charge(m *demand, cl *Claim, at int64, ch *charge) bool {
	w := m.ctr.turn(cl.Windows, at, m.now)
	if w == nil {
		return false
	}
	ch.label, ch.cost = w.label, 1
	used := w.used
	w.seen = addSight(w.seen, sight{who: cl.Recipient, n: 1})
	w.used = countSeen(w.seen)
	if crosses(cl.WarnAt, used, w.used-used) && !w.warned {
		ch.warned, w.warned = true, true
	}
	return true
}

func (distinctCalendar) refund(c *counter, ch *charge, _ func(string) *record) {
	for i := range c.wins {
		if w := &c.wins[i]; w.label == ch.label {
			w.seen = removeSight(w.seen, ch.recipient, 0, 1)
			w.used = countSeen(w.seen)
			w.warned = w.warned && !ch.warned
			return
		}
	}
}

func (distinctCalendar) same(c *counter, from, to string) {
	for i := range c.wins {
		w := &c.wins[i]
		w.seen = renameSeen(w.seen, from, to)
		w.used = countSeen(w.seen)
	}
}

func (distinctCalendar) encode(b []byte, c *counter) []byte {
	for i := range c.wins {
		b = appendTally(b, &c.wins[i])
		b = appendSights(b, c.wins[i].seen)
	}
	return b
}

func (distinctCalendar) decode(d *decoder, c *counter) {
	for i := range c.wins {
		d.tally(&c.wins[i])
		c.wins[i].seen = d.sights()
	}
}

type distinctRolling struct{ plain }

// others are the latest times of the recipients that the demand does not name,
// as far as they count at a time, sorted; how many of its own do not count, and
// when the first of those that do will not.
func (m *demand) others(own []string, at int64) (latest []int64, news, until int64) {
	news, until = int64(len(own)), forever
	if m.ctr == nil {
		return nil, news, until
	}
	after := at - m.claim.Span
	seen := m.ctr.seen
	for i := range seen {
		if i+1 < len(seen) && seen[i+1].who == seen[i].who || seen[i].at <= after {
			continue
		}
		if slices.Contains(own, seen[i].who) {
			news--
			until = min(until, seen[i].at+m.claim.Span)
		} else {
			latest = append(latest, seen[i].at)
		}
	}
	slices.Sort(latest)
	return latest, news, until
}

func (distinctRolling) earliest(m *demand, at int64) int64 {
	own := m.recipients()
	for {
		latest, news, until := m.others(own, at)
		// Who counts already takes no more room: unless it would now count
		// beside one that is booked for when it would have counted no more.
		if news == 0 && (len(latest) == 0 || latest[len(latest)-1] < until) {
			return at
		}
		// At the time that is looked for, all its own are newcomers or still
		// count: they take a place each.
		need := int64(len(latest) + len(own))
		if need <= m.allowAt(at) {
			return at
		}
		next := forever
		if excess := need - m.claim.Allow; excess > 0 { // so many must leave, whatever grows
			if excess <= int64(len(latest)) {
				next = latest[excess-1] + m.claim.Span
			}
		} else {
			if len(latest) > 0 {
				next = latest[0] + m.claim.Span
			}
			if when := m.allowWhen(need); when > at {
				next = min(next, when)
			}
		}
		if next >= forever {
			return never
		}
		at = next
	}
}

func (distinctRolling) fits(m *demand, _ int64) int64 { return m.most() }

func (distinctRolling) use(m *demand, at int64, u *Use) {
	u.Allow = m.allowAt(at)
	if m.ctr == nil {
		return
	}
	span, seen := m.claim.Span, m.ctr.seen
	for i := range seen {
		if (i+1 == len(seen) || seen[i+1].who != seen[i].who) && seen[i].at > at-span {
			u.Used++
			u.Resets = earlier(u.Resets, seen[i].at+span)
		}
	}
}

func (distinctRolling) charge(m *demand, cl *Claim, at int64, ch *charge) bool {
	c := m.ctr
	c.seen = slices.DeleteFunc(c.seen, func(s sight) bool { return s.at <= m.now-cl.Span })
	c.span = cl.Span
	var before, after Use
	distinctRolling{}.use(m, at, &before)
	c.seen = addSight(c.seen, sight{cl.Recipient, at, 1})
	distinctRolling{}.use(m, at, &after)
	ch.cost = 1
	if crosses(cl.WarnAt, before.Used, after.Used-before.Used) && c.warned <= at-cl.Span {
		ch.warned, c.warned = true, at
	}
	return true
}

func (distinctRolling) refund(c *counter, ch *charge, _ func(string) *record) {
	c.seen = removeSight(c.seen, ch.recipient, ch.at, 1)
	if ch.warned && c.warned == ch.at {
		c.warned = 0
	}
}

func (distinctRolling) merge(c, o *counter) {
	c.seen = mergeSights(c.seen, o.seen)
	c.span, c.warned = max(c.span, o.span), max(c.warned, o.warned)
}

func (distinctRolling) same(c *counter, from, to string) { c.seen = renameSeen(c.seen, from, to) }

func (distinctRolling) over(c *counter, at int64) bool {
	for i := range c.seen {
		if c.seen[i].at+c.span > at {
			return false
		}
	}
	return c.warned == 0 || c.warned+c.span <= at
}

func (distinctRolling) bringBack(c *counter, high, now int64) {
	seen := c.seen
	c.seen = nil
	for _, s := range seen {
		s.at = broughtBack(s.at, high, now)
		c.seen = addSight(c.seen, s)
	}
	c.warned = broughtBack(c.warned, high, now)
}

func (distinctRolling) encode(b []byte, c *counter) []byte {
	b = appendInt(b, c.span)
	b = appendInt(b, c.warned)
	return appendSights(b, c.seen)
}

func (distinctRolling) decode(d *decoder, c *counter) {
	c.span, c.warned = d.int(), d.int()
	c.seen = d.sights()
}
