package ratelimit

// The bookings of one account, in the order of their slots. A later arrival
// never overtakes an earlier booking on a limit for which that booking waits.

import "slices"

type queue struct {
	list  []*reservation
	tails []tail
}

// A tail is the last slot that is booked because this account-wide limit had
// no room at once.
type tail struct {
	limit, unit string
	measure     Measure
	at          int64
}

// tail returns the time before which nothing may be taken from the claim's
// counter; 0 when nobody waits for it.
func (q *queue) tail(cl *Claim) int64 {
	if q == nil {
		return 0
	}
	for i := range q.tails {
		t := &q.tails[i]
		if t.measure == cl.Measure && t.limit == cl.Limit && (cl.Measure != Calendar || t.unit == cl.Unit) {
			return t.at
		}
	}
	return 0
}

func (q *queue) add(res *reservation) {
	i := len(q.list)
	for i > 0 && res.before(q.list[i-1]) {
		i--
	}
	q.list = slices.Insert(q.list, i, res)
	q.raise(res)
}

func (q *queue) raise(res *reservation) {
next:
	for i := range res.charges {
		ch := &res.charges[i]
		if !ch.bound || ch.key != "" {
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

func (q *queue) remove(res *reservation) {
	i := slices.Index(q.list, res)
	if i < 0 {
		return
	}
	q.list = slices.Delete(q.list, i, i+1)
	for j := range q.tails {
		if q.tails[j].at == res.slot {
			q.tails = q.tails[:0]
			for _, r := range q.list {
				q.raise(r)
			}
			return
		}
	}
}
