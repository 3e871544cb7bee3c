package ratelimit

// Allowances that grow: from a counter's first charge (a Claim's Ramp), and
// after a hold with a ramp has ended. Remembered are the counter's first slot
// and the ended hold; what is allowed at a time is computed.

// maxExact bounds the products below to what a script in Redis computes
// exactly: its numbers are doubles.
const maxExact = 1 << 52

// coarser halves a ramp's time until its products stay below maxExact: it
// counts in steps of 1, 2, 4 … ms.
func coarser(height, over int64) (rough, step int64) {
	step = 1
	for height > maxExact/over {
		over, step = (over+1)/2, step*2
	}
	return over, step
}

// ramped is what is allowed after some time of a ramp.
func ramped(allow, from, elapsed, over int64) int64 {
	elapsed = max(elapsed, 0)
	if from >= allow || elapsed >= over {
		return allow
	}
	rough, step := coarser(allow-from, over)
	return from + (allow-from)*(elapsed/step)/rough
}

// rampedAfter is how much of a ramp must have passed for need to be allowed;
// need is at most allow.
func rampedAfter(allow, from, need, over int64) int64 {
	if need <= from || from >= allow {
		return 0
	}
	rough, step := coarser(allow-from, over)
	n := (need - from) * rough
	elapsed := n / (allow - from)
	if n%(allow-from) > 0 {
		elapsed++
	}
	return min(elapsed*step, over)
}

// allowAt is the demand's allowance at a slot.
func (m *demand) allowAt(at int64) int64 {
	cl := m.claim
	allow := cl.Allow
	if cl.Ramp.Over > 0 {
		allow = ramped(cl.Allow, cl.Ramp.From, at-earlier(m.began(), at), cl.Ramp.Over)
	}
	if m.wide != nil {
		for i := range m.wide.holds {
			if h := &m.wide.holds[i]; h.growsBack() {
				allow = min(allow, max(ramped(cl.Allow, 0, at-h.Until, h.Ramp), min(cl.Allow, 1)))
			}
		}
	}
	return allow
}

// allowWhen is when the allowance reaches need; forever where it never does.
func (m *demand) allowWhen(need int64) (at int64) {
	cl := m.claim
	if need > cl.Allow {
		return forever
	}
	if cl.Ramp.Over > 0 {
		wait := rampedAfter(cl.Allow, cl.Ramp.From, need, cl.Ramp.Over)
		if wait > 0 && m.began() == 0 {
			return forever // it begins with the first charge, which there will not be
		}
		at = m.began() + wait
	}
	if m.wide != nil {
		for i := range m.wide.holds {
			if h := &m.wide.holds[i]; h.growsBack() && need > 1 {
				at = max(at, h.Until+rampedAfter(cl.Allow, 0, need, h.Ramp))
			}
		}
	}
	return at
}

// most is what is ever allowed, as far as is known: a ramp that has not begun
// does not grow by waiting.
func (m *demand) most() int64 {
	allow := m.claim.Allow
	if m.claim.Ramp.Over > 0 && m.began() == 0 {
		allow = min(allow, m.claim.Ramp.From)
	}
	return max(allow, 0)
}

// began is the counter's first slot; 0 when it was never charged.
func (m *demand) began() int64 {
	if m.ctr == nil {
		return 0
	}
	return m.ctr.first
}

// simple reports that the allowance is the claim's and nothing else pays.
func (m *demand) simple() bool {
	if m.claim.Ramp.Over > 0 || len(m.claim.Pots) > 0 {
		return false
	}
	if m.wide != nil {
		for i := range m.wide.gifts {
			if m.wide.gifts[i].Limit == m.claim.Limit {
				return false
			}
		}
		for i := range m.wide.holds {
			if m.wide.holds[i].growsBack() {
				return false
			}
		}
	}
	return true
}

// firstRoom goes from one time at which anything changes to the next until
// there is room. used tells what counts at a time, and when that next falls.
func (m *demand) firstRoom(at int64, used func(at int64) (n, falls int64)) int64 {
	for {
		n, next := used(at)
		free := m.potsFree(at)
		if free >= m.cost {
			return at
		}
		need := n + m.cost - free
		if m.allowAt(at) >= need {
			return at
		}
		if when := m.allowWhen(need); when > at {
			next = min(next, when)
		}
		if next = min(next, m.nextPot(at)); next >= forever {
			return never
		}
		at = next
	}
}
