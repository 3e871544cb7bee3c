package ratelimit

// Concurrent: so many on their way at once. A lease begins when a message is
// let go and ends when it is settled, or a minute after whoever sends it was
// last heard of: Fire prolongs it. Leases are not written down, because a
// process that dies takes its messages along; they are counted from the open
// reservations.

import "slices"

const (
	leaseTime int64 = 60_000 // how long a lease lasts that nobody prolongs (ms)
	askAgain  int64 = 100    // nobody knows when one ends (ms)
)

type concurrentKind struct{ plain }

// inFlight is what the leases on a counter come to.
func (g *engine) inFlight(home, key, limit string, now int64) (n int64) {
	for _, l := range g.leases[leaseName{home, key, limit}] {
		if l.end > now {
			n += l.n
		}
	}
	return n
}

type leaseName struct{ home, key, limit string }

type lease struct {
	id     string
	item   int
	n, end int64
}

func (m *demand) inFlight() int64 { return m.eng.inFlight(m.home, m.claim.Key, m.claim.Limit, m.now) }

func (concurrentKind) earliest(m *demand, at int64) int64 {
	switch {
	case m.cost > m.claim.Allow:
		return never
	case m.inFlight()+m.cost <= m.claim.Allow:
		return at
	}
	return max(at, m.now+askAgain)
}

// keeps: nothing is booked.
func (concurrentKind) keeps(m *demand, at int64) bool { return at <= m.now }

func (concurrentKind) fits(m *demand, _ int64) int64 { return max(m.claim.Allow, 0) }

// use tells, where there is no room, when the first lease ends if nobody
// prolongs it: who waits need not ask before that, unless told.
func (concurrentKind) use(m *demand, _ int64, u *Use) {
	u.Used = m.inFlight()
	if !u.Short {
		return
	}
	for _, l := range m.eng.leases[leaseName{m.home, m.claim.Key, m.claim.Limit}] {
		if l.end > m.now && (u.Resets == 0 || l.end < u.Resets) {
			u.Resets = l.end
		}
	}
}

func (concurrentKind) charge(m *demand, cl *Claim, _ int64, ch *charge) bool {
	m.eng.lease(m.home, m.id, ch, m.now)
	return true
}

func (concurrentKind) refund(*counter, *charge, func(string) *record) {}
func (concurrentKind) merge(_, _ *counter)                            {}
func (concurrentKind) over(*counter, int64) bool                      { return true }
func (concurrentKind) encode(b []byte, _ *counter) []byte             { return b }
func (concurrentKind) decode(*decoder, *counter)                      {}

func (g *engine) lease(home, id string, ch *charge, now int64) {
	name := leaseName{home, ch.key, ch.limit}
	kept := g.leases[name][:0:0]
	for _, l := range g.leases[name] {
		if l.end > now {
			kept = append(kept, l)
		}
	}
	g.leases[name] = append(kept, lease{id, ch.item, ch.cost, now + leaseTime})
}

// unlease ends the lease of a charge.
func (g *engine) unlease(home, id string, ch *charge) {
	name := leaseName{home, ch.key, ch.limit}
	list := g.leases[name]
	for i, l := range list {
		if l.id == id && l.item == ch.item {
			if len(list) == 1 {
				delete(g.leases, name)
			} else {
				g.leases[name] = append(list[:i:i], list[i+1:]...)
			}
			return
		}
	}
}

// endLeases ends all of a reservation's.
func (g *engine) endLeases(res *reservation) {
	for i := range res.charges {
		if ch := &res.charges[i]; ch.measure == Concurrent {
			g.unlease(homeOf(res.account, ch.scope), res.id, ch)
		}
	}
}

// prolong gives the leases of a reservation another minute.
func (g *engine) prolong(res *reservation, now int64) {
	for i := range res.charges {
		ch := &res.charges[i]
		if ch.measure != Concurrent {
			continue
		}
		home := homeOf(res.account, ch.scope)
		g.unlease(home, res.id, ch)
		g.lease(home, res.id, ch, now)
		res.leased = now
	}
}

// leaseShadows begins the leases of a booking that is let go: one that has such
// a limit is never booked, unless it is a shadow.
func (g *engine) leaseShadows(res *reservation, now int64) {
	for i := range res.claims {
		cl := &res.claims[i]
		if cl.Measure != Concurrent || cl.Cost == 0 {
			continue
		}
		ch := charge{scope: cl.Scope, key: cl.Key, limit: cl.Limit, measure: Concurrent, item: cl.Item, cost: cl.Cost}
		g.lease(homeOf(res.account, cl.Scope), res.id, &ch, now)
		res.charges, res.leased = append(slices.Clip(res.charges), ch), now
	}
}

// countLeases makes the leases anew from the open reservations: their accounts
// have become one, or a group has failed.
func (g *engine) countLeases() {
	clear(g.leases)
	for _, res := range g.live {
		if res.state != gone {
			continue
		}
		for i := range res.charges {
			if ch := &res.charges[i]; ch.measure == Concurrent {
				g.lease(homeOf(res.account, ch.scope), res.id, ch, res.leased)
			}
		}
	}
}
