package ratelimit

// The same message again: law 12. A message that its client numbered leaves a
// mark in a record of its own, under the account, for a day. While its
// reservation is open the next one is its twin; a mark without one says that
// the message is through. Giving it back takes the mark away.

// day24 is how long a message is known by its number (ms).
const day24 int64 = 24 * 60 * 60 * 1000

// markKey is the key of a mark's record; a recipient's never begins with ~.
func markKey(same string) string { return "~m" + same }

// chargedKey is the key of the mark of what was restored; see restore.go.
func chargedKey(id string) string { return "~c" + id }

type mark struct {
	id string // the reservation
	at int64
}

// twin looks for the message that a request repeats: open (its reservation),
// or through within the last day.
func (g *engine) twin(account string, r *Request, now int64) (open *reservation, through bool, err error) {
	rec, err := g.shelf.load(account, markKey(r.Same))
	if err != nil || rec == nil || rec.mark.at+day24 <= now { // the sweep forgets it then
		return nil, false, err
	}
	if res, ok := g.live[rec.mark.id]; ok && res.same == r.Same && res.state != moot {
		if rec.mark.id == r.ID {
			return nil, false, nil // its own: it is decided again
		}
		return res, false, nil
	}
	return nil, true, nil
}

func (g *engine) setMark(account, key, id string, now int64) error {
	rec, err := g.shelf.load(account, key)
	if err != nil {
		return err
	}
	if rec == nil {
		rec = g.create(account, key)
	}
	if rec.mark.at > now { // what is restored is older
		return nil
	}
	rec.mark = mark{id, now}
	g.shelf.touch(rec)
	return nil
}

// unmark forgets that a reservation's message was there.
func (g *engine) unmark(res *reservation) error {
	if res.same == "" {
		return nil
	}
	rec, err := g.shelf.load(res.account, markKey(res.same))
	if err != nil || rec == nil || rec.mark.id != res.id {
		return err
	}
	g.shelf.remove(rec)
	return nil
}

// unpriced is the request without what it costs: a second send that the
// service drops.
func (r *Request) unpriced() {
	claims := make([]Claim, len(r.Claims))
	copy(claims, r.Claims)
	for i := range claims {
		claims[i].Cost = 0
	}
	r.Claims = claims
}
