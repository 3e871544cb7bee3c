package ratelimit

// The evaluator: from what is counted and what is asked to a decision, with
// no I/O and no clock of its own. Every store decides by it.

import "math"

const (
	// never is the earliest time of what no passing of time will allow.
	never int64 = -1
	// forever is a time later than all others, far from overflow.
	forever int64 = math.MaxInt64 / 4
)

// A situation is everything that a decision depends on.
type situation struct {
	now     int64
	arrived int64
	// from is the slot of a booking that is decided again: whoever waits for
	// it comes no earlier. 0 for a request.
	from int64
	// hold is the account's, nil when none is active.
	hold *Hold
	// queue has the account's bookings; nil when there are none.
	queue   *queue
	demands []demand
}

// A demand is what all the claims of a request on one counter ask of it, and
// what the evaluator found.
type demand struct {
	claim  *Claim // the first of them
	record *record
	ctr    *counter // nil when nothing was counted
	cost   int64
	wait   int64 // the shortest of theirs

	// at is the time at which this demand has room by itself, as far as it
	// was asked for; 0 when it always had.
	at    int64
	short bool
	warn  bool
}

// decide finds the earliest time at which every demand has room, and answers
// by the laws of waiting and booking. It changes nothing but the findings in
// s.demands. The result has no Uses yet.
func decide(s *situation) Decision {
	d := Decision{Now: s.now, Fits: -1}
	slot := s.now
	var patience int64 // how long the message may be held at all
	for i := range s.demands {
		if m := &s.demands[i]; !m.claim.Shadow {
			patience = max(patience, m.wait)
		}
	}
	var heldUntil int64
	if s.hold != nil {
		d.Why = s.hold.Why
		if heldUntil = s.hold.Until; heldUntil == 0 {
			d.Verdict, d.Limit = Refused, PausedLimit
			s.lookAtShadows(slot)
			return d
		}
		slot = max(slot, heldUntil)
	}

	slot, stuck := s.settle(slot)
	if stuck == nil && slot < s.from {
		slot, stuck = s.settle(s.from)
	}
	if stuck != nil {
		d.Verdict, d.Limit, d.Key, d.Why = Refused, stuck.claim.Limit, stuck.claim.Key, ""
		d.Fits = stuck.fits()
		s.lookAtShadows(s.now)
		return d
	}
	d.At = slot
	if slot == s.now {
		d.Verdict = Go
		s.lookAtShadows(slot)
		return d
	}

	// furthest is the latest of all that lack room, late the latest of those
	// that will not have it within their wait.
	var furthest, late *demand
	furthestAt, lateAt := heldUntil, int64(0)
	if heldUntil-s.arrived > patience {
		lateAt = heldUntil
	}
	keyed, keeps := false, true
	for i := range s.demands {
		m := &s.demands[i]
		if m.claim.Measure == Calendar && m.cost > 0 && !m.claim.Shadow {
			keeps = keeps && m.ctr.calendarKeeps(m.claim, slot, s.now)
		}
		if !m.short {
			continue
		}
		keyed = keyed || m.claim.Key != ""
		if m.at > furthestAt {
			furthest, furthestAt = m, m.at
		}
		if m.at-s.arrived > m.wait && m.at > lateAt {
			late, lateAt = m, m.at
		}
	}
	decider := furthest
	switch {
	case lateAt > 0:
		d.Verdict, decider = Refused, late
	case keyed || !keeps:
		d.Verdict = Later
	default:
		d.Verdict = Booked
	}
	if decider == nil {
		d.Limit = PausedLimit
	} else {
		d.Limit, d.Key, d.Why = decider.claim.Limit, decider.claim.Key, ""
	}
	if d.Verdict == Booked {
		s.lookAtShadows(slot)
	} else {
		s.lookAtShadows(s.now)
	}
	return d
}

// settle moves a slot on until all demands have room, and returns it, or the
// demand that never will. It ends because every measure but Calendar keeps
// the room it once has, and a Calendar's windows come to an end.
func (s *situation) settle(slot int64) (int64, *demand) {
	for {
		next := slot
		for i := range s.demands {
			m := &s.demands[i]
			if m.claim.Shadow || m.cost == 0 {
				continue
			}
			t := m.earliest(slot)
			if t == never {
				m.short = true
				return 0, m
			}
			if m.claim.Key == "" {
				t = max(t, s.queue.tail(m.claim))
			}
			if t > slot {
				m.short, m.at = true, t
				next = max(next, t)
			}
		}
		if next == slot {
			return slot, nil
		}
		slot = next
	}
}

// lookAtShadows says of the limits that do not decide whether they had room.
func (s *situation) lookAtShadows(slot int64) {
	for i := range s.demands {
		if m := &s.demands[i]; m.claim.Shadow && m.cost > 0 {
			m.short = m.earliest(slot) != slot
		}
	}
}

// earliest returns the first time, not before slot, at which the demand has
// room by itself, as far as slot's own window tells; or never.
func (m *demand) earliest(slot int64) int64 {
	cl := m.claim
	switch cl.Measure {
	case Calendar:
		return m.ctr.calendarEarliest(cl, m.cost, slot)
	case Rolling:
		return m.ctr.rollingEarliest(cl, m.cost, slot)
	case Lifetime:
		if m.lifetimeUsed()+m.cost > cl.Allow {
			return never
		}
		return slot
	default:
		return max(slot, m.ctr.paceNext(cl))
	}
}

func (m *demand) lifetimeUsed() int64 {
	if m.ctr == nil {
		return 0
	}
	return m.ctr.used
}

// fits returns how many units of a demand that never has room would.
func (m *demand) fits() int64 {
	left := m.claim.Allow
	if m.claim.Measure == Lifetime {
		left -= m.lifetimeUsed()
	}
	return max(left, 0)
}

// use describes the demand's counter at a time.
func (m *demand) use(at, now int64) Use {
	cl := m.claim
	u := Use{Limit: cl.Limit, Key: cl.Key, Allow: cl.Allow, Short: m.short, Warn: m.warn, Shadow: cl.Shadow}
	switch cl.Measure {
	case Calendar:
		if t, known := m.ctr.calendarAt(&cl.Windows, at); known {
			u.Used, u.Resets = t.used, t.end
		}
	case Rolling:
		u.Used, u.Resets = m.ctr.rollingUsed(cl.Span, at), m.ctr.rollingOldest(cl.Span, at)
	case Lifetime:
		u.Used = m.lifetimeUsed()
	case Pace:
		if next := m.ctr.paceNext(cl); next > now {
			u.Resets = next
		}
	}
	return u
}

// take charges a claim at a slot and returns what undoes it. The counter is
// the demand's; a Calendar that cannot keep the slot's window (only a shadow
// comes that far) charges nothing.
func (m *demand) take(cl *Claim, at, now int64, id string) (charge, bool) {
	c := m.ctr
	ch := charge{
		key: cl.Key, limit: cl.Limit, unit: c.unit, measure: cl.Measure,
		item: cl.Item, cost: cl.Cost, at: at, bound: m.short && !cl.Shadow,
	}
	warn := false
	switch cl.Measure {
	case Calendar:
		if !c.calendarKeeps(cl, at, now) {
			return ch, false
		}
		ch.label, warn = c.chargeCalendar(cl, cl.Cost, at, now)
	case Rolling:
		ch.at, warn = c.chargeRolling(cl, cl.Cost, at, now)
	case Lifetime:
		if crosses(cl.WarnAt, c.used, cl.Cost) && c.warned == 0 {
			warn, c.warned = true, 1
		}
		c.used += cl.Cost
	case Pace:
		c.chargePace(cl, cl.Cost, at, now, fraction(id))
	}
	ch.warned, m.warn = warn, m.warn || warn
	return ch, true
}

// crosses reports whether taking cost brings used to the mark or past it.
func crosses(mark, used, cost int64) bool {
	return mark > 0 && used < mark && mark <= used+cost
}
