package ratelimit

// Between a record and its portable form. What is read is checked: whoever
// edited it may have made a mistake.

import (
	"cmp"
	"fmt"
	"slices"
)

func (r *record) portable() *portableRecord {
	p := &portableRecord{
		Account: r.account, Key: r.key, SameAs: r.aliasOf, Replied: r.replied, Connected: r.connected,
		Scopes: r.scopes, Message: r.mark.id, Sent: r.mark.at,
	}
	for i := range r.holds {
		h := &r.holds[i]
		p.Holds = append(p.Holds, portableHold{h.Name, h.Until, h.Why, h.Ramp, h.lasted, h.within, h.ids})
	}
	for _, g := range r.gifts {
		p.Gifts = append(p.Gifts, portableGift(g))
	}
	for i := range r.owed {
		o := &r.owed[i]
		ch := &o.charge
		q := portableCharge{
			Scope: ch.scope, Key: ch.key, Limit: ch.limit, Unit: ch.unit, Measure: measureName(ch.measure), Item: ch.item,
			Cost: ch.cost, Label: ch.label, At: ch.at, Warned: ch.warned, First: ch.first, Recipient: ch.recipient, Where: ch.where,
		}
		for _, s := range ch.split {
			q.Split = append(q.Split, portablePot{Label: s.label, Used: s.n})
		}
		p.Owed = append(p.Owed, portableDebt{o.id, o.slot, o.until, q})
	}
	for i := range r.counters {
		p.Counters = append(p.Counters, r.counters[i].portable())
	}
	return p
}

func (c *counter) portable() portableCounter {
	p := portableCounter{
		Limit: c.limit, Measure: measureName(c.measure), Unit: c.unit, First: c.first,
		Used: c.used, Warned: c.warned, Span: c.span, Seen: portableSights(c.seen),
	}
	for i := range c.wins {
		if w := &c.wins[i]; w.label != "" || i == 0 && c.wins[1].label != "" {
			p.Windows = append(p.Windows, portableWindow{w.label, w.start, w.end, w.used, w.warned, portableSights(w.seen)})
		}
	}
	for _, e := range c.log {
		p.Log = append(p.Log, [3]int64{e.at, e.n, e.good})
	}
	for _, s := range c.slots {
		p.Slots = append(p.Slots, [3]int64{s.at, s.n, int64(s.frac)})
	}
	for _, u := range c.pots {
		p.Pots = append(p.Pots, portablePot{u.label, u.used, u.end})
	}
	if a := c.alike; a != nil {
		p.Alike = &portableAlike{Until: a.until, Groups: a.groups, Exact: a.exact, Signature: []byte(a.signature), Others: a.others}
		for _, r := range a.people {
			p.Alike.People = append(p.Alike.People, portableSight{Who: r.who, N: r.n})
		}
	}
	return p
}

func portableSights(seen []sight) (list []portableSight) {
	for _, s := range seen {
		list = append(list, portableSight{s.who, s.at, s.n})
	}
	return list
}

// record is the record that was written so.
func (p *portableRecord) record() (*record, error) {
	if p.Account == "" || len(p.Account) > maxName || len(p.Key) > maxName {
		return nil, fmt.Errorf("its account or key is missing or too long")
	}
	r := &record{
		account: p.Account, key: p.Key, aliasOf: p.SameAs, replied: p.Replied, connected: p.Connected,
		scopes: p.Scopes, mark: mark{p.Message, p.Sent},
	}
	for _, h := range p.Holds {
		r.holds = append(r.holds, hold{Hold{h.Name, h.Until, h.Why, h.Ramp}, h.Lasted, h.Within, h.Answers})
	}
	for _, g := range p.Gifts {
		r.gifts = append(r.gifts, Gift(g))
	}
	for i := range p.Owed {
		o := &p.Owed[i]
		q := &o.Charge
		m, ok := measureNamed(q.Measure)
		if !ok {
			return nil, fmt.Errorf("the measure %q is unknown", q.Measure)
		}
		ch := charge{
			scope: q.Scope, key: q.Key, limit: q.Limit, unit: q.Unit, measure: m, item: q.Item, cost: q.Cost,
			label: q.Label, at: q.At, warned: q.Warned, first: q.First, recipient: q.Recipient, where: q.Where,
		}
		for _, s := range q.Split {
			ch.split = append(ch.split, share{s.Label, s.Used})
		}
		r.owed = append(r.owed, debt{o.ID, o.Slot, o.Until, ch})
	}
	r.counters = make([]counter, len(p.Counters))
	for i := range p.Counters {
		if err := p.Counters[i].counter(&r.counters[i]); err != nil {
			return nil, fmt.Errorf("limit %q: %w", p.Counters[i].Limit, err)
		}
		if c := &r.counters[i]; r.find(c.limit, c.measure, c.unit) != c {
			return nil, fmt.Errorf("limit %q is there twice", c.limit)
		}
	}
	return r, nil
}

func (p *portableCounter) counter(c *counter) error {
	m, ok := measureNamed(p.Measure)
	switch {
	case !ok:
		return fmt.Errorf("the measure %q is unknown", p.Measure)
	case p.Limit == "" || len(p.Limit) > maxName:
		return fmt.Errorf("its name is missing or too long")
	case len(p.Windows) > len(c.wins):
		return fmt.Errorf("it has more than %d windows", len(c.wins))
	case p.Used < 0 || p.Span < 0 || p.First < 0:
		return fmt.Errorf("a number is negative")
	}
	*c = counter{limit: p.Limit, measure: m, unit: p.Unit, first: p.First, used: p.Used, warned: p.Warned, span: p.Span, seen: sightsOf(p.Seen)}
	for i, w := range p.Windows {
		if w.Used < 0 || w.End < w.Start {
			return fmt.Errorf("its window %q is not valid", w.Label)
		}
		c.wins[i] = tally{w.Label, w.Start, w.End, w.Used, w.Warned, sightsOf(w.Seen)}
	}
	for _, e := range p.Log {
		c.log = append(c.log, entry{at: e[0], n: e[1], good: e[2]})
		c.total += e[1]
	}
	for _, s := range p.Slots {
		c.slots = append(c.slots, slot{at: s[0], n: s[1], frac: uint16(s[2])})
	}
	if !slices.IsSortedFunc(c.log, func(a, b entry) int { return cmp.Compare(a.at, b.at) }) ||
		!slices.IsSortedFunc(c.slots, func(a, b slot) int { return cmp.Compare(a.at, b.at) }) {
		return fmt.Errorf("its times are not in order")
	}
	for _, u := range p.Pots {
		c.pots = append(c.pots, potUse{u.Label, u.Used, u.End})
	}
	if a := p.Alike; a != nil {
		c.alike = &alike{until: a.Until, groups: a.Groups, exact: a.Exact, signature: string(a.Signature), others: a.Others}
		for _, r := range a.People {
			c.alike.people = append(c.alike.people, received{r.Who, r.N})
		}
	}
	return nil
}

// sightsOf sorts as the counters want it.
func sightsOf(list []portableSight) (seen []sight) {
	for _, s := range list {
		seen = append(seen, sight{s.Who, s.At, s.N})
	}
	slices.SortFunc(seen, compareSights)
	return seen
}
