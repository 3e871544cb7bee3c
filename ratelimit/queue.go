package ratelimit

// The bookings of one account, in the order of their slots. A later arrival
// never overtakes an earlier booking on a limit for which that booking waits.
// The queue of a scope has the bookings of other accounts that wait for its
// counters: its guests.

import "slices"

type queue struct {
	home   string // the account, or scope
	list   []*reservation
	guests []*reservation
	tails  []tail
}

// A tail is the last slot that is booked because this account-wide limit had
// no room at once.
type tail struct {
	limit, unit string
	measure     Measure
	at          int64
}

func (t *tail) of(m *demand) bool {
	return t.measure == m.claim.measure() && t.limit == m.claim.Limit && t.unit == m.claim.unit()
}

// tail returns the time before which nothing may be taken from the demand's
// counter by whoever has a place (0 is the end of the queue); 0 when nobody
// waits for it.
func (q *queue) tail(m *demand, place uint64) int64 {
	if q == nil {
		return 0
	}
	tails := q.tails
	if place > 0 && len(q.guests) > 0 {
		before := queue{home: q.home} // who came after it does not bind it
		for _, list := range [][]*reservation{q.list, q.guests} {
			for _, res := range list {
				if res.order < place {
					before.raise(res)
				}
			}
		}
		tails = before.tails
	}
	for i := range tails {
		if tails[i].of(m) {
			return tails[i].at
		}
	}
	return 0
}

// add takes in a booking, of another account as a guest.
func (q *queue) add(res *reservation) {
	list := &q.list
	if res.account != q.home {
		if list = &q.guests; slices.Contains(q.guests, res) {
			return
		}
	}
	i := len(*list)
	for i > 0 && res.before((*list)[i-1]) {
		i--
	}
	*list = slices.Insert(*list, i, res)
	q.raise(res)
}

// raise moves the tails of the counters that a booking waits for.
func (q *queue) raise(res *reservation) {
next:
	for i := range res.charges {
		ch := &res.charges[i]
		if !ch.bound || ch.key != "" || homeOf(res.account, ch.scope) != q.home {
			continue
		}
		for j := range q.tails {
			t := &q.tails[j]
			if t.measure == ch.measure && t.limit == ch.limit && t.unit == ch.unit {
				t.at = max(t.at, res.slot)
				continue next
			}
		}
		q.tails = append(q.tails, tail{ch.limit, ch.unit, ch.measure, res.slot})
	}
}

// remove takes a booking out, whichever it was.
func (q *queue) remove(res *reservation) {
	i, j := slices.Index(q.list, res), slices.Index(q.guests, res)
	if i < 0 && j < 0 {
		return
	}
	if i >= 0 {
		q.list = slices.Delete(q.list, i, i+1)
	}
	if j >= 0 {
		q.guests = slices.Delete(q.guests, j, j+1)
	}
	for k := range q.tails {
		if q.tails[k].at == res.slot {
			q.tails = q.tails[:0]
			for _, r := range q.list {
				q.raise(r)
			}
			for _, r := range q.guests {
				q.raise(r)
			}
			return
		}
	}
}
