package ratelimit

// The engine carries out a store's operations, one at a time, on records that
// a shelf keeps. The memory and the embedded store are this engine with
// different shelves, so the same code decides in both.

import (
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

	leases map[leaseName][]lease

	exports map[*exporting]bool // on their way

	gaps     bool  // who has a place may use those before the ones behind it: Request.Sooner
	adopted  bool  // an identity came to stand for another account
	failed   error // of a record that a kind asked for
	undoable bool
	undos    []undo

	demands []demand // scratch
	owner   []int32  // scratch
	slab    []*Claim // scratch
	scopes  []string // a trial's: those whose guests it knows
}

func newEngine(o Options, s shelf) *engine {
	return &engine{
		clock:  clock{wall: o.Now, log: o.Log},
		shelf:  s,
		log:    o.Log,
		live:   map[string]*reservation{},
		queues: map[string]*queue{},
		leases: map[leaseName][]lease{},
	}
}

func (g *engine) reserve(r *Request) (Decision, error) {
	now := g.clock.read()
	if err := r.check(now); err != nil {
		return Decision{}, err
	}
	var place uint64 // in the queue, if it has one already
	if r.Replace && r.Sooner {
		d, tried, err := g.sooner(r, now)
		if tried && (r.Dry || d.Repeated) || err != nil {
			return d, err
		}
		g.gaps = tried
		defer func() { g.gaps = false }()
	}
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
	others, news, err := g.strangers(account, r.Aliases)
	if err != nil {
		return Decision{}, err
	}
	again, twin, err := g.numbered(account, others, r, now)
	if twin.Verdict == Twin || err != nil {
		return twin, err
	}
	if r.Dry {
		d, _, err := g.attempt(account, wide, r, 0, 0, now)
		d.Again = again
		return d, err
	}
	if news {
		d, err := g.together(account, wide, others, r, place, now)
		if d.Again, d.Holds = again, nil; err != nil || d.Verdict > Booked {
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
	if d.Again = again; d.Verdict <= Booked {
		if err := g.open(r, &d, charges, place, now); err != nil {
			return Decision{}, err
		}
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
	if q := g.queues[account]; q != nil && len(q.list) > 0 {
		if err := g.expire(account, now); err != nil {
			return d, nil, nil, err
		}
		h, err := g.halted(account, wide, &Request{Services: r.Services}, now)
		if err != nil {
			return d, nil, nil, err
		}
		if h.until > 0 && h.until < forever && len(q.list) > 0 && q.list[0].slot < h.until {
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
	d, charges, err = g.attempt(account, wide, r, 0, place, now)
	return d, charges, behind, err
}

// open makes a reservation of what was admitted.
func (g *engine) open(r *Request, d *Decision, charges []charge, place uint64, now int64) error {
	account := d.Account
	g.remember(r.ID)
	res := &reservation{id: r.ID, account: account, home: account, state: gone, slot: d.At, decision: *d, charges: charges, same: r.Same, leased: now}
	g.live[r.ID] = res
	if d.Verdict == Booked {
		res.state, res.claims, res.arrived = booked, slices.Clone(r.Claims), r.Arrived
		res.services, res.recipients = slices.Clone(r.Services), slices.Clone(r.Recipients)
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
	if r.Same == "" {
		return nil
	}
	return g.setMark(account, markKey(r.Same), r.ID, now)
}

func (g *engine) fire(id string) (Decision, error) {
	now := g.clock.read()
	res, ok := g.live[id]
	if ok && res.state == booked {
		if err := g.expire(res.account, now); err != nil {
			return Decision{}, err
		}
		res, ok = g.live[id]
	}
	if !ok {
		return Decision{Verdict: Gone, Now: now, At: now, Fits: -1}, nil
	}
	switch {
	case res.state == gone:
		g.prolong(res, now)
	case res.state == booked && res.slot <= now:
		_, wide, err := g.canon(res.account)
		if err != nil {
			return Decision{}, err
		}
		h, err := g.halted(res.account, wide, &Request{Services: res.services, Recipients: res.recipients}, now)
		if err != nil {
			return Decision{}, err
		}
		if h.until > 0 {
			if err := g.requeue(res.account, wide, now); err != nil {
				return Decision{}, err
			}
		} else {
			g.remember(id)
			g.release(res)
			g.leaseShadows(res, now)
			res.state, res.claims = gone, nil
			res.decision.Verdict, res.decision.Limit, res.decision.Key, res.decision.Why = Go, "", "", ""
		}
	}
	d := res.decision
	d.Now = now
	if res.state == moot {
		if d.Verdict == Gone {
			d.At = now
		}
		g.remember(id)
		delete(g.live, id)
	}
	return d, nil
}

// numbered looks at the message's own number, under all the names that the
// request shows. One that the service will drop becomes free.
func (g *engine) numbered(account string, others []*record, r *Request, now int64) (again bool, d Decision, err error) {
	if r.Same == "" {
		return false, d, nil
	}
	names := []string{account}
	for _, o := range others {
		names = append(names, o.account)
	}
	for _, name := range names {
		if err := g.expire(name, now); err != nil {
			return false, d, err
		}
		open, through, err := g.twin(name, r, now)
		if err != nil {
			return false, d, err
		}
		if open != nil {
			d = Decision{Verdict: Twin, Now: now, Fits: -1, Account: account}
			if open.state == booked {
				d.At = open.slot
			}
			return false, d, nil
		}
		again = again || through
	}
	if again && r.Dedupes {
		r.unpriced()
		r.Same = ""
	}
	return again, d, nil
}

func (g *engine) keep(id string) {
	if res, ok := g.live[id]; ok {
		if res.state != gone { // else nothing is written that could fail
			g.remember(id)
		}
		g.release(res)
		g.endLeases(res)
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
	if err := g.unmark(res); err != nil {
		return err
	}
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
		return g.unmark(res)
	}
	if wasBooked {
		res.claims = slices.DeleteFunc(slices.Clone(res.claims), func(cl Claim) bool { return cancelled(cl.Item) })
		g.enqueue(res)
		g.shelf.book(res)
	}
	return nil
}
