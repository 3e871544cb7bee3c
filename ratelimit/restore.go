package ratelimit

// Restoring what is known to have been sent: a store that has lost it, or that
// could not be asked, is told afterwards.

import "context"

// restore charges a request for a time at which it was sent, whatever the
// room, and once. What has passed by now counts for nothing.
func (g *engine) restore(r *Request, at int64) error {
	now := g.clock.read()
	if r.Dry = false; at <= 0 || at > now {
		at = now
	}
	if err := r.check(at); err != nil { // its windows are those of its time
		return err
	}
	if _, open := g.live[r.ID]; open {
		return nil
	}
	account, wide, err := g.canon(r.Account)
	if err != nil {
		return err
	}
	rec, err := g.shelf.load(account, chargedKey(r.ID))
	if err != nil || rec != nil && rec.mark.id == r.ID {
		return err
	}
	if wide, err = g.adopt(account, wide, r.Aliases, now); err != nil {
		return err
	}
	claims, err := g.canonClaims(account, r.Claims)
	if err != nil {
		return err
	}
	settled := claims[:0:0] // nothing is on its way any more
	for i := range claims {
		if claims[i].Measure != Concurrent {
			settled = append(settled, claims[i])
		}
	}
	if err := g.survey(account, wide, r.ID, settled, now); err != nil {
		return err
	}
	if _, err := g.charge(account, r.ID, settled, at, now); err != nil {
		return err
	}
	if r.Same != "" {
		if err := g.setMark(account, markKey(r.Same), r.ID, at); err != nil {
			return err
		}
	}
	if err := g.setMark(account, chargedKey(r.ID), r.ID, now); err != nil {
		return err
	}
	err, g.failed = g.failed, nil
	return err
}

// Charge charges what is known to have been sent at a time (ms), whatever the
// room, and reserves nothing. It does nothing for an id that is open, or that
// was charged so within the last day.
func (m *Memory) Charge(ctx context.Context, r Request, at int64) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	return m.engine.restore(&r, at)
}

// Charge charges what is known to have been sent at a time (ms), whatever the
// room, and reserves nothing. It does nothing for an id that is open, or that
// was charged so within the last day.
func (e *Embedded) Charge(ctx context.Context, r Request, at int64) error {
	return e.call(ctx, func() error { return e.engine.restore(&r, at) })
}
