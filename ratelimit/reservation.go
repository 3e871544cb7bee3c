package ratelimit

// Reservations: what is held in memory of every request that was charged and
// not yet closed. Only bookings are also written down, so that those of a
// dead process can be given back; a message on its way counts without that.

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
	claims  []Claim
	arrived int64
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
}

func (g *engine) enqueue(res *reservation) {
	q := g.queues[res.account]
	if q == nil {
		q = &queue{}
		g.queues[res.account] = q
	}
	q.add(res)
}

func (g *engine) dequeue(res *reservation) {
	if q := g.queues[res.account]; q != nil {
		if q.remove(res); len(q.list) == 0 {
			delete(g.queues, res.account)
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
		rec, err := g.shelf.load(res.account, ch.key)
		if err != nil {
			return err
		}
		if c := rec.find(ch.limit, ch.measure, ch.unit); c != nil {
			c.refund(ch)
			g.shelf.touch(rec)
		}
	}
	res.charges = rest
	return nil
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
// a pause reaches beyond their slots. Those that cannot wait that long are
// given back; whoever fires them hears of it.
func (g *engine) requeue(account string, wide *record, now int64) error {
	q := g.queues[account]
	delete(g.queues, account)
	for _, res := range q.list {
		g.remember(res.id)
		g.shelf.unbook(res)
		if err := g.giveBack(res, nil); err != nil {
			return err
		}
	}
	for _, res := range q.list {
		d, charges, err := g.attempt(account, wide, &Request{
			ID: res.id, Claims: res.claims, Arrived: res.arrived,
		}, now)
		if err != nil {
			return err
		}
		res.decision, res.charges, res.slot = d, charges, d.At
		if d.Verdict != Booked {
			res.decision.Verdict, res.state = Refused, moot
			continue
		}
		g.enqueue(res)
		g.shelf.book(res)
	}
	return nil
}

// expire gives back bookings that nobody fired.
func (g *engine) expire(account string, now int64) error {
	q := g.queues[account]
	for q != nil && len(q.list) > 0 && q.list[0].slot+abandoned < now {
		res := q.list[0]
		g.remember(res.id)
		g.release(res)
		if err := g.giveBack(res, nil); err != nil {
			return err
		}
		delete(g.live, res.id)
		g.log.Warn("a booking that nobody fired was given back", "account", account, "id", res.id)
	}
	return nil
}
