package ratelimit

// The verbs of the guarded store that do not decide.

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
)

// newName is a random name.
func newName() string { return strings.ToLower(rand.Text()) }

// tellable carries out a call that only informs: when the store is away it is
// owed, and that is as good.
func (g *Guarded) tellable(ctx context.Context, n *note, f func(ctx context.Context) error) error {
	_, err := call(ctx, g, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	if n.Owed = errors.Is(err, ErrUnavailable); err != nil && !n.Owed {
		return err
	}
	n.When = g.now()
	err = g.book.put(n)
	g.noted(err)
	if n.Owed {
		return err
	}
	return nil
}

// Keep implements Store. What was let go is spent without it.
func (g *Guarded) Keep(ctx context.Context, id string) error {
	h := g.release(id)
	if h != nil && h.local {
		return g.keepLocally(ctx, h)
	}
	if h != nil && h.sent && g.mirror != nil {
		g.mirror.charge(without(h.request, h.items), h.at)
	}
	_, err := call(ctx, g, func(ctx context.Context) (struct{}, error) { return struct{}{}, g.primary.Keep(ctx, id) })
	if errors.Is(err, ErrUnavailable) {
		return nil
	}
	return err
}

// Cancel implements Store.
func (g *Guarded) Cancel(ctx context.Context, id string) error {
	h := g.release(id)
	if h != nil && h.local {
		g.noted(g.book.drop(localNote(id)))
		return g.local.Cancel(ctx, id)
	}
	n := g.about(heldOr(h, id))
	n.Back = true
	return g.tellable(ctx, n, func(ctx context.Context) error { return g.primary.Cancel(ctx, id) })
}

// CancelItems implements Store.
func (g *Guarded) CancelItems(ctx context.Context, id string, items []int) error {
	if len(items) == 0 {
		return ctx.Err()
	}
	g.mu.Lock()
	h := g.open[id]
	n := g.about(heldOr(h, id))
	n.Items = items
	if h != nil {
		h.items = append(slices.Clone(h.items), items...)
		n.Items = h.items
		if h.sent {
			n.Request, n.At = &h.request, h.at
		}
	}
	g.mu.Unlock()
	if h != nil && h.local {
		_, err := g.book.change(localNote(id), func(n *note) { n.Items = h.items })
		g.noted(err)
		return g.local.CancelItems(ctx, id, items)
	}
	return g.tellable(ctx, n, func(ctx context.Context) error { return g.primary.CancelItems(ctx, id, items) })
}

// Charge charges what is known to have been sent although the store did not
// let it go: forwarded by a limit's policy while the store was away. What the
// store may have charged for it under its id is given back.
func (g *Guarded) Charge(ctx context.Context, r Request, at int64) error {
	c, ok := g.primary.(charger)
	if !ok {
		return errors.New("charge what was sent: the shared store cannot")
	}
	r.ID += "+sent"
	if g.mirror != nil {
		g.mirror.charge(r, at)
	}
	return g.tellable(ctx, &note{Key: "s " + r.ID, ID: r.ID, Request: &r, At: at},
		func(ctx context.Context) error { return c.Charge(ctx, r, at) })
}

// Observe implements Store.
func (g *Guarded) Observe(ctx context.Context, e Event) error {
	if now := g.now(); e.At == 0 {
		e.At = now
	}
	if g.mirror != nil {
		g.mirror.observe(e)
	}
	key := strings.Join([]string{"o", e.Account, e.Recipient, e.Is, string('0' + rune(e.Kind))}, " ")
	return g.tellable(ctx, &note{Key: key, Event: &e}, func(ctx context.Context) error { return g.primary.Observe(ctx, e) })
}

// Cool implements Store. While the store is away the hold that it will make is
// told, as far as it follows from the answer alone.
func (g *Guarded) Cool(ctx context.Context, c Cooling) (Hold, error) {
	if g.mirror != nil {
		g.mirror.cool(c)
	}
	h := Hold{Name: c.Name, Why: c.Why, Ramp: c.Ramp}
	if !c.Resumed {
		h.Until = g.now() + max(c.For, c.Least)
	}
	key := strings.Join([]string{"c", c.ID, c.Account, c.Key, c.Name}, " ")
	err := g.tellable(ctx, &note{Key: key, Cooling: &c}, func(ctx context.Context) (err error) {
		made, err := g.primary.Cool(ctx, c)
		if err == nil {
			h = made
		}
		return err
	})
	return h, err
}

// Pause implements Store. A pause is told again to a store that may have
// forgotten it, resuming is not: a person sees that, and does it once more.
func (g *Guarded) Pause(ctx context.Context, account string, h *Hold) error {
	_, err := call(ctx, g, func(ctx context.Context) (struct{}, error) { return struct{}{}, g.primary.Pause(ctx, account, h) })
	if err != nil {
		return err
	}
	if g.mirror != nil {
		g.mirror.pause(account, h)
	}
	if h == nil {
		g.noted(g.book.drop("p " + account))
	} else {
		g.noted(g.book.put(&note{Key: "p " + account, When: g.now(), Account: account, Hold: h}))
	}
	return nil
}

// Give implements Store.
func (g *Guarded) Give(ctx context.Context, account string, gift Gift) error {
	_, err := call(ctx, g, func(ctx context.Context) (struct{}, error) { return struct{}{}, g.primary.Give(ctx, account, gift) })
	if err == nil {
		g.noted(g.book.put(&note{Key: "g " + account + " " + gift.ID, When: g.now(), Account: account, Gift: &gift}))
	}
	return err
}

// Resolve implements Store. While the store is away it answers by what the
// local store has learned, or with the first identity.
func (g *Guarded) Resolve(ctx context.Context, identities []string) (string, error) {
	name, err := call(ctx, g, func(ctx context.Context) (string, error) { return g.primary.Resolve(ctx, identities) })
	if !errors.Is(err, ErrUnavailable) || len(identities) == 0 {
		return name, err
	}
	if g.local != nil {
		return g.local.Resolve(ctx, identities)
	}
	return identities[0], nil
}

// Accounts implements Store.
func (g *Guarded) Accounts(ctx context.Context) ([]string, error) {
	return call(ctx, g, g.primary.Accounts)
}
