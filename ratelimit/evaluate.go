package ratelimit

// The evaluator: from what is counted and what is asked to a decision, with
// no I/O and no clock of its own. Every store decides by it.

const (
	// never is the earliest time of what no passing of time will allow.
	never int64 = -1
	// forever is a time later than all others (the year 144,683): far from
	// overflow, and exact where all numbers are doubles, as in Redis.
	forever int64 = 1 << 52
)

// A situation is everything that a decision depends on.
type situation struct {
	now     int64
	arrived int64
	// from is the slot of a booking that is decided again: whoever waits for
	// it comes no earlier. 0 for a request.
	from int64
	// place is that of a message that has one in the queue already; 0 is the
	// end.
	place uint64
	// halt is what keeps the account, its services and its recipients.
	halt    halt
	demands []demand
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
	heldUntil := s.halt.until
	if heldUntil > 0 {
		d.Key, d.Why = s.halt.key, s.halt.why
		if heldUntil == forever {
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
		d.Fits = stuck.kind.fits(stuck, s.now)
		s.lookAtShadows(s.now)
		return d
	}
	d.At = slot
	if slot == s.now {
		d.Verdict, d.Key, d.Why = Go, "", ""
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
	keyed, keeps := s.halt.keyed, true
	for i := range s.demands {
		m := &s.demands[i]
		if m.cost > 0 && !m.claim.Shadow {
			keeps = keeps && m.kind.keeps(m, slot)
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
// demand that never will. It ends because what takes away room that there once
// was comes to an end: a Calendar's windows, pots, open times.
func (s *situation) settle(slot int64) (int64, *demand) {
	for {
		next := slot
		for i := range s.demands {
			m := &s.demands[i]
			if m.claim.Shadow || m.cost == 0 {
				continue
			}
			t := m.kind.earliest(m, slot)
			if t == never {
				m.short = true
				return 0, m
			}
			if m.claim.Key == "" {
				t = max(t, m.queue.tail(m, s.place))
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
			m.short = m.kind.earliest(m, slot) != slot
		}
	}
}

// describe is the state of the demand's counter at a time.
func (m *demand) describe(at int64, u *Use) {
	cl := m.claim
	*u = Use{Limit: cl.Limit, Key: cl.Key, Allow: cl.Allow, Short: m.short, Warn: m.warn, Shadow: cl.Shadow}
	m.kind.use(m, at, u)
}

// take charges a claim at a slot and says in ch what undoes it. The counter is
// the demand's; one that cannot keep the slot (only a shadow comes that far)
// charges nothing.
func (m *demand) take(cl *Claim, at int64, ch *charge) bool {
	*ch = charge{
		scope: cl.Scope, key: cl.Key, limit: cl.Limit, unit: cl.unit(), measure: cl.measure(),
		item: cl.Item, cost: cl.Cost, at: at, bound: m.short && !cl.Shadow,
	}
	if cl.Distinct || cl.Returned > 0 || cl.Measure >= Unanswered && cl.Measure <= Ratio {
		ch.recipient = cl.Recipient
	}
	if !m.kind.keeps(m, at) || !m.kind.charge(m, cl, at, ch) {
		return false
	}
	if c := m.ctr; c != nil {
		// Each charge of the first slot: the last of them to be given back
		// leaves a counter that was never charged.
		ch.first = c.first == 0 || c.first == at
		c.first = earlier(c.first, at)
	}
	m.warn = m.warn || ch.warned
	return true
}

// crosses reports whether taking cost brings used to the mark or past it.
func crosses(mark, used, cost int64) bool {
	return mark > 0 && used < mark && mark <= used+cost
}
