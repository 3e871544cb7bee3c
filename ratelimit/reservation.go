package ratelimit

// Reservations: what is held in memory of every request that was charged and
// not yet closed. Only bookings are also written down, so that those of a
// dead process can be given back; a message on its way counts without that.

import (
	"errors"
	"slices"
)

type state uint8

const (
	booked state = iota + 1
	gone         // on its way: a crash counts it
	moot         // was booked, could not be moved, has been given back
)

type reservation struct {
	id string
	// account is the one charged, home the one under which a booking is
	// written down: they differ once account has become another's alias.
	account, home string
	state         state
	slot          int64
	order         uint64 // of being booked, among equal slots
	decision      Decision
	charges       []charge
	// claims and arrived are the request's, kept while booked: a pause
	// decides it again.
	claims               []Claim
	services, recipients []string
	arrived              int64
	same                 string // the message's own number
	leased               int64  // when its leases were last prolonged
}

func (res *reservation) before(o *reservation) bool {
	return res.slot < o.slot || res.slot == o.slot && res.order < o.order
}

// abandoned is how long after its slot a booking is given back that nobody
// fired.
const abandoned int64 = 60_000

// An undo is what a reservation was before the group that may yet fail.
type undo struct {
	id  string
	was *reservation // nil: there was none
}

// remember notes what a reservation is before it is changed.
func (g *engine) remember(id string) {
	if !g.undoable {
		return
	}
	u := undo{id: id}
	if res, ok := g.live[id]; ok {
		c := *res
		u.was = &c
	}
	g.undos = append(g.undos, u)
}

// settled forgets how to go back: the group is on disk.
func (g *engine) settled() {
	clear(g.undos)
	g.undos = g.undos[:0]
}

// rollback puts the reservations back to what they were before the group. The
// records are the shelf's to put back.
func (g *engine) rollback() {
	for i := len(g.undos) - 1; i >= 0; i-- {
		if u := g.undos[i]; u.was == nil {
			delete(g.live, u.id)
		} else {
			g.live[u.id] = u.was
		}
	}
	g.settled()
	clear(g.queues)
	for _, res := range g.live {
		if res.state == booked {
			g.enqueue(res)
		}
	}
	g.countLeases()
}

func (g *engine) queueOf(home string) *queue {
	q := g.queues[home]
	if q == nil {
		q = &queue{home: home}
		g.queues[home] = q
	}
	return q
}

// enqueue adds a booking to its account's queue, and to those of the scopes
// whose counters it waits for.
func (g *engine) enqueue(res *reservation) {
	g.queueOf(res.account).add(res)
	for i := range res.charges {
		if ch := &res.charges[i]; ch.scope != "" && ch.scope != res.account && ch.bound {
			g.queueOf(ch.scope).add(res)
		}
	}
}

func (g *engine) dequeue(res *reservation) {
	g.leave(res.account, res)
	for i := range res.charges {
		if ch := &res.charges[i]; ch.scope != "" && ch.scope != res.account && ch.bound {
			g.leave(ch.scope, res)
		}
	}
}

func (g *engine) leave(home string, res *reservation) {
	if q := g.queues[home]; q != nil {
		if q.remove(res); len(q.list)+len(q.guests) == 0 {
			delete(g.queues, home)
		}
	}
}

// giveBack refunds the charges that which selects and keeps the others. The
// caller has remembered the reservation.
func (g *engine) giveBack(res *reservation, which func(item int) bool) error {
	var rest []charge
	for i := range res.charges {
		ch := &res.charges[i]
		if which != nil && !which(ch.item) {
			rest = append(rest, *ch)
			continue
		}
		if err := g.takeBack(res, ch); err != nil {
			return err
		}
	}
	res.charges = rest
	return nil
}

// takeBack refunds a charge of a reservation, for good.
func (g *engine) takeBack(res *reservation, ch *charge) error {
	if ch.measure == Concurrent {
		g.unlease(homeOf(res.account, ch.scope), res.id, ch)
		return nil
	}
	if err := g.refund(res.account, ch); err != nil {
		return err
	}
	return g.disown(res.account, res.id, ch)
}

func (g *engine) refund(account string, ch *charge) error {
	home := homeOf(account, ch.scope)
	back, key := *ch, ch.key
	if ch.where != "" {
		key = ch.where
	}
	var err error
	// What was a thread's lies with its recipient by now.
	if key != "" {
		if key, _, err = g.canonKey(account, key); err != nil {
			return err
		}
	}
	if ch.recipient != "" {
		if back.recipient, _, err = g.canonKey(account, ch.recipient); err != nil {
			return err
		}
	}
	rec, err := g.shelf.load(home, key)
	if err != nil {
		return err
	}
	c := rec.find(ch.limit, ch.measure, ch.unit)
	if c == nil {
		return nil
	}
	kindOf(ch.measure).refund(c, &back, func(key string) *record {
		r := g.other(place(account, ch.scope, key), key)
		if r != nil {
			g.shelf.touch(r)
		}
		return r
	})
	if ch.first && c.blank() {
		c.first = 0
	}
	g.shelf.touch(rec)
	err, g.failed = g.failed, nil
	return err
}

// release takes a booked reservation out of its queue and off the books; its
// charges stay.
func (g *engine) release(res *reservation) {
	if res.state == booked {
		g.dequeue(res)
		g.shelf.unbook(res)
	}
}

// requeue books an account's waiting messages again, in their order, because
// a pause reaches beyond their slots.
func (g *engine) requeue(account string, wide *record, now int64) error {
	list, err := g.withdraw(account, 0)
	if err != nil {
		return err
	}
	return g.rebook(account, wide, list, now)
}

// withdraw takes the bookings that came after another out of the queue and
// refunds what they charged, which they still name: rebook ends what withdraw
// begins, in the same step.
func (g *engine) withdraw(account string, after uint64) ([]*reservation, error) {
	q := g.queues[account]
	if q == nil {
		return nil, nil
	}
	var list []*reservation
	for _, res := range q.list {
		if res.order > after {
			list = append(list, res)
		}
	}
	for _, res := range list {
		g.dequeue(res)
	}
	for _, res := range list {
		g.remember(res.id)
		for i := range res.charges {
			if err := g.takeBack(res, &res.charges[i]); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// rebook books withdrawn messages again, in their order: at their slots, where
// there still is room, or later. Those that cannot wait that long have been
// given back; whoever fires them hears of it.
func (g *engine) rebook(account string, wide *record, list []*reservation, now int64) error {
	for _, res := range list {
		d, charges, err := g.attempt(account, wide, &Request{
			ID: res.id, Claims: res.claims, Arrived: res.arrived, Services: res.services, Recipients: res.recipients,
		}, res.slot, res.order, now)
		if err != nil {
			return err
		}
		if d.Verdict > Booked {
			if d.Verdict == Later && d.Limit == PausedLimit {
				// A recipient's hold: nothing is booked for that, but there is
				// time, so whoever fires it is to ask again.
				d = Decision{Verdict: Gone, Now: now, At: now, Fits: -1, Account: account}
			} else {
				d.Verdict = Refused
			}
			res.state, res.decision, res.charges, res.slot = moot, d, nil, d.At
			if err := g.unmark(res); err != nil {
				return err
			}
			g.shelf.unbook(res)
			continue
		}
		if d.At == res.slot || d.Verdict == Go {
			// It waits for what it waited for.
			was := res.decision
			was.At, was.Uses = d.At, d.Uses
			d = was
		}
		for i := range charges {
			charges[i].inherit(res.charges, d.Uses)
		}
		same := d.At == res.slot && slices.EqualFunc(charges, res.charges, func(a, b charge) bool { return a.equal(&b) })
		res.decision, res.charges, res.slot = d, charges, d.At
		g.enqueue(res)
		if !same {
			g.shelf.book(res)
		}
	}
	return nil
}

// inherit takes over that a booking waits for the charge's counter, though by
// now there may be room in it.
func (ch *charge) inherit(before []charge, uses []Use) {
	for i := range before {
		b := &before[i]
		ch.bound = ch.bound || b.bound && b.of(ch)
	}
	for i := range uses {
		u := &uses[i]
		u.Short = u.Short || ch.bound && u.Limit == ch.limit && u.Key == ch.key
	}
}

// expire gives back bookings that nobody fired.
func (g *engine) expire(account string, now int64) error {
	q := g.queues[account]
	for q != nil && len(q.list) > 0 && q.list[0].slot+abandoned < now {
		res := q.list[0]
		g.remember(res.id)
		g.release(res)
		if err := errors.Join(g.giveBack(res, nil), g.unmark(res)); err != nil {
			return err
		}
		delete(g.live, res.id)
		g.log.Warn("a booking that nobody fired was given back", "account", account, "id", res.id)
	}
	return nil
}
