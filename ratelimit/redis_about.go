package ratelimit

// What is told about an account or its recipients, as calls of the script.

import (
	"context"
	"fmt"
)

// Pause implements Store.
func (s *Redis) Pause(ctx context.Context, account string, h *Hold) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if account == "" {
		return fmt.Errorf("pause: %w: it has no account", ErrInvalid)
	}
	return s.change(ctx, "pause", account, func(b []byte) []byte {
		if h == nil {
			return append(b, ",0"...)
		}
		b = appendText(append(b, ",["...), escape(h.Name))
		b = appendInts(b, min(max(h.Until, 0), forever-1))
		b = appendText(append(b, ','), escape(h.Why))
		return append(appendInts(b, max(h.Ramp, 0)), ']')
	})
}

// change makes a call that a person asked for, and tells the other processes.
func (s *Redis) change(ctx context.Context, verb, account string, rest func(b []byte) []byte) error {
	c := &redisCall{verb: verb, names: []string{account}, rest: func(_ *redisCall, b []byte) []byte { return rest(b) }}
	if _, err := s.run(ctx, c); err != nil {
		return err
	}
	s.publish(ctx, News{Account: c.names[0]})
	return nil
}

// tell makes a call about an account; said gets its answer.
func (s *Redis) tell(ctx context.Context, verb, account string, rest func(b []byte) []byte, said func(body string) error) error {
	c := &redisCall{verb: verb, names: []string{account}, rest: func(_ *redisCall, b []byte) []byte { return rest(b) }}
	reply, err := s.run(ctx, c)
	if err != nil || said == nil {
		return err
	}
	return said(reply.body)
}

// Cool implements Store.
func (s *Redis) Cool(ctx context.Context, c Cooling) (h Hold, err error) {
	if err := s.enter(ctx); err != nil {
		return Hold{}, err
	}
	if what := c.wrong(); what != "" {
		return Hold{}, fmt.Errorf("cool down: %w: %s", ErrInvalid, what)
	}
	err = s.tell(ctx, "cool", c.Account, func(b []byte) []byte {
		b = appendText(append(b, ','), escape(c.Key))
		b = appendText(append(b, ','), escape(c.Name))
		b = appendText(append(b, ','), escape(c.Why))
		b = appendInts(b, c.For, c.Least, c.Grow, c.Max, flag(c.Resumed), c.Ramp)
		return appendText(append(b, ','), escape(c.ID))
	}, func(body string) (err error) {
		h, err = readHold(body)
		return err
	})
	return h, err
}

// Observe implements Store.
func (s *Redis) Observe(ctx context.Context, e Event) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if what := e.wrong(); what != "" {
		return fmt.Errorf("observe: %w: %s", ErrInvalid, what)
	}
	return s.tell(ctx, "observe", e.Account, func(b []byte) []byte {
		b = appendText(append(b, ','), escape(e.Recipient))
		b = appendInts(b, int64(e.Kind))
		b = appendText(append(b, ','), escape(e.Is))
		return appendInts(b, e.At)
	}, nil)
}

// Give implements Store.
func (s *Redis) Give(ctx context.Context, account string, gift Gift) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if err := gift.check(account); err != nil {
		return err
	}
	return s.change(ctx, "give", account, func(b []byte) []byte {
		b = appendText(append(b, ','), escape(gift.ID))
		b = appendText(append(b, ','), escape(gift.Limit))
		return appendInts(b, gift.Units, min(gift.End, forever-1))
	})
}

// check finds what nobody may give.
func (gift *Gift) check(account string) error {
	switch {
	case account == "" || gift.ID == "" || gift.Limit == "":
		return fmt.Errorf("give: %w: it lacks its account, id or limit", ErrInvalid)
	case max(len(account), len(gift.ID), len(gift.Limit)) > maxName:
		return fmt.Errorf("give: %w: a name is too long", ErrInvalid)
	case gift.Units < 0 || gift.Units > maxCost || gift.End < 0:
		return fmt.Errorf("give: %w: its units or its end are out of range", ErrInvalid)
	}
	return nil
}

// Charge charges what is known to have been sent at a time (ms), whatever the
// room, and reserves nothing. It does nothing for an id that the store knows, or
// that was charged so within the last day. It takes what Reserve would find too
// large: it was sent.
func (s *Redis) Charge(ctx context.Context, r Request, at int64) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	r.Dry = false
	if err := r.valid(); err != nil {
		return err
	}
	g := group(r.Claims)
	c := s.reservation(&r, &g, "", 0)
	c.verb = "charge"
	keys, _ := reads(&r)
	c.rest = func(c *redisCall, b []byte) []byte {
		b = appendText(append(b, ','), escape(r.ID))
		b = appendInts(b, at, int64(fraction(r.ID)), int64(c.more))
		b = appendText(append(b, ','), escape(r.Same))
		return appendTexts(append(b, ','), keys)
	}
	reply, err := s.run(ctx, c)
	if err == nil && reply.what == 's' {
		err = fmt.Errorf("charge %s: %w", r.ID, ErrSkew)
	}
	return err
}
