package proxy

// Who waits for a place of a `concurrent` limit stands in line, one for each
// counter. When a request on its way ends, here or at another replica, the
// first in line asks the ledger, and when he has his place the next; so nobody
// asks in vain but once for each end. Who comes while others stand in line asks
// only for what he must wait, or be refused, anyhow, and gets in line.
//
// Order holds within one process, as for rates: replicas share the counter and
// not the line.

import (
	"cmp"
	"slices"
	"time"

	"quotagate/ratelimit"
)

// A leaseLine is the line for one counter.
type leaseLine struct {
	waiting []*waiter // in the order in which they entered the room
	seats   int       // of those who may come to stand in it, too
	turn    uint64    // grows whenever the first is to ask
}

// A seat is what a request knows of a line.
type seat struct {
	place  ratelimit.Place
	line   *leaseLine
	wait   int64  // the most that it waits for that (ms)
	turn   uint64 // when the ledger was last asked
	behind bool   // others stood before it then
}

// takeSeats notes, before the ledger is asked, which lines the answer may have
// the request stand in, and reports whether others stand before it.
func (t *transit) takeSeats() (behind bool) {
	var seats []seat
	for i := range t.claims {
		cl := &t.claims[i]
		if cl.Measure != ratelimit.Concurrent || cl.Shadow || cl.Cost == 0 {
			continue
		}
		one := seat{place: t.placeOf(cl), wait: cl.Wait}
		if !slices.ContainsFunc(seats, func(s seat) bool { return s.place == one.place }) {
			seats = append(seats, one)
		}
	}
	if len(seats)+len(t.seats) == 0 {
		return false
	}
	r := &t.e.room
	r.mu.Lock()
	defer r.mu.Unlock()
	before := t.seats
	for i := range seats {
		s := &seats[i]
		s.line = r.leaseLine(s.place)
		s.line.seats++
		s.turn, s.behind = s.line.turn, s.line.before(t.waiter)
		behind = behind || s.behind
	}
	t.seats = seats
	for i := range before {
		if !slices.ContainsFunc(seats, func(s seat) bool { return s.place == before[i].place }) {
			before[i].line.leave(t.waiter)
		}
		r.giveUp(&before[i])
	}
	return behind
}

// placeOf is the counter that a claim takes a place of.
func (t *transit) placeOf(cl *ratelimit.Claim) ratelimit.Place {
	return ratelimit.Place{Home: cmp.Or(cl.Scope, t.account), Limit: cl.Limit, Key: cl.Key}
}

// leaveLines gives up the seats, and with them the place in every line.
func (t *transit) leaveLines() {
	if len(t.seats) == 0 {
		return
	}
	r := &t.e.room
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range t.seats {
		t.seats[i].line.leave(t.waiter)
		r.giveUp(&t.seats[i])
	}
	t.seats = nil
}

// lineUp turns an answer that there is room into a wait behind those who stand
// before this one.
func (t *transit) lineUp(d ratelimit.Decision) ratelimit.Decision {
	i := slices.IndexFunc(t.seats, func(s seat) bool { return s.behind })
	if d.Verdict > ratelimit.Booked || i < 0 {
		return d
	}
	s := &t.seats[i]
	d.Limit, d.Key, d.At = s.place.Limit, s.place.Key, d.Now+leaseLook
	if d.Verdict = ratelimit.Later; d.At-t.now.UnixMilli() > s.wait {
		d.Verdict = ratelimit.Refused
	}
	return d
}

// leaseLook is the least that one waits for what nobody knows the time of (ms):
// the ledger's answer says as much.
const leaseLook = 100

// forPlace reports whether it is a place that the request waits for.
func (t *transit) forPlace() bool {
	return t.decision.Verdict == ratelimit.Later &&
		slices.ContainsFunc(t.seats, func(s seat) bool { return s.place.Limit == t.decision.Limit })
}

// full is the counter that has no place for the request, or nil.
func (t *transit) full(s *seat) *ratelimit.Use {
	for i := range t.decision.Uses {
		if u := &t.decision.Uses[i]; u.Limit == s.place.Limit && u.Key == s.place.Key && u.Short && !u.Shadow {
			return u
		}
	}
	return nil
}

// stand puts a waiter into the lines that it waits in, and takes it out of the
// others. It reports whether it is its turn to ask already. The lock is held.
func (t *transit) stand(w *waiter) (due bool) {
	waits := t.forPlace()
	for i := range t.seats {
		s := &t.seats[i]
		if !waits || !s.behind && t.full(s) == nil {
			s.line.leave(w)
			continue
		}
		s.line.join(w)
		due = due || s.line.waiting[0] == w && (s.behind || s.turn != s.line.turn)
	}
	return due
}

// nextAsk is when a request that waits asks again, if nobody wakes it before.
// For a place that is when it may wait no longer; of those who stand in line the
// first also asks when the first lease ends: a proxy may have died.
func (t *transit) nextAsk() time.Time {
	at := time.UnixMilli(t.decision.At)
	if !t.forPlace() {
		return at
	}
	now := t.e.clock().Now()
	last, first := time.Time{}, !t.behind()
	for i := range t.seats {
		s := &t.seats[i]
		if end := t.now.Add(time.Duration(s.wait) * time.Millisecond); last.IsZero() || end.Before(last) {
			last = end
		}
		u := t.full(s)
		if !first || u == nil {
			continue
		}
		ends := time.UnixMilli(u.Resets)
		if t.e.polls() || !ends.After(now) {
			ends = at
		}
		if ends.Before(last) {
			last = ends
		}
	}
	if !last.After(now) {
		return now.Add(leaseLook * time.Millisecond) // the ledger's clock differs
	}
	return last
}

// behind reports whether others stand before the request now.
func (t *transit) behind() bool {
	r := &t.e.room
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(t.seats, func(s seat) bool { return s.line.before(t.waiter) })
}

// free has the first in line ask, for each of these places.
func (r *waitingRoom) free(places []ratelimit.Place) {
	if len(places) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range places {
		if l := r.leases[p]; l != nil {
			l.next()
		}
	}
}

// freed tells that the request's own places are free.
func (t *transit) freed() {
	for i := range t.claims {
		if cl := &t.claims[i]; cl.Measure == ratelimit.Concurrent {
			t.e.room.free([]ratelimit.Place{t.placeOf(cl)})
		}
	}
}

// leaseLine finds a line, or makes it. The lock is held, here and below.
func (r *waitingRoom) leaseLine(p ratelimit.Place) *leaseLine {
	l := r.leases[p]
	if l == nil {
		if r.leases == nil {
			r.leases = map[ratelimit.Place]*leaseLine{}
		}
		l = &leaseLine{}
		r.leases[p] = l
	}
	return l
}

func (r *waitingRoom) giveUp(s *seat) {
	if s.line.seats--; s.line.seats == 0 {
		delete(r.leases, s.place)
	}
}

// before reports whether others stand before a waiter; nil is a newcomer.
func (l *leaseLine) before(w *waiter) bool {
	return len(l.waiting) > 0 && (w == nil || l.waiting[0].order < w.order)
}

func (l *leaseLine) join(w *waiter) {
	i, _ := slices.BinarySearchFunc(l.waiting, w, func(a, b *waiter) int { return int(a.order) - int(b.order) })
	if i == len(l.waiting) || l.waiting[i] != w {
		l.waiting = slices.Insert(l.waiting, i, w)
	}
}

// leave takes a waiter out. If it was the first, it is the next one's turn.
func (l *leaseLine) leave(w *waiter) {
	i := slices.Index(l.waiting, w)
	if i < 0 {
		return
	}
	if l.waiting = slices.Delete(l.waiting, i, i+1); i == 0 {
		l.next()
	}
}

// next has the first in line ask.
func (l *leaseLine) next() {
	l.turn++
	if len(l.waiting) > 0 && l.waiting[0].wake != nil {
		l.waiting[0].wake(errLook)
	}
}
