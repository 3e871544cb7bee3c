package rules

import (
	"slices"
	"strings"
	"time"

	"quotagate/ratelimit"
)

// Units that can be used once: credits that accrue with the plan, and add-ons
// of an account. To the ledger both are pots.

// mostPots bounds how many windows of a credit may last side by side.
const mostPots = 400

// stocks checks the credits of all files.
func (c *compiler) stocks() {
	for _, name := range sorted(c.g.credits) {
		s := c.g.credits[name]
		switch {
		case s.Accrue != nil && s.Per.Line == 0:
			c.at(s.pos, "the credits %q do not say per what they accrue\nwrite per: month", name)
		case s.Accrue == nil && s.Per.Line != 0:
			c.at(s.Per.pos, "the credits %q have a window, and nothing accrues with it\nwrite accrue: 50, or leave per: out", name)
		case s.Accrue == nil && s.Carry != nil:
			c.at(s.Carry.pos, "the credits %q carry over, and nothing accrues\nwrite accrue: 50, or leave carry: out", name)
		}
		unit := s.unit()
		if s.Carry == nil || unit < 0 {
			continue
		}
		switch {
		case s.Carry.Ms/shortest(unit) > mostPots:
			c.at(s.Carry.pos, "what accrues per %s is carried over %d times and more\n%d windows can last side by side; a longer per: is coarser", s.Per.S, s.Carry.Ms/shortest(unit), mostPots)
		case s.Carry.Ms <= shortest(unit) && !c.g.l.r.misread[s.Carry.pos]:
			c.g.l.r.warn(s.Carry.pos, "the credits %q last for their %s: carrying them for less changes nothing", name, s.Per.S)
		}
	}
}

// unit is the calendar's unit that the credits accrue with; -1 none.
func (s *credit) unit() int {
	names := unitNames()
	return slices.Index(names[:], s.Per.S)
}

// spends reads a limit's `credits:`.
func (c *compiler) spends(l *limit, r *rule) {
	r.people = l.ReturnedOnReply != nil
	if r.credit = c.g.credits[l.Credits.S]; r.credit != nil {
		r.credit.used = true
	} else if l.Credits.S != "" {
		hint := choose(l.Credits.S, sorted(c.g.credits))
		if hint == "" {
			hint = "describe them at the top of the file: credits: {" + l.Credits.S + ": {accrue: 50, per: month}}"
		}
		c.at(l.Credits.pos, "there are no credits %q\n%s", l.Credits.S, hint)
	}
	if d := l.ReturnedOnReply; d != nil && d.Ms == 0 && !c.g.l.r.misread[d.pos] {
		c.at(d.pos, "no reply comes within 0")
	}
}

// returned is how long a reply gives back what the message took (ms).
func (r *rule) returned() int64 {
	if r.ReturnedOnReply == nil {
		return 0
	}
	return r.ReturnedOnReply.Ms
}

// pots are what a limit has besides what it allows: of its credits every
// window that can still be used and the next one, and the account's add-ons.
func (r *rule) pots(p *person, now time.Time) []ratelimit.Pot {
	extra := p.addOns[r.name]
	if r.credit == nil || r.credit.Accrue == nil {
		return extra
	}
	n := r.credit.Accrue.All
	if r.credit.Accrue.Plans != nil {
		n = r.credit.Accrue.Plans[p.plan] // a plan that is not there gets none
	}
	var carry int64
	if r.credit.Carry != nil {
		carry = r.credit.Carry.Ms
	}
	windows := p.calendars[r.credit.unit()].since(now, carry)
	pots := make([]ratelimit.Pot, 0, len(windows)+len(extra))
	for _, w := range windows {
		end := max(w.End, w.Start+carry)
		if end <= now.UnixMilli() || w.Start == w.End {
			continue // nothing accrues on a day that never was
		}
		pots = append(pots, ratelimit.Pot{Label: w.Label, Start: w.Start, End: end, Units: n, Accrued: true})
	}
	return append(pots, extra...)
}

// since are the windows that began within so many milliseconds before now, at
// least the one before now's, up to the one after it, in order.
func (c *calendar) since(now time.Time, ms int64) []ratelimit.Window {
	around := c.windows(now)
	key := since{around[1].Start, ms}
	if last := c.past.Load(); last != nil && last.since == key {
		return last.windows
	}
	list := around[:]
	// One more than needed: whoever asks looks at the ends.
	for list[0].Start > around[1].Start-ms && len(list) <= 2*mostPots {
		// The one around the instant before: a day that a country skipped
		// has no length, and is in none.
		before := (&calendar{loc: c.loc, unit: c.unit}).windows(time.UnixMilli(list[0].Start - 1))[1]
		list = append([]ratelimit.Window{before}, list...)
	}
	c.past.Store(&pastWindows{key, list})
	return list
}

// since is what past windows were asked for: from which on, how far back.
type since struct{ start, ms int64 }

type pastWindows struct {
	since
	windows []ratelimit.Window
}

// equip gives the listed accounts their add-ons.
func (s *Set) equip(g *gathered) {
	byName := map[string]*rule{}
	for _, r := range s.limits {
		byName[r.name] = r
	}
	for _, name := range sorted(g.accounts) {
		p := s.accounts[name]
		for i := range g.accounts[name].AddOns {
			s.addOn(g, p, &g.accounts[name].AddOns[i], byName)
		}
		p.settle()
	}
}

// extra is an add-on, checked.
type extra struct {
	limit, label string
	units        int64
	day          int64 // the last civil day on which it can be used, where it ends with one
	end          int64 // or the time at which it ends (ms); 0 never
}

func (s *Set) addOn(g *gathered, p *person, a *addOn, byName map[string]*rule) {
	at := g.l.r.at
	r := byName[a.Limit.S]
	if a.Limit.S == "" || a.Extra == nil || a.Extra.N == 0 {
		return // said where it was decoded
	}
	x := extra{limit: a.Limit.S, units: a.Extra.N, day: never, label: "until " + a.Until.S}
	if a.Until.S == "" {
		x.label = "add-on"
	} else if day, err := time.Parse(time.DateOnly, a.Until.S); err == nil {
		x.day = floorDiv(day.Unix(), 86400)
	} else if t, err := time.Parse(time.RFC3339, a.Until.S); err == nil {
		x.end = t.UnixMilli()
	} else {
		at(a.Until.pos, "%q is not a day or a time\nwrite until: 2026-12-31, the last day, or 2026-12-31T12:00:00+01:00", a.Until.S)
		return
	}
	if a.Name.S != "" {
		x.label = "add-on " + a.Name.S
	}
	switch {
	case r == nil:
		at(a.Limit.pos, "there is no limit %q\n%s", a.Limit.S, choose(a.Limit.S, sorted(byName)))
	case r.lead != "allow" && r.lead != "credits":
		at(a.Limit.pos, "the limit %q has no number that could be added to: it is by %s\nadd-ons are of limits with allow: or credits:", r.name, r.lead)
	case r.each || r.service || r.Distinct.S != "":
		at(a.Limit.pos, "the limit %q does not count what one account sends\nadd-ons are of limits without by:, scope: and distinct:", r.name)
	case slices.ContainsFunc(p.extras, func(y extra) bool { return y.limit == x.limit && y.label == x.label }):
		at(a.pos, "two add-ons of %q that would be counted as one\nadd them up, or give each a name:", r.name)
	default:
		if _, ok := r.binds(p, p.name); !ok {
			g.l.r.warn(a.pos, "the limit %q does not bind %q: the add-on adds nothing", r.name, p.name)
		}
		p.extras = append(p.extras, x)
	}
}

// never is a day that nobody lives to see.
const never = 1 << 40

// settle makes pots of the account's add-ons: the days that they end with are
// its zone's.
func (p *person) settle() {
	p.addOns = nil
	for _, x := range p.extras {
		end := x.end
		if x.day != never {
			end = p.calendars[day].begins(x.day+1) * 1000
		}
		if p.addOns == nil {
			p.addOns = map[string][]ratelimit.Pot{}
		}
		p.addOns[x.limit] = append(p.addOns[x.limit], ratelimit.Pot{Label: x.label, End: end, Units: x.units})
	}
}

// reviewCredits warns of credits that nobody gets, or spends.
func (s *Set) reviewCredits(g *gathered) {
	for _, name := range sorted(g.credits) {
		if !g.credits[name].used {
			g.l.r.warn(g.credits[name].pos, "no limit spends the credits %q\nwrite credits: %s in a limit", name, name)
		}
	}
	for _, r := range s.limits {
		if r.credit == nil || r.credit.Accrue == nil || r.credit.Accrue.Plans == nil || !r.home.everyone || r.plans != nil && !r.plans[s.stranger.plan] {
			continue
		}
		if _, ok := r.credit.Accrue.Plans[s.stranger.plan]; !ok {
			g.l.r.warn(r.Credits.pos, "the plan %q gets no credits %q: accounts that are not listed have only what they are given\nplans: says whom a limit binds; with credits are %s",
				s.stranger.plan, r.Credits.S, strings.Join(sorted(r.credit.Accrue.Plans), ", "))
		}
	}
}
