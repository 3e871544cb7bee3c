package ratelimit

// The engine carries out a store's operations, one at a time, on records that
// a shelf keeps. The memory and the embedded store are this engine with
// different shelves, so the same code decides in both.

import (
	"fmt"
	"log/slog"
	"slices"
)

// A shelf keeps records. A record that was loaded or created is the engine's
// to change until the operation ends; touch tells that it was.
type shelf interface {
	// load returns nil when nothing is known.
	load(account, key string) (*record, error)
	create(account, key string) *record
	touch(*record)
	remove(*record)
	// keys lists the keys, other than "", of an account's records.
	keys(account string) ([]string, error)
	// book writes a booking down, unbook takes it off the books.
	book(*reservation)
	unbook(*reservation)
}

type engine struct {
	clock  clock
	shelf  shelf
	log    *slog.Logger
	live   map[string]*reservation
	queues map[string]*queue // by account; only those with bookings
	order  uint64            // of the last booking

	adopted  bool // an identity came to stand for another account
	undoable bool
	undos    []undo

	demands []demand // scratch
	owner   []int32  // scratch
}

func newEngine(o Options, s shelf) *engine {
	return &engine{
		clock:  clock{wall: o.Now, log: o.Log},
		shelf:  s,
		log:    o.Log,
		live:   map[string]*reservation{},
		queues: map[string]*queue{},
	}
}

func (g *engine) reserve(r *Request) (Decision, error) {
	now := g.clock.read()
	if err := r.check(now); err != nil {
		return Decision{}, err
	}
	var place uint64 // in the queue, if it has one already
	if res, ok := g.live[r.ID]; ok && !r.Dry {
		if !r.Replace {
			d := res.decision
			d.Repeated = true
			return d, nil
		}
		if res.state == booked {
			place = res.order
		}
		if r.Arrived == 0 {
			r.Arrived = res.arrived
		}
		if err := g.cancel(r.ID); err != nil {
			return Decision{}, err
		}
	}
	account, wide, err := g.canon(r.Account)
	if err != nil {
		return Decision{}, err
	}
	if r.Dry {
		d, _, err := g.attempt(account, wide, r, 0, now)
		return d, err
	}
	others, news, err := g.strangers(account, r.Aliases)
	if err != nil {
		return Decision{}, err
	}
	if news {
		d, err := g.together(account, wide, others, r, place, now)
		if err != nil || d.Verdict > Booked {
			return d, err
		}
		if wide, err = g.adopt(account, wide, r.Aliases, now); err != nil {
			return Decision{}, err
		}
	}
	d, charges, behind, err := g.admit(account, wide, r, place, now)
	if err != nil {
		return Decision{}, err
	}
	if d.Verdict <= Booked {
		g.open(r, &d, charges, place, now)
	}
	if len(behind) > 0 {
		err = g.rebook(account, wide, behind, now)
	}
	return d, err
}

// admit decides a request in its place and charges it if it may go or is
// booked. A place in the queue makes those behind it step back: they are
// withdrawn, and the caller's to book again.
func (g *engine) admit(account string, wide *record, r *Request, place uint64, now int64) (d Decision, charges []charge, behind []*reservation, err error) {
	if q := g.queues[account]; q != nil {
		if err := g.expire(account, now); err != nil {
			return d, nil, nil, err
		}
		if h := activeHold(wide, now); h != nil && h.Until > 0 && len(q.list) > 0 && q.list[0].slot < h.Until {
			if err := g.requeue(account, wide, now); err != nil {
				return d, nil, nil, err
			}
		}
	}
	if place > 0 {
		if behind, err = g.withdraw(account, place); err != nil {
			return d, nil, nil, err
		}
	}
	d, charges, err = g.attempt(account, wide, r, 0, now)
	return d, charges, behind, err
}

// open makes a reservation of what was admitted.
func (g *engine) open(r *Request, d *Decision, charges []charge, place uint64, now int64) {
	account := d.Account
	g.remember(r.ID)
	res := &reservation{id: r.ID, account: account, home: account, state: gone, slot: d.At, decision: *d, charges: charges}
	g.live[r.ID] = res
	if d.Verdict == Booked {
		res.state, res.claims, res.arrived = booked, slices.Clone(r.Claims), r.Arrived
		if res.arrived == 0 {
			res.arrived = now
		}
		if res.order = place; place == 0 {
			g.order++
			res.order = g.order
		}
		g.enqueue(res)
		g.shelf.book(res)
	}
}

// attempt decides a request, for a slot not before from, and charges it if it
// may go or is booked.
func (g *engine) attempt(account string, wide *record, r *Request, from, now int64) (Decision, []charge, error) {
	g.demands, g.owner = gather(g.demands[:0], g.owner[:0], r.Claims)
	ds := g.demands
	for i := range ds {
		m := &ds[i]
		m.record = wide
		if m.claim.Key != "" {
			var err error
			if m.record, err = g.shelf.load(account, m.claim.Key); err != nil {
				return Decision{}, nil, err
			}
		}
		m.ctr = m.record.find(m.claim.Limit, m.claim.Measure, nameOf(m.claim).unit)
	}
	s := situation{now: now, arrived: now, from: from, hold: activeHold(wide, now), queue: g.queues[account], demands: ds}
	if r.Arrived > 0 && r.Arrived < now {
		s.arrived = r.Arrived
	}
	d := decide(&s)
	d.Account = account
	at := now
	var charges []charge
	if d.Verdict <= Booked {
		at = d.At
		if !r.Dry {
			charges = g.charge(account, wide, r, at, now)
		}
	}
	d.Uses = make([]Use, len(ds))
	for i := range ds {
		d.Uses[i] = ds[i].use(at, now)
	}
	return d, charges, nil
}

// charge takes every claim's cost at a slot.
func (g *engine) charge(account string, wide *record, r *Request, at, now int64) []charge {
	ds := g.demands
	if wide == nil {
		wide = g.shelf.create(account, "")
		g.shelf.touch(wide)
	}
	for i := range ds {
		m := &ds[i]
		if m.cost == 0 {
			continue
		}
		if m.claim.Key == "" {
			m.record = wide
		} else if m.record == nil {
			// A demand before this one may have created it.
			if m.record, _ = g.shelf.load(account, m.claim.Key); m.record == nil {
				m.record = g.shelf.create(account, m.claim.Key)
			}
		}
		if m.ctr == nil {
			m.record.ensure(m.claim.Limit, m.claim.Measure, nameOf(m.claim).unit)
		}
		g.shelf.touch(m.record)
	}
	charges := make([]charge, 0, len(r.Claims))
	for i := range ds {
		m := &ds[i]
		m.ctr = m.record.find(m.claim.Limit, m.claim.Measure, nameOf(m.claim).unit)
	}
	for i := range r.Claims {
		cl := &r.Claims[i]
		if cl.Cost == 0 {
			continue
		}
		if ch, ok := ds[g.owner[i]].take(cl, at, now, r.ID); ok {
			charges = append(charges, ch)
		}
	}
	return charges
}

func (g *engine) fire(id string) (Decision, error) {
	now := g.clock.read()
	res, ok := g.live[id]
	if !ok {
		return Decision{Verdict: Gone, Now: now, At: now, Fits: -1}, nil
	}
	if res.state == booked && res.slot <= now {
		_, wide, err := g.canon(res.account)
		if err != nil {
			return Decision{}, err
		}
		if activeHold(wide, now) != nil {
			if err := g.requeue(res.account, wide, now); err != nil {
				return Decision{}, err
			}
		} else {
			g.remember(id)
			g.release(res)
			res.state, res.claims = gone, nil
			res.decision.Verdict, res.decision.Limit, res.decision.Key, res.decision.Why = Go, "", "", ""
		}
	}
	d := res.decision
	d.Now = now
	if res.state == moot {
		g.remember(id)
		delete(g.live, id)
	}
	return d, nil
}

func (g *engine) keep(id string) {
	if res, ok := g.live[id]; ok {
		if res.state != gone { // else there is nothing to write that could fail
			g.remember(id)
		}
		g.release(res)
		delete(g.live, id)
	}
}

func (g *engine) cancel(id string) error {
	res, ok := g.live[id]
	if !ok {
		return nil
	}
	g.remember(id)
	g.release(res)
	delete(g.live, id)
	return g.giveBack(res, nil)
}

func (g *engine) cancelItems(id string, items []int) error {
	res, ok := g.live[id]
	if !ok || len(items) == 0 {
		return nil
	}
	g.remember(id)
	cancelled := func(item int) bool { return slices.Contains(items, item) }
	wasBooked := res.state == booked
	g.release(res)
	if err := g.giveBack(res, cancelled); err != nil {
		return err
	}
	if len(res.charges) == 0 {
		delete(g.live, id)
		return nil
	}
	if wasBooked {
		res.claims = slices.DeleteFunc(slices.Clone(res.claims), func(cl Claim) bool { return cancelled(cl.Item) })
		g.enqueue(res)
		g.shelf.book(res)
	}
	return nil
}

func (g *engine) pause(account string, h *Hold) error {
	if account == "" {
		return fmt.Errorf("pause: %w: it has no account", ErrInvalid)
	}
	account, wide, err := g.canon(account)
	if err != nil {
		return err
	}
	if wide == nil {
		if h == nil {
			return nil
		}
		wide = g.shelf.create(account, "")
	}
	wide.hold = nil
	if h != nil {
		c := *h
		wide.hold = &c
	}
	g.shelf.touch(wide)
	return nil
}

// activeHold returns the account's hold unless it has ended.
func activeHold(wide *record, now int64) *Hold {
	if wide == nil || wide.hold == nil || wide.hold.Until != 0 && wide.hold.Until <= now {
		return nil
	}
	return wide.hold
}
