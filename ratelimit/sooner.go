package ratelimit

// A booking that is decided anew only for the better: Request.Sooner. The whole
// replacement is tried on copies first, by the same code, and carried out only
// if that shows it to be worth it. Replace alone has given back before it knows,
// and on a counter of a scope other accounts may have come to stand between the
// place that it gave up and the one that it gets.

import (
	"log/slog"
	"slices"
)

// sooner answers a Request.Sooner: with what the reservation has, Repeated, or
// with what replacing it would bring. tried is false where there is nothing to
// lose.
func (g *engine) sooner(r *Request, now int64) (d Decision, tried bool, err error) {
	res, ok := g.live[r.ID]
	if ok && res.state == booked {
		if err := g.expire(res.account, now); err != nil {
			return d, false, err
		}
		res, ok = g.live[r.ID]
	}
	if !ok || res.state == moot {
		return d, false, nil
	}
	kept := res.decision
	kept.Repeated = true
	account, _, err := g.canon(r.Account)
	if err != nil || account != res.account || res.state == gone {
		return kept, true, err
	}
	if _, news, err := g.strangers(account, r.Aliases); news || err != nil {
		return kept, true, err
	}
	try := *r
	again, twin, err := g.numbered(account, nil, &try, now)
	if twin.Verdict == Twin || err != nil {
		return kept, true, err
	}
	d, worth, err := g.tryReplace(account, &try, res, now)
	if err != nil || !worth {
		return kept, true, err
	}
	d.Again = again
	return d, true, nil
}

// tryReplace replaces a booking in a sketch of the ledger, and reports whether it
// is worth it and pushes back nobody.
func (g *engine) tryReplace(account string, r *Request, res *reservation, now int64) (d Decision, worth bool, err error) {
	r.Dry = false
	if r.Arrived == 0 {
		r.Arrived = res.arrived
	}
	trial := g.sketch(account, nil)
	trial.gaps = true
	trial.attend(g, account, r.Claims)
	if q := g.queues[account]; q != nil {
		for _, other := range q.list {
			trial.attend(g, account, other.claims)
		}
	}
	trial.follow(account, g.queues[account])
	_, wide, err := trial.canon(account)
	if err != nil {
		return d, false, err
	}
	if err := trial.cancel(r.ID); err != nil {
		return d, false, err
	}
	d, charges, behind, err := trial.admit(account, wide, r, res.order, now)
	switch {
	case err != nil:
		return d, false, err
	case d.Verdict == Refused:
		return d, trial.refusedForItself(&d, res), nil
	case d.Verdict > Booked || d.Verdict == Booked && d.At >= res.slot:
		return d, false, nil
	}
	if err := trial.open(r, &d, charges, res.order, now); err != nil {
		return d, false, err
	}
	slots := make([]int64, len(behind))
	for i, other := range behind {
		slots[i] = other.slot
	}
	if err := trial.rebook(account, wide, behind, now); err != nil {
		return d, false, err
	}
	for i, other := range behind {
		if other.state != booked || other.slot != slots[i] {
			return d, false, nil
		}
	}
	return d, true, nil
}

// refusedForItself reports whether a booking is refused whatever came after it:
// the limit allows less than it costs; or it is one that the booking waits for,
// so that nobody passed it there, and there is room by its slot, only that it may
// not wait so long any more as it might. The demands are those of the refusal.
func (g *engine) refusedForItself(d *Decision, res *reservation) bool {
	if d.Limit == PausedLimit {
		return false
	}
	for i := range g.demands {
		m := &g.demands[i]
		cl := m.claim
		if cl.Limit != d.Limit || cl.Key != d.Key || cl.Shadow || m.cost == 0 {
			continue
		}
		if d.At == 0 {
			return d.Fits >= 0 && m.simple() && m.cost > cl.Allow && (!cl.Distinct || cl.Allow <= 0)
		}
		return d.At <= res.slot && slices.ContainsFunc(res.charges, func(ch charge) bool {
			return ch.bound && ch.of(&charge{scope: cl.Scope, key: cl.Key, limit: cl.Limit, unit: cl.unit(), measure: cl.measure()})
		}) && !slices.ContainsFunc(res.claims, func(was Claim) bool { return sameCounter(&was, cl) && was.Wait <= m.wait })
	}
	return false
}

// sketch is an engine on copies of what an account, with others added to it, has
// counted. What happens on it stays on it. Who waits is the caller's to bring.
func (g *engine) sketch(account string, others []*record) *engine {
	union := &unionShelf{shelf: g.shelf, account: account, others: others, sums: map[recordName]*record{}}
	trial := newEngine(Options{Now: g.clock.wall, Log: slog.New(slog.DiscardHandler)}, union)
	trial.order = g.order
	return trial
}

// attend brings, for the counters of an account's claims, what is on its way, and
// who of other accounts waits for those of a scope.
func (g *engine) attend(from *engine, account string, claims []Claim) {
	ours := func(res *reservation) bool { return res.account == account }
	for i := range claims {
		cl := &claims[i]
		if name := (leaseName{homeOf(account, cl.Scope), cl.Key, cl.Limit}); cl.Measure == Concurrent {
			g.leases[name] = from.leases[name]
		}
		q := from.queues[cl.Scope]
		if cl.Scope == "" || cl.Scope == account || q == nil || !g.visited(cl.Scope) {
			continue
		}
		to := g.queueOf(cl.Scope)
		to.list = slices.DeleteFunc(slices.Clone(q.list), ours)
		to.guests = slices.DeleteFunc(slices.Clone(q.guests), ours)
		for _, res := range to.list {
			to.raise(res)
		}
		for _, res := range to.guests {
			to.raise(res)
		}
	}
}
