package ratelimit

// Calendar: so many within a civil window. The caller computes the windows in
// the account's time zone, the store's clock chooses among them, and the
// counter remembers the windows it has charged with their bounds:
//
//   - While a remembered window contains a time, it is the window of that
//     time, whatever the caller computes: a new time zone takes effect at the
//     next boundary.
//   - A window whose label is not newer than a remembered one is that one,
//     prolonged: no window is ever opened twice. Labels of one unit sort in
//     the order of time.

// What the pots of the limit paid is not in the windows: see pots.go.

// A tally is one civil window and what was used in it.
type tally struct {
	label      string
	start, end int64
	used       int64
	warned     bool
	seen       []sight // Distinct: the recipients, sorted; used is how many
}

type calendarKind struct{ plain }

func (calendarKind) earliest(m *demand, at int64) int64 {
	if m.simple() {
		return m.ctr.calendarEarliest(m.claim, m.cost, at)
	}
	return m.firstRoom(at, func(t int64) (used, next int64) {
		w, known := m.ctr.calendarAt(m.claim.Windows, t)
		if !known {
			return 0, forever
		}
		return w.used, w.end
	})
}

func (calendarKind) keeps(m *demand, at int64) bool { return m.ctr.calendarKeeps(m.claim, at, m.now) }

func (calendarKind) fits(m *demand, at int64) int64 {
	return m.most() + m.potsFree(at)
}

func (calendarKind) use(m *demand, at int64, u *Use) {
	if t, known := m.ctr.calendarAt(m.claim.Windows, at); known {
		u.Used, u.Resets = t.used, t.end
	}
	m.allowance(at, u)
}

func (calendarKind) charge(m *demand, cl *Claim, at int64, ch *charge) bool {
	w := m.ctr.turn(cl.Windows, at, m.now)
	if w == nil {
		return false
	}
	ch.label = w.label
	rest := m.pay(cl, at, ch, max(m.allowAt(at)-w.used, 0), w.end)
	if crosses(cl.WarnAt, w.used, rest) && !w.warned {
		ch.warned, w.warned = true, true
	}
	w.used += rest
	return true
}

func (calendarKind) refund(c *counter, ch *charge, _ func(string) *record) {
	c.unpay(ch)
	for i := range c.wins {
		if w := &c.wins[i]; w.label == ch.label {
			w.used = max(w.used-ch.unpaid(), 0)
			w.warned = w.warned && !ch.warned
			return
		}
	}
}

// merge adds window to window by label, and keeps the two newest.
func (calendarKind) merge(c, o *counter) {
	for _, w := range o.wins {
		if w.label != "" {
			c.addTally(w)
		}
	}
	c.mergePots(o)
}

func (calendarKind) over(c *counter, at int64) bool {
	return c.windowsOver(at) && c.potsOver(at)
}

func (c *counter) windowsOver(at int64) bool {
	for i := range c.wins {
		if c.wins[i].label != "" && c.wins[i].end > at {
			return false
		}
	}
	return true
}

func (calendarKind) bringBack(c *counter, _, now int64) { c.bringBackCalendar(now) }

func (calendarKind) encode(b []byte, c *counter) []byte {
	for i := range c.wins {
		b = appendTally(b, &c.wins[i])
	}
	return appendPots(b, c.pots)
}

func (calendarKind) decode(d *decoder, c *counter) {
	for i := range c.wins {
		d.tally(&c.wins[i])
	}
	c.pots = d.pots()
}

func (t *tally) contains(at int64) bool {
	return t.label != "" && t.start <= at && at < t.end
}

// calendarAt returns the window of a time, and whether it is known: a time
// after every window that the caller gave has none, and nothing was charged
// there. c may be nil.
func (c *counter) calendarAt(given *[3]Window, at int64) (tally, bool) {
	if c != nil {
		for i := range c.wins {
			if c.wins[i].contains(at) {
				return c.wins[i], true
			}
		}
	}
	for i := range given {
		g := &given[i]
		if at < g.Start || at >= g.End {
			continue
		}
		t := tally{label: g.Label, start: g.Start, end: g.End}
		if c == nil {
			return t, true
		}
		for j := len(c.wins) - 1; j >= 0; j-- {
			w := &c.wins[j]
			if w.label == "" || w.start > at {
				continue
			}
			if w.label >= g.Label {
				t = *w
				t.end = g.End
			} else {
				t.start = max(t.start, w.end)
			}
			break
		}
		if next := &c.wins[1]; next.label != "" && next.start > at {
			t.end = min(t.end, next.start)
		}
		return t, true
	}
	return tally{}, false
}

// calendarEarliest returns the first time, not before at, at which cost more
// would fit as far as the window of at tells, and never when none will.
func (c *counter) calendarEarliest(cl *Claim, cost, at int64) int64 {
	if cost > cl.Allow {
		return never
	}
	t, known := c.calendarAt(cl.Windows, at)
	if !known || t.used+cost <= cl.Allow {
		return at
	}
	return t.end
}

// calendarKeeps reports whether the counter can remember a charge at that
// time: only the window of now and the one after it are kept.
func (c *counter) calendarKeeps(cl *Claim, at, now int64) bool {
	t, known := c.calendarAt(cl.Windows, at)
	if !known {
		return false
	}
	if c == nil || t.start <= now {
		return true
	}
	next := &c.wins[1]
	return next.label == "" || next.start <= now || next.label == t.label
}

// turn brings the windows up to now and returns that of a time, to be put back
// by keepTally. It is nil for one that is forgotten already.
func (c *counter) turn(given *[3]Window, at, now int64) *tally {
	t, known := c.calendarAt(given, at)
	if !known {
		return nil
	}
	if c.wins[1].label != "" && c.wins[1].start <= now {
		c.wins[0], c.wins[1] = c.wins[1], tally{}
	}
	if c.wins[0].start > now { // after a merge
		c.wins[0], c.wins[1] = tally{}, c.wins[0]
	}
	w := &c.wins[1]
	if t.label == c.wins[0].label || t.start <= now {
		w = &c.wins[0]
		if t.label < w.label { // one before it, to which something is restored
			return nil
		}
	}
	*w = t
	return w
}

func (c *counter) addTally(w tally) {
	for i := range c.wins {
		m := &c.wins[i]
		if m.label == w.label {
			m.used += w.used
			m.start, m.end = min(m.start, w.start), max(m.end, w.end)
			m.warned = m.warned || w.warned
			if len(m.seen)+len(w.seen) > 0 {
				m.seen = mergeSights(m.seen, w.seen)
				m.used = countSeen(m.seen)
			}
			return
		}
	}
	first, second := &c.wins[0], &c.wins[1]
	switch {
	case first.label == "":
		*first = w
	case second.label == "" && w.label > first.label:
		*second = w
	case second.label == "":
		*first, *second = w, *first
	case w.label > second.label:
		*first, *second = *second, w
	case w.label > first.label:
		*first = w
	}
}
