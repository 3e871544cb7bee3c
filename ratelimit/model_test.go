package ratelimit

// A naive model of the ledger: it keeps every message, counts by looking at all
// of them, and finds the earliest time by trying every moment at which anything
// changes. It shares no code with the evaluator but what the law itself fixes
// (the jitter of an id, how alike two texts are).

import (
	"context"
	"fmt"
	"os"
	"slices"
)

// The model's windows are a second long, its rolling windows and spacings
// shorter, so that a short history crosses many of them.
const modelWindow = 1000

func modelWindows(ms int64) *[3]Window {
	w := new([3]Window)
	start := ms - ms%modelWindow
	for i := range w {
		s := start + int64(i-1)*modelWindow
		w[i] = Window{fmt.Sprintf("%015d", s), s, s + modelWindow}
	}
	return w
}

// A taken is what one claim of a message took.
type taken struct {
	Claim
	short bool        // the limit had no room at once
	good  bool        // Ratio
	group *modelGroup // Similar
	paid  []share     // by pots
	first bool        // it was the counter's first
}

// A spent is one message of the model: admitted and not given back.
type spent struct {
	id, account string
	arrived     int
	slot        int64
	claims      []taken
	fired       bool
	leased      int64 // since when it is on its way
	closed      bool
}

// spentOf is a message of which nothing but its slot and claims matters.
func spentOf(id string, arrived int, slot int64, claims []Claim, fired bool) *spent {
	e := &spent{id: id, account: "anna", arrived: arrived, slot: slot, fired: fired}
	for _, cl := range claims {
		e.claims = append(e.claims, taken{Claim: cl})
	}
	return e
}

// A modelGroup is a group of texts that are alike.
type modelGroup struct {
	counter, name string
	text          *Likeness
}

type fact struct{ account, recipient string }

type model struct {
	now                int64
	events             []*spent
	replied, connected map[fact]int64
	groups             []*modelGroup
	first              map[string]int64
	byCounter          map[string][]mention // nil after a change
}

// A mention is a claim of a message.
type mention struct {
	e *spent
	t *taken
}

func newModel() *model {
	return &model{now: t0, replied: map[fact]int64{}, connected: map[fact]int64{}, first: map[string]int64{}}
}

// counterOf names the counter of a claim.
func counterOf(account string, cl *Claim) string {
	if cl.Scope != "" {
		account = cl.Scope
	}
	return account + "|" + cl.Limit + "|" + cl.Key
}

// A part is what a request asks of one counter.
type part struct {
	account, counter string
	claims           []*Claim // those that cost anything
	cost             int64
}

func (p *part) claim() *Claim { return p.claims[0] }

func (p *part) recipients() map[string]bool {
	set := map[string]bool{}
	for _, cl := range p.claims {
		set[cl.Recipient] = true
	}
	return set
}

func partsOf(r *Request) (parts []*part) {
	for i := range r.Claims {
		cl := &r.Claims[i]
		if cl.Cost == 0 || cl.Shadow {
			continue
		}
		name := counterOf(r.Account, cl)
		j := slices.IndexFunc(parts, func(p *part) bool { return p.counter == name })
		if j < 0 {
			j = len(parts)
			parts = append(parts, &part{account: r.Account, counter: name})
		}
		parts[j].claims = append(parts[j].claims, cl)
		parts[j].cost += cl.Cost
	}
	return parts
}

// each visits all that was taken from a counter.
func (m *model) each(counter string, f func(e *spent, t *taken)) {
	if m.byCounter == nil {
		m.byCounter = map[string][]mention{}
		for _, e := range m.events {
			for i := range e.claims {
				if t := &e.claims[i]; t.Cost > 0 {
					name := counterOf(e.account, &t.Claim)
					m.byCounter[name] = append(m.byCounter[name], mention{e, t})
				}
			}
		}
	}
	for _, x := range m.byCounter[counter] {
		f(x.e, x.t)
	}
}

// sum is what the messages cost of which counts says that they count, less
// what pots have paid.
func (m *model) sum(counter string, counts func(slot int64) bool) (n int64) {
	m.each(counter, func(e *spent, t *taken) {
		if counts(e.slot) {
			n += t.Cost
			for _, s := range t.paid {
				n -= s.n
			}
		}
	})
	return n
}

func (m *model) room(parts []*part, at int64) bool {
	for _, p := range parts {
		if !m.roomFor(p, at) {
			return false
		}
	}
	return true
}

func (m *model) roomFor(p *part, at int64) bool {
	cl := p.claim()
	if cl.Key == "" {
		behind := false
		m.each(p.counter, func(e *spent, t *taken) {
			behind = behind || !e.fired && t.short && at < e.slot
		})
		if behind {
			return false
		}
	}
	since := func(s int64) bool { return s > at-cl.Span }
	sameWindow := func(s int64) bool { return s/modelWindow == at/modelWindow }
	ever := func(int64) bool { return true }
	switch {
	case cl.Distinct && cl.Measure == Calendar:
		return m.recipientsRoom(p, sameWindow)
	case cl.Distinct && cl.Measure == Rolling:
		return m.recipientsRoom(p, since)
	case cl.Distinct:
		return m.recipientsRoom(p, ever)
	}
	switch cl.Measure {
	case Calendar:
		return max(m.allowed(p, at)-m.sum(p.counter, sameWindow), 0)+m.potsRoom(p, at) >= p.cost
	case Rolling:
		return max(m.allowed(p, at)-m.sum(p.counter, since), 0)+m.potsRoom(p, at) >= p.cost
	case Lifetime:
		return max(cl.Allow-m.sum(p.counter, ever), 0)+m.potsRoom(p, at) >= p.cost
	case Credits:
		return m.potsRoom(p, at) >= p.cost
	case Pace:
		return m.spaced(p, at)
	case Hours:
		last := int64(0)
		for _, o := range cl.Open {
			if o.Start <= at && at < o.End {
				return true
			}
			last = max(last, o.End)
		}
		return at >= last
	case Concurrent:
		var flying int64
		m.each(p.counter, func(e *spent, t *taken) {
			if e.fired && !e.closed && m.now < e.leased+leaseTime {
				flying += t.Cost
			}
		})
		return flying+p.cost <= cl.Allow || p.cost <= cl.Allow && at >= m.now+askAgain
	case Unanswered:
		after, last := m.replied[fact{p.account, cl.Key}], int64(0)
		used := m.sum(p.counter, func(s int64) bool {
			if s > after {
				last = max(last, s)
			}
			return s > after
		})
		return used+p.cost <= cl.Allow && (cl.Gap == 0 || len(p.claims) == 1) && (used == 0 || at >= last+cl.Gap)
	case Settling:
		from := m.connected[fact{p.account, cl.Key}]
		if from == 0 || m.replied[fact{p.account, cl.Key}] >= from || cl.Span > 0 && at >= from+cl.Span {
			return true
		}
		return m.sum(p.counter, func(s int64) bool { return s >= from && (cl.Span == 0 || s < from+cl.Span) })+p.cost <= cl.Allow
	case Similar:
		for _, g := range m.groups {
			if !m.groupRoom(p, g, at) {
				return false
			}
		}
		return true
	case Ratio:
		return m.ratioRoom(p, at)
	}
	panic("a measure that the model does not know")
}

func (m *model) recipientsRoom(p *part, counts func(slot int64) bool) bool {
	set := map[string]bool{}
	m.each(p.counter, func(e *spent, t *taken) {
		if counts(e.slot) {
			set[t.Recipient] = true
		}
	})
	before := len(set)
	for r := range p.recipients() {
		set[r] = true
	}
	return len(set) == before || int64(len(set)) <= p.claim().Allow
}

// allowed is the allowance at a time, which may grow.
func (m *model) allowed(p *part, at int64) int64 {
	cl := p.claim()
	if cl.Ramp.Over == 0 {
		return cl.Allow
	}
	first := at
	if f := m.first[p.counter]; f != 0 {
		first = min(f, at)
	}
	return min(cl.Ramp.From+(cl.Allow-cl.Ramp.From)*(at-first)/cl.Ramp.Over, cl.Allow)
}

// spaced reports whether a time is after what every message before it takes.
func (m *model) spaced(p *part, at int64) bool {
	cl := p.claim()
	costs := map[*spent]int64{}
	m.each(p.counter, func(e *spent, t *taken) { costs[e] += t.Cost })
	for e, n := range costs {
		if at < e.slot+n*spacing(cl, e.id) {
			return false
		}
	}
	return true
}

func spacing(cl *Claim, id string) int64 { return cl.Span + cl.Jitter*int64(fraction(id))>>16 }

// usablePots are those that are there at a time, what ends first first.
func (m *model) usablePots(p *part, at int64) (pots []Pot) {
	first := at
	if f := m.first[p.counter]; f != 0 {
		first = min(f, at)
	}
	all := p.claim().Pots
	for _, pot := range all {
		there := pot.Start <= at && (pot.End == 0 || at < pot.End)
		for _, q := range all {
			if pot.Accrued && q.Accrued && pot.Start < q.Start && q.Start <= first {
				there = false
			}
		}
		if there {
			m.each(p.counter, func(_ *spent, t *taken) {
				for _, s := range t.paid {
					if s.label == pot.Label {
						pot.Units -= s.n
					}
				}
			})
			pots = append(pots, pot)
		}
	}
	slices.SortStableFunc(pots, func(a, b Pot) int { return int(potEnd(a) - potEnd(b)) })
	return pots
}

func potEnd(p Pot) int64 {
	if p.End == 0 {
		return forever / 2
	}
	return p.End
}

func (m *model) potsRoom(p *part, at int64) (n int64) {
	for _, pot := range m.usablePots(p, at) {
		n += max(pot.Units, 0)
	}
	return n
}

// pay says what each pot pays of a claim: those that end before the window's
// end, then the window, then the others.
func (m *model) pay(p *part, cl *Claim, at int64) (paid []share) {
	due := cl.Cost
	from := func(pot *Pot) {
		if n := min(due, max(pot.Units, 0)); n > 0 {
			due -= n
			paid = append(paid, share{pot.Label, n})
		}
	}
	pots := m.usablePots(p, at)
	end, free := int64(0), int64(0) // a count that never ends pays first
	switch cl.Measure {
	case Calendar:
		end = at - at%modelWindow + modelWindow
		free = m.allowed(p, at) - m.sum(p.counter, func(s int64) bool { return s/modelWindow == at/modelWindow })
	case Rolling:
		free = m.allowed(p, at) - m.sum(p.counter, func(s int64) bool { return s > at-cl.Span })
	case Lifetime:
		free = cl.Allow - m.sum(p.counter, func(int64) bool { return true })
	}
	for i := range pots {
		if potEnd(pots[i]) < end {
			from(&pots[i])
		}
	}
	due -= min(due, max(free, 0))
	for i := range pots {
		if potEnd(pots[i]) >= end {
			from(&pots[i])
		}
	}
	return paid
}

// members are the first and the last slot of a group, and its recipients.
func (m *model) members(g *modelGroup) (first, last int64, people map[string]bool) {
	people = map[string]bool{}
	m.each(g.counter, func(e *spent, t *taken) {
		if t.group == g {
			if len(people) == 0 {
				first = e.slot
			}
			first, last = min(first, e.slot), max(last, e.slot)
			people[t.Recipient] = true
		}
	})
	return first, last, people
}

func (g *modelGroup) likeness(l *Likeness) int64 {
	return (&alike{exact: g.text.Exact, signature: g.text.Signature}).likenessOf(l)
}

// belongs reports whether a text belongs to a group at a time.
func (m *model) belongs(cl *Claim, counter string, g *modelGroup, at int64) bool {
	if g.counter != counter || cl.Likeness == nil || g.likeness(cl.Likeness) < cl.Rate {
		return false
	}
	first, last, people := m.members(g)
	return len(people) > 0 && at < max(first+broadcastOpen, last+cl.Gap)
}

func (m *model) groupRoom(p *part, g *modelGroup, at int64) bool {
	first, last, people := m.members(g)
	joins := false
	for _, cl := range p.claims {
		if m.belongs(cl, p.counter, g, at) {
			joins = true
			people[cl.Recipient] = true
		}
	}
	return !joins || int64(len(people)) < p.claim().Allow || max(last, at)-min(first, at) < broadcastOpen
}

// join finds the group of a message, or makes it one.
func (m *model) join(cl *Claim, counter string, at int64) *modelGroup {
	var best *modelGroup
	for _, g := range m.groups {
		if !m.belongs(cl, counter, g, at) {
			continue
		}
		if best == nil {
			best = g
			continue
		}
		a, b := g.likeness(cl.Likeness), best.likeness(cl.Likeness)
		fa, _, _ := m.members(g)
		fb, _, _ := m.members(best)
		if a > b || a == b && (fa < fb || fa == fb && g.name < best.name) {
			best = g
		}
	}
	if best == nil {
		best = &modelGroup{counter: counter, name: fmt.Sprintf("%s.%d", cl.Likeness.Exact, at/broadcastOpen), text: cl.Likeness}
		m.groups = append(m.groups, best)
	}
	return best
}

func (m *model) ratioRoom(p *part, at int64) bool {
	cl := p.claim()
	var sent, good int64
	open := map[string]bool{} // who did not answer something
	m.each(p.counter, func(e *spent, t *taken) {
		if e.slot <= at-cl.Span {
			return
		}
		if sent += t.Cost; t.good {
			good += t.Cost
		} else {
			open[t.Recipient] = true
		}
	})
	if sent < cl.Sample || sent == 0 || good*1_000_000 >= cl.Rate*sent {
		return true
	}
	for r := range p.recipients() {
		if cl.Good == Connected && m.connected[fact{p.account, r}] == 0 {
			return false
		}
		if cl.Good == Replied && (m.replied[fact{p.account, r}] == 0 || open[r]) {
			return false
		}
	}
	return true
}

// earliest tries now and every later moment at which something may change.
func (m *model) earliest(r *Request) (int64, bool) {
	parts := partsOf(r)
	if m.room(parts, m.now) {
		return m.now, true
	}
	moments := []int64{m.now + askAgain}
	add := func(t int64) {
		if t > m.now {
			moments = append(moments, t)
		}
	}
	last := m.now + 2*modelWindow
	for _, p := range parts {
		cl := p.claim()
		m.each(p.counter, func(e *spent, t *taken) {
			last = max(last, e.slot)
			add(e.slot)
			add(e.slot + cl.Span)
			add(e.slot + cl.Gap)
			if cl.Measure == Similar {
				add(e.slot + broadcastOpen)
				add(e.slot - broadcastOpen + 1)
			}
			if cl.Measure == Pace {
				for n := range int64(7) {
					add(e.slot + n*spacing(cl, e.id))
				}
			}
		})
		if cl.Key != "" {
			add(m.connected[fact{p.account, cl.Key}] + cl.Span)
		}
		for _, o := range cl.Open {
			add(o.Start)
		}
		for _, pot := range cl.Pots {
			add(pot.Start)
		}
		if height := cl.Allow - cl.Ramp.From; cl.Ramp.Over > 0 && m.first[p.counter] > 0 {
			for n := range height {
				add(m.first[p.counter] + ((n+1)*cl.Ramp.Over+height-1)/height)
			}
		}
	}
	for t := m.now - m.now%modelWindow; t < last+3*modelWindow && t < m.now+100*modelWindow; t += modelWindow {
		add(t)
	}
	slices.Sort(moments)
	for _, t := range slices.Compact(moments) {
		if m.room(parts, t) {
			return t, true
		}
	}
	return 0, false
}

// take notes a message that was let go or booked.
func (m *model) take(r *Request, d *Decision) *spent {
	e := &spent{id: r.ID, account: r.Account, slot: d.At, fired: d.Verdict == Go, leased: m.now}
	m.events = append(m.events, e)
	for i := range r.Claims {
		cl := r.Claims[i]
		if cl.Cost == 0 || cl.Measure == Hours || cl.Measure == Similar && cl.Likeness == nil {
			continue
		}
		t := taken{Claim: cl}
		for _, u := range d.Uses {
			if u.Limit == cl.Limit && u.Key == cl.Key {
				t.short = u.Short && !u.Shadow
			}
		}
		who := fact{r.Account, cl.Recipient}
		p := &part{account: r.Account, counter: counterOf(r.Account, &cl), claims: []*Claim{&cl}, cost: cl.Cost}
		switch {
		case cl.Measure == Similar:
			t.group = m.join(&cl, p.counter, d.At)
		case cl.Measure == Ratio && cl.Good == Connected:
			t.good = m.connected[who] != 0
		case cl.Measure == Ratio:
			t.good = m.replied[who] >= d.At
		case cl.Pots != nil && !cl.Shadow:
			t.paid = m.pay(p, &cl, d.At)
		}
		f := m.first[p.counter]
		t.first, m.first[p.counter] = f == 0 || f == d.At, earlier(f, d.At)
		e.claims = append(e.claims, t)
		m.byCounter = nil
	}
	return e
}

// find returns an open message.
func (m *model) find(id string) *spent {
	for _, e := range m.events {
		if e.id == id && !e.closed {
			return e
		}
	}
	return nil
}

// giveBack takes out what which says of a message.
func (m *model) giveBack(e *spent, which func(t *taken) bool) {
	m.byCounter = nil
	var gone []taken
	e.claims = slices.DeleteFunc(e.claims, func(t taken) bool {
		out := which(&t)
		if out {
			gone = append(gone, t)
		}
		return out
	})
	for i := range gone {
		// A counter begins anew where its first charge was its only one.
		if name, left := counterOf(e.account, &gone[i].Claim), false; gone[i].first {
			if m.each(name, func(*spent, *taken) { left = true }); !left {
				m.first[name] = 0
			}
		}
	}
	if m.byCounter = nil; len(e.claims) == 0 {
		m.events = slices.DeleteFunc(m.events, func(o *spent) bool { return o == e })
	}
}

func (m *model) observe(e *Event) {
	at := e.At
	if at == 0 || at > m.now {
		at = m.now
	}
	who := fact{e.Account, e.Recipient}
	known := m.connected
	if e.Kind == Replied {
		known = m.replied
	}
	if at <= known[who] {
		return
	}
	known[who] = at
	if e.Kind != Replied {
		return
	}
	for _, s := range slices.Clone(m.events) {
		if s.account != e.Account {
			continue
		}
		for i := range s.claims {
			if t := &s.claims[i]; t.Recipient == e.Recipient && t.Good == Replied && s.slot <= at {
				t.good = true
			}
		}
		returned := func(t *taken) bool {
			return t.Returned > 0 && t.Recipient == e.Recipient && s.slot <= at && at < s.slot+t.Returned
		}
		if slices.ContainsFunc(s.claims, func(t taken) bool { return returned(&t) }) {
			for i := range s.claims { // it was charged all the same
				s.claims[i].first = s.claims[i].first && !returned(&s.claims[i])
			}
			m.giveBack(s, returned)
		}
	}
}

// over names a limit that some window holds too much of; "" if none.
func (m *model) over() string {
	for _, e := range m.events {
		for i := range e.claims {
			cl := &e.claims[i].Claim
			if cl.Shadow || cl.Cost == 0 {
				continue
			}
			name := counterOf(e.account, cl)
			var used int64
			within := func(s int64) bool { return s > e.slot-cl.Span && s <= e.slot }
			switch {
			case cl.Measure == Calendar:
				within = func(s int64) bool { return s/modelWindow == e.slot/modelWindow }
			case cl.Measure == Lifetime:
				within = func(int64) bool { return true }
			case cl.Measure == Pace:
				m.each(name, func(o *spent, t *taken) {
					if o != e && o.slot <= e.slot && e.slot-o.slot < t.Cost*spacing(cl, o.id) {
						used = cl.Allow + 1
					}
				})
			case cl.Measure == Unanswered:
				after, last := m.replied[fact{e.account, cl.Key}], int64(-1)
				m.each(name, func(o *spent, t *taken) {
					if o != e && o.slot < e.slot && o.slot > after {
						last = max(last, o.slot)
					}
				})
				if last >= 0 && e.slot > after && e.slot-last < cl.Gap {
					return cl.Limit + " has no gap"
				}
				within = func(s int64) bool { return s > after }
			case cl.Measure != Rolling:
				continue
			}
			if cl.Distinct {
				set := map[string]bool{}
				m.each(name, func(o *spent, t *taken) {
					if within(o.slot) {
						set[t.Recipient] = true
					}
				})
				used = int64(len(set))
			} else if cl.Measure != Pace {
				used = m.sum(name, within)
			}
			if used > cl.Allow {
				return fmt.Sprintf("%s holds %d", name, used)
			}
		}
	}
	return ""
}

// image is everything that a memory store has counted, as bytes.
func (m *Memory) image() []byte {
	var b []byte
	names, _ := m.Accounts(context.Background())
	for _, name := range names {
		a := m.shelf.accounts[name]
		b = appendRecord(append(b, name...), a.wide)
		keys, _ := m.shelf.keys(name)
		for _, k := range keys {
			b = appendRecord(append(b, k...), a.keyed[k])
		}
	}
	return b
}

// soak reports whether the long forms are asked for.
func soak() bool { return os.Getenv("QUOTAGATE_SOAK") == "1" }
