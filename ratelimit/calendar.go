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

// A tally is one civil window and what was used in it.
type tally struct {
	label      string
	start, end int64
	used       int64
	warned     bool
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
	t, known := c.calendarAt(&cl.Windows, at)
	if !known || t.used+cost <= cl.Allow {
		return at
	}
	return t.end
}

// calendarKeeps reports whether the counter can remember a charge at that
// time: only the window of now and the one after it are kept.
func (c *counter) calendarKeeps(cl *Claim, at, now int64) bool {
	t, known := c.calendarAt(&cl.Windows, at)
	if !known {
		return false
	}
	if c == nil || t.start <= now {
		return true
	}
	next := &c.wins[1]
	return next.label == "" || next.start <= now || next.label == t.label
}

// chargeCalendar charges the window of a time and returns its label.
func (c *counter) chargeCalendar(cl *Claim, cost, at, now int64) (label string, warn bool) {
	t, _ := c.calendarAt(&cl.Windows, at)
	if c.wins[1].label != "" && c.wins[1].start <= now {
		c.wins[0], c.wins[1] = c.wins[1], tally{}
	}
	if c.wins[0].start > now { // after a merge
		c.wins[0], c.wins[1] = tally{}, c.wins[0]
	}
	if crosses(cl.WarnAt, t.used, cost) && !t.warned {
		warn, t.warned = true, true
	}
	t.used += cost
	switch {
	case t.label == c.wins[0].label || t.start <= now:
		c.wins[0] = t
	default:
		c.wins[1] = t
	}
	return t.label, warn
}

func (c *counter) refundCalendar(ch *charge) {
	for i := range c.wins {
		if w := &c.wins[i]; w.label == ch.label {
			w.used = max(w.used-ch.cost, 0)
			w.warned = w.warned && !ch.warned
			return
		}
	}
}

// mergeCalendar adds window to window by label, and keeps the two newest.
func (c *counter) mergeCalendar(o *counter) {
	for _, w := range o.wins {
		if w.label != "" {
			c.addTally(w)
		}
	}
}

func (c *counter) addTally(w tally) {
	for i := range c.wins {
		m := &c.wins[i]
		if m.label == w.label {
			m.used += w.used
			m.start, m.end = min(m.start, w.start), max(m.end, w.end)
			m.warned = m.warned || w.warned
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
