package ratelimit

// A booking that is decided anew only for the better, in Redis: see sooner.go and
// script/90_reserve.lua.
//
// On a Cluster its parts lie on several servers. All are asked first what it would
// bring, and nothing is changed unless they agree on one slot. Then the scopes'
// parts are replaced, each in one step and only for the better, and the account's
// last. If another message took the room between question and change, the first
// to find out changes nothing; only where one part was changed by then does the
// booking lose what it had, and the message asks again at once. A refusal is left
// for when it is due.

import (
	"context"
	"errors"
	"slices"
)

// replaces is 1 for Replace, 2 where that is only for the better.
func replaces(r *Request) int64 {
	if !r.Replace {
		return 0
	}
	return 1 + flag(r.Sooner)
}

func (s *Redis) knows(id, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.open[id]
	return t != nil && t.token == token
}

// soonerOnCluster decides a booking anew for the better, in all its parts.
func (s *Redis) soonerOnCluster(ctx context.Context, r *Request, v *division) (Decision, error) {
	agreed, err := s.askParts(ctx, v)
	if err != nil || agreed == nil {
		return v.kept, err
	}
	if r.Dry {
		return inOrder(*agreed, r.Claims), nil
	}
	return s.changeParts(ctx, r, v, agreed)
}

// changeParts replaces the parts, as they agreed to.
func (s *Redis) changeParts(ctx context.Context, r *Request, v *division, agreed *Decision) (Decision, error) {
	before := s.partsOf(r.ID)
	all := slices.Clone(before)
	for _, scope := range v.scopes {
		if !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	s.divide(r.ID, all) // whatever becomes of this, Cancel finds them
	d := *agreed
	d.Uses = nil
	var uses []Use
	lost := func(err error) (Decision, error) {
		d.Verdict, d.At, d.Uses, d.Repeated = Later, d.Now, nil, false
		back := s.giveBackParts(ctx, &v.own, all, true)
		if err = errors.Join(err, back); err != nil {
			err = &halfway{err}
		}
		return d, err
	}
	for i, scope := range v.scopes {
		e, err := s.reserveScope(ctx, *v.parts[scope], slotOf(agreed))
		switch {
		case err == nil && agrees(agreed, &e):
		case err == nil && i == 0 && e.Repeated:
			s.divide(r.ID, before)
			return v.kept, nil
		default:
			return lost(err)
		}
		uses = append(uses, e.Uses...)
	}
	var err error
	if d, err = s.reserve(ctx, v.own, 0); err != nil || d.Verdict != agreed.Verdict || !agrees(agreed, &d) {
		return lost(err)
	}
	s.divide(r.ID, v.scopes)
	for _, scope := range before { // those that the new rules do not ask
		if !slices.Contains(v.scopes, scope) {
			if err := s.cancelOne(ctx, scoped(r.ID, scope)); err != nil {
				return lost(err)
			}
		}
	}
	d.Uses = append(d.Uses, uses...)
	d = inOrder(d, r.Claims)
	s.remember(r, &d)
	return d, nil
}

// askParts asks all parts what replacing them would bring; nil is that the
// booking should stay as it is.
func (s *Redis) askParts(ctx context.Context, v *division) (*Decision, error) {
	own := v.own
	own.Dry = true
	d, err := s.reserve(ctx, own, 0)
	if err != nil || d.Repeated || d.Verdict > Booked {
		return nil, err
	}
	for _, scope := range v.scopes {
		part := *v.parts[scope]
		part.Dry = true
		e, err := s.reserveScope(ctx, part, slotOf(&d))
		if err != nil || !agrees(&d, &e) {
			return nil, err
		}
		d.Uses = append(d.Uses, e.Uses...)
	}
	return &d, nil
}

// slotOf is the slot before which no other part is to be.
func slotOf(d *Decision) int64 {
	if d.Verdict == Booked {
		return d.At
	}
	return 0
}

// agrees reports whether a part, decided anew, goes with the others. Now is not
// the same millisecond on all servers.
func agrees(d, e *Decision) bool {
	return !e.Repeated && (e.Verdict == Go || e.Verdict == Booked && d.Verdict == Booked && e.At == d.At)
}

// remember notes what a booking was answered, with all its parts.
func (s *Redis) remember(r *Request, d *Decision) {
	if r.Dry || d.Verdict != Booked {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.open[r.ID]; t != nil {
		t.kept = *d
		t.kept.Repeated = true
	}
}

// booking is what remember noted, of what is still booked.
func (s *Redis) booking(id string) (Decision, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.open[id]; t != nil && t.booked && t.kept.Verdict == Booked {
		return t.kept, true
	}
	return Decision{}, false
}
