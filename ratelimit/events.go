package ratelimit

// What is learned of recipients, and what follows from it.

import "fmt"

// canonKey returns the recipient that a key stands for, and their record; nil
// when nothing is known of them.
func (g *engine) canonKey(account, key string) (string, *record, error) {
	for range maxHops {
		rec, err := g.shelf.load(account, key)
		if err != nil || rec == nil || rec.aliasOf == "" {
			return key, rec, err
		}
		key = rec.aliasOf
	}
	return "", nil, fmt.Errorf("resolve a recipient of %q: its threads go round in a circle: %w", account, ErrCorrupt)
}

// create makes a record, and before it that of its account.
func (g *engine) create(account, key string) *record {
	if key != "" {
		if wide, _ := g.shelf.load(account, ""); wide == nil {
			g.shelf.touch(g.shelf.create(account, ""))
		}
	}
	rec := g.shelf.create(account, key)
	g.shelf.touch(rec)
	return rec
}

// recordOf is the record of a recipient, made where it is missing.
func (g *engine) recordOf(account, key string) (*record, error) {
	key, rec, err := g.canonKey(account, key)
	if err == nil && rec == nil {
		rec = g.create(account, key)
	}
	return rec, err
}

// other is canonKey for a kind: an error fails the operation at its end.
func (g *engine) other(account, key string) *record {
	_, rec, err := g.canonKey(account, key)
	if err != nil {
		g.failed = err
	}
	return rec
}

func (e *Event) wrong() string {
	switch {
	case e.Account == "" || e.Recipient == "":
		return "it lacks its account or recipient"
	case len(e.Account) > maxName || len(e.Recipient) > maxName || len(e.Is) > maxName:
		return "a name is too long"
	case e.Kind < Replied || e.Kind > SameAs:
		return "its kind is unknown"
	case e.Kind == SameAs && e.Is == "":
		return "it does not say who the thread is"
	case e.At < 0:
		return "its time is out of range"
	}
	return ""
}

func (g *engine) observe(e *Event) error {
	if what := e.wrong(); what != "" {
		return fmt.Errorf("observe: %w: %s", ErrInvalid, what)
	}
	now := g.clock.read()
	at := e.At
	if at == 0 || at > now {
		at = now
	}
	account, _, err := g.canon(e.Account)
	if err != nil {
		return err
	}
	if e.Kind == SameAs {
		return g.sameAs(account, e.Recipient, e.Is)
	}
	rec, err := g.recordOf(account, e.Recipient)
	if err != nil {
		return err
	}
	switch {
	case e.Kind == Connected && at > rec.connected:
		rec.connected = at
		if err := g.answered(account, rec); err != nil {
			return err
		}
	case e.Kind == Replied && at > rec.replied:
		rec.replied = at
		if err := g.repay(account, rec, at, now); err != nil {
			return err
		}
		if err := g.answered(account, rec); err != nil {
			return err
		}
	default:
		return nil
	}
	g.shelf.touch(rec)
	return nil
}

// answered tells the counters of the account, and of its scopes, what is now
// known of a recipient.
func (g *engine) answered(account string, rec *record) error {
	wide, err := g.shelf.load(account, "")
	if err != nil || wide == nil {
		return err
	}
	homes := []*record{wide}
	for _, scope := range wide.scopes {
		shared, err := g.shelf.load(scope, "")
		if err != nil {
			return err
		}
		if shared == nil {
			continue
		}
		homes = append(homes, shared)
		own, err := g.shelf.load(scope, rec.key)
		if err != nil {
			return err
		}
		if own != nil {
			own.replied, own.connected = max(own.replied, rec.replied), max(own.connected, rec.connected)
			own.answered()
			g.shelf.touch(own)
		}
	}
	rec.answered(homes...)
	for _, home := range homes {
		g.shelf.touch(home)
	}
	g.shelf.touch(rec)
	return nil
}

// sameAs lets a thread stand for a recipient, with all that it had counted.
// One that already stands for another says nothing new.
func (g *engine) sameAs(account, thread, is string) error {
	known, err := g.shelf.load(account, thread)
	if err != nil || known != nil && known.aliasOf != "" {
		return err
	}
	is, to, err := g.canonKey(account, is)
	if err != nil || is == thread {
		return err
	}
	if to == nil {
		to = g.create(account, is)
	}
	from := known
	if from == nil {
		from = g.create(account, thread)
	}
	to.absorb(from)
	from.empty()
	from.aliasOf = is
	g.shelf.touch(from)
	g.shelf.touch(to)
	homes := []string{account}
	if wide, err := g.shelf.load(account, ""); err != nil {
		return err
	} else if wide != nil {
		homes = append(homes, wide.scopes...)
	}
	for _, home := range homes {
		if err := g.rename(home, thread, is, account); err != nil {
			return err
		}
	}
	return g.answered(account, to)
}

// rename lets what the counters of an account, or a scope, have counted for a
// thread count for its recipient.
func (g *engine) rename(home, thread, is, account string) error {
	wide, err := g.shelf.load(home, "")
	if err != nil {
		return err
	}
	if wide != nil {
		for i := range wide.counters {
			c := &wide.counters[i]
			kindOf(c.measure).same(c, thread, is)
		}
		g.shelf.touch(wide)
	}
	if home == account {
		return nil // its thread's record has been absorbed
	}
	from, err := g.shelf.load(home, thread)
	if err != nil || from == nil {
		return err
	}
	to, err := g.shelf.load(home, is)
	if err != nil {
		return err
	}
	if to == nil {
		to = g.create(home, is)
	}
	to.absorb(from)
	g.shelf.touch(to)
	g.shelf.remove(from)
	return nil
}

func (g *engine) give(account string, gift *Gift) error {
	switch {
	case account == "" || gift.ID == "" || gift.Limit == "":
		return fmt.Errorf("give: %w: it lacks its account, id or limit", ErrInvalid)
	case max(len(account), len(gift.ID), len(gift.Limit)) > maxName:
		return fmt.Errorf("give: %w: a name is too long", ErrInvalid)
	case gift.Units < 0 || gift.Units > maxCost || gift.End < 0:
		return fmt.Errorf("give: %w: its units or its end are out of range", ErrInvalid)
	}
	account, wide, err := g.canon(account)
	if err != nil {
		return err
	}
	if wide == nil {
		wide = g.create(account, "")
	}
	now := g.clock.read()
	kept := wide.gifts[:0:0]
	for _, old := range wide.gifts {
		if old.End == 0 || old.End+lingers > now {
			kept = append(kept, old)
		}
	}
	wide.gifts = kept
	if wide.addGift(*gift) {
		g.shelf.touch(wide)
	}
	return nil
}
