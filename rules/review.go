package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What no single file or limit can see: whether the parts fit each other.

func split(name string) (service, kind string) {
	service, kind, _ = strings.Cut(name, ".")
	return service, kind
}

func (s *Set) review(g *gathered) {
	at := g.l.r.at
	for _, m := range g.messages {
		if m != nil && m.Refuse != "" && g.refusals[m.Refuse] == nil {
			at(m.pos, "%s is refused as %q, and there is no such refusal\n%s", m.Name, m.Refuse, choose(m.Refuse, sorted(g.refusals)))
		}
	}
	s.reviewPlans(g)
	s.reviewAccounts(g)
	s.reviewLimits(g)
	s.reviewCredits(g)
	s.reviewEvents(g)
	s.reviewCooldowns(g)
	s.reviewOverlap(g)
	s.reviewAge(g)
}

// aged is how old what a file says of a service may be before it is doubted:
// services change their limits several times a year.
const aged = 365 * 24 * time.Hour

// reviewAge reads as_of of every file: a month, or a day.
func (s *Set) reviewAge(g *gathered) {
	for _, f := range g.l.order {
		as := f.file.AsOf
		if as.S == "" {
			continue
		}
		at, err := time.Parse("2006-01-02", as.S)
		if err != nil {
			at, err = time.Parse("2006-01", as.S)
		}
		if err != nil {
			g.l.r.at(as.pos, "%q is not a month or a day\nwrite as_of: 2026-11, or 2026-11-21", as.S)
			continue
		}
		s.asOf = append(s.asOf, checked{as.pos, at})
	}
}

// checked is when what a file says was last checked.
type checked struct {
	pos
	when time.Time
}

// Aged are warnings of files that say they were last checked more than a year
// before now.
func (s *Set) Aged(now time.Time) []Warning {
	var aging []Warning
	for _, c := range s.asOf {
		if now.Sub(c.when) > aged {
			aging = append(aging, Warning{c.pos, fmt.Sprintf("this file was last checked in %s", c.when.Format("January 2006")), "see whether the service still says the same"})
		}
	}
	return aging
}

func (s *Set) reviewAccounts(g *gathered) {
	warn := g.l.r.warn
	for _, name := range sorted(g.accounts) {
		a, p := g.accounts[name], s.accounts[name]
		if len(a.Identity) == 0 && name != shared {
			warn(a.pos, "the account %q lists no identity: nothing on the wire can name it", name)
		}
		for _, user := range sorted(a.Class) {
			if user == "" {
				warn(a.pos, "the account %q has a class for a proxy user without a name", name)
			}
		}
		for _, r := range s.limits {
			if r.home.pack != "" || r.number == nil || r.number.Plans == nil || len(r.on) == 0 || !r.home.everyone && !r.home.only[name] || r.plans != nil && !r.plans[p.plan] {
				continue
			}
			if _, ok := r.number.Plans[p.plan]; !ok {
				warn(a.pos, "the limit %q has no number for the plan %q of %q and does not bind it", r.name, p.plan, name)
			}
		}
	}
}

func (s *Set) reviewLimits(g *gathered) {
	warn := g.l.r.warn
	for _, r := range s.limits {
		s.reviewScale(g, r)
		s.reviewCalls(g, r)
		switch {
		case r.open != nil && r.open.always():
			warn(r.Name.pos, "the hours of %q are all hours: it keeps nothing back", r.name)
		case len(r.on) == 0:
			warn(r.Name.pos, "the limit %q binds nothing: no file describes a message\nadd a pack to use:", r.name)
		case !r.home.everyone && len(r.home.only) == 0:
			warn(r.Name.pos, "the limit %q binds no account", r.name)
		case r.number != nil && r.number.Plans == nil && r.number.All == 0:
			warn(r.Name.pos, "the limit %q allows 0: it lets nothing through, ever", r.name)
		}
	}
	if len(s.limits) == 0 {
		file := "rules"
		if n := len(g.l.order); n > 0 {
			file = g.l.order[n-1].name
		}
		warn(Pos{File: file}, "there is no limit: every message is let through\nadd a regime to use:, or write limits:")
	}
}

// reviewCalls warns of calls that nobody could be told to have made: they are
// not counted.
func (s *Set) reviewCalls(g *gathered, r *rule) {
	for _, name := range r.on {
		owner := s.matcher.services[strings.TrimSuffix(name, requests)]
		if isRequest(name) && owner != nil && len(owner.account) == 0 && s.unknown != shared {
			g.l.r.warn(r.Name.pos, "nothing says whose a call to %s is: the limit %q counts its messages alone\ngive the service account:, or write unknown_account: shared", owner.name, r.name)
		}
	}
}

// reviewScale warns where nobody can say what a limit allows an account.
func (s *Set) reviewScale(g *gathered, r *rule) {
	if r.scale == nil || len(r.scale.branches) > 0 {
		return
	}
	const why = "the scale of %q asks for what is not known of %s: it then allows 0\nlist the fact, or say what holds without it: facts.connections ?? 500"
	if r.home.everyone && !r.scale.answers(s.stranger, "") {
		g.l.r.warn(r.Scale.pos, why, r.name, "accounts that are not listed")
	}
	for _, name := range sorted(s.accounts) {
		if (r.home.everyone || r.home.only[name]) && !r.scale.answers(s.accounts[name], name) {
			g.l.r.warn(r.Scale.pos, why, r.name, strconv.Quote(name))
		}
	}
}

// reviewEvents warns where a limit waits for what nothing in the files tells.
func (s *Set) reviewEvents(g *gathered) {
	told := map[string]bool{}
	for _, e := range s.matcher.events {
		told[e.service+" "+e.def.Means] = true
	}
	for _, r := range s.limits {
		replies, connections := r.hears()
		for _, service := range r.services() {
			if replies && !told[service+" "+meansReply] {
				g.l.r.warn(r.Name.pos, "nothing tells when somebody replies on %s: to the limit %q nobody ever does\ndescribe it under events:, with means: reply", service, r.name)
			}
			if connections && !told[service+" "+meansConnect] {
				g.l.r.warn(r.Name.pos, "nothing tells when somebody becomes a connection on %s: to the limit %q nobody ever does\ndescribe it under events:, with means: connected", service, r.name)
			}
		}
	}
}
