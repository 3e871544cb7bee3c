package ratelimit

// What a reply gives back: a charge with Returned is noted with its recipient,
// and given back once if they reply in time.

import "slices"

// A debt is a charge that a reply from slot until a time gives back.
type debt struct {
	id          string // the reservation's
	slot, until int64
	charge      charge
}

// owe notes the charges of a reservation that a reply would give back.
func (g *engine) owe(account, id string, claims []Claim, charges []charge, slot, now int64) error {
	for i := range claims {
		cl := &claims[i]
		if cl.Returned == 0 || cl.Recipient == "" {
			continue
		}
		for j := range charges {
			ch := &charges[j]
			if ch.item != cl.Item || ch.recipient != cl.Recipient || ch.limit != cl.Limit || ch.measure != cl.measure() ||
				ch.key != cl.Key || ch.scope != cl.Scope || ch.unit != cl.unit() {
				continue
			}
			rec, err := g.recordOf(account, cl.Recipient)
			if err != nil {
				return err
			}
			rec.owed = slices.DeleteFunc(rec.owed, func(o debt) bool { return o.until+lingers <= now || o.id == id && o.charge.equal(ch) })
			rec.owed = append(rec.owed, debt{id: id, slot: slot, until: slot + cl.Returned, charge: *ch})
			g.shelf.touch(rec)
			break
		}
	}
	return nil
}

// disown forgets that a reply would give a charge back: it has been.
func (g *engine) disown(account, id string, ch *charge) error {
	if ch.recipient == "" {
		return nil
	}
	_, rec, err := g.canonKey(account, ch.recipient)
	if err != nil || rec == nil || len(rec.owed) == 0 {
		return err
	}
	i := slices.IndexFunc(rec.owed, func(o debt) bool {
		return o.id == id && o.charge.of(ch) && o.charge.item == ch.item && o.charge.recipient == ch.recipient
	})
	if i >= 0 {
		rec.owed = slices.Delete(rec.owed, i, i+1)
		g.shelf.touch(rec)
	}
	return nil
}

// repay gives back what a reply at a time gives back. One that is learned of
// long after gives nothing back, wherever the sweep is by then.
func (g *engine) repay(account string, rec *record, at, now int64) error {
	var paid []debt
	rec.owed = slices.DeleteFunc(rec.owed, func(o debt) bool {
		due := o.slot <= at && at < o.until && now < o.until+lingers
		if due {
			paid = append(paid, o)
		}
		return due
	})
	for i := range paid {
		o := &paid[i]
		back := o.charge
		back.first = false // it was sent: the counter has begun
		if err := g.refund(account, &back); err != nil {
			return err
		}
		// The reservation may be open still: it has nothing left to give back.
		if res, ok := g.live[o.id]; ok {
			g.remember(o.id)
			res.charges = slices.DeleteFunc(slices.Clone(res.charges), func(ch charge) bool {
				return ch.of(&o.charge) && ch.item == o.charge.item && ch.recipient == o.charge.recipient
			})
			if res.state == booked {
				g.shelf.book(res) // a crash must not give it back again
			}
		}
	}
	return nil
}
