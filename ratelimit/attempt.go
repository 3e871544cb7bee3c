package ratelimit

// One try: the records that a request's claims look at are found, it is
// decided, and charged if it may go or is booked.

import "slices"

// homeOf is the account that has the counters of a claim.
func homeOf(account, scope string) string {
	if scope != "" {
		return scope
	}
	return account
}

// canonClaims are the claims with recipients in place of the threads that
// stand for them.
func (g *engine) canonClaims(account string, claims []Claim) ([]Claim, error) {
	out, copied := claims, false
	for i := range claims {
		cl := &claims[i]
		if cl.Key == "" && cl.Recipient == "" {
			continue
		}
		key, recipient := cl.Key, cl.Recipient
		var err error
		if key != "" {
			if key, _, err = g.canonKey(account, key); err != nil {
				return nil, err
			}
		}
		switch {
		case recipient == cl.Key:
			recipient = key
		case recipient != "":
			if recipient, _, err = g.canonKey(account, recipient); err != nil {
				return nil, err
			}
		}
		if key == cl.Key && recipient == cl.Recipient {
			continue
		}
		if !copied {
			out, copied = slices.Clone(claims), true
		}
		out[i].Key, out[i].Recipient = key, recipient
	}
	return out, nil
}

// attempt decides a request, for a slot not before from and in its place, and
// charges it if it may go or is booked.
func (g *engine) attempt(account string, wide *record, r *Request, from int64, place uint64, now int64) (Decision, []charge, error) {
	claims, err := g.canonClaims(account, r.Claims)
	if err != nil {
		return Decision{}, nil, err
	}
	if err := g.survey(account, wide, r.ID, claims, now); err != nil {
		return Decision{}, nil, err
	}
	ds := g.demands
	if place > 0 && g.gaps {
		for i := range ds {
			ds[i].placed = true
		}
	}
	h, err := g.halted(account, wide, r, now)
	if err != nil {
		return Decision{}, nil, err
	}
	s := situation{now: now, arrived: now, from: from, place: place, halt: h, demands: ds}
	if r.Arrived > 0 && r.Arrived < now {
		s.arrived = r.Arrived
	}
	d := decide(&s)
	d.Account, d.Holds = account, h.all
	at := now
	var charges []charge
	if d.Verdict <= Booked && g.failed == nil {
		at = d.At
		if !r.Dry {
			if charges, err = g.charge(account, r.ID, claims, at, now); err != nil {
				return Decision{}, nil, err
			}
		}
	}
	d.Uses = make([]Use, len(ds))
	for i := range ds {
		ds[i].describe(at, &d.Uses[i])
		d.Uses[i].Key = r.Claims[ds[i].first].Key
	}
	if err, g.failed = g.failed, nil; err != nil {
		return Decision{}, nil, err
	}
	return d, charges, nil
}

// survey makes the demands of the claims, in g.demands.
func (g *engine) survey(account string, wide *record, id string, claims []Claim, now int64) error {
	g.demands, g.owner = gather(g.demands[:0], g.owner[:0], claims)
	g.slab = slices.Grow(g.slab[:0], len(claims))[:len(claims)]
	ds := g.demands
	allot(ds, g.owner, claims, g.slab)
	for i := range ds {
		m := &ds[i]
		m.id, m.now, m.eng = id, now, g
		m.account, m.home, m.wide = account, account, wide
		if m.claim.Scope != "" && m.claim.Scope != account {
			m.home = m.claim.Scope
			var err error
			if m.wide, err = g.shelf.load(m.home, ""); err != nil {
				return err
			}
		}
		m.queue = g.queues[m.home]
		m.record = m.wide
		if m.claim.Key != "" {
			var err error
			if m.record, err = g.shelf.load(m.home, m.claim.Key); err != nil {
				return err
			}
		}
		m.ctr = m.record.find(m.claim.Limit, m.claim.measure(), m.claim.unit())
	}
	return nil
}

// charge takes every claim's cost at a slot.
func (g *engine) charge(account, id string, claims []Claim, at, now int64) ([]charge, error) {
	ds := g.demands
	wide, err := g.shelf.load(account, "")
	if err != nil {
		return nil, err
	}
	if wide == nil {
		g.create(account, "")
	}
	for i := range ds {
		m := &ds[i]
		if m.cost == 0 || m.claim.Measure == Hours || m.claim.Measure == Concurrent {
			continue
		}
		// A demand before this one may have created what this one found missing.
		if m.wide, err = g.shelf.load(m.home, ""); err == nil && m.wide == nil {
			m.wide = g.create(m.home, "")
		}
		if m.record = m.wide; m.claim.Key != "" && err == nil {
			if m.record, err = g.shelf.load(m.home, m.claim.Key); err == nil && m.record == nil {
				m.record = g.create(m.home, m.claim.Key)
			}
		}
		if err != nil {
			return nil, err
		}
		if m.home != account && (m.claim.Key != "" || m.claim.Recipient != "") {
			if wide, _ := g.shelf.load(account, ""); wide.addScope(m.home) {
				g.shelf.touch(wide)
			}
		}
		m.record.ensure(m.claim.Limit, m.claim.measure(), m.claim.unit())
		g.shelf.touch(m.record)
	}
	charges := make([]charge, len(claims))
	n := 0
	for i := range claims {
		cl, m := &claims[i], &ds[g.owner[i]]
		if cl.Cost == 0 {
			continue
		}
		// The kind before may have made a counter beside this one: it has moved.
		m.ctr = m.record.find(cl.Limit, cl.measure(), cl.unit())
		if m.take(cl, at, &charges[n]) {
			n++
		}
	}
	for i := range ds {
		m := &ds[i]
		m.ctr = m.record.find(m.claim.Limit, m.claim.measure(), m.claim.unit())
	}
	charges = charges[:n]
	return charges, g.owe(account, id, claims, charges, at, now)
}
