package rules

import (
	"maps"
	"slices"
	"strings"
	"time"

	"quotagate/ratelimit"
)

// The listed accounts, and the one that stands for all others.

// person is what limits ask about an account.
type person struct {
	name, plan string
	loc        *time.Location
	facts      map[string]any
	calendars  *[units]calendar // of loc, shared by all accounts in it
	extras     []extra
	addOns     map[string][]ratelimit.Pot // of extras, by limit
}

// person is a listed account, or what holds for those that are not.
func (s *Set) person(account string) *person {
	if p := s.accounts[account]; p != nil {
		return p
	}
	return s.stranger
}

// meet makes the accounts and the index of their identities.
func (s *Set) meet(g *gathered) {
	at := g.l.r.at
	zones := map[string]*[units]calendar{}
	place := func(name text) (*time.Location, *[units]calendar) {
		loc, err := zone(name.S)
		if err != nil {
			at(name.pos, "unknown time zone %q\n%s", name.S, zoneHint(name.S))
			loc = time.UTC
		}
		c := zones[loc.String()]
		if c == nil {
			c = newCalendars(loc)
			zones[loc.String()] = c
		}
		return loc, c
	}
	home := text{S: g.word(func(d *defaults) text { return d.Timezone }, "UTC")}
	for _, d := range g.defaults {
		if d.Timezone.S == home.S {
			home = d.Timezone
		}
	}
	s.stranger = &person{plan: g.word(func(d *defaults) text { return d.Plan }, freePlan), facts: map[string]any{}}
	s.stranger.loc, s.stranger.calendars = place(home)

	s.accounts = map[string]*person{}
	s.people = people{owner: map[identity]string{}, named: map[string]string{}, kinds: map[string]map[string]bool{}, class: map[string]map[string]text{}}
	known := g.kinds()
	for _, name := range sorted(g.accounts) {
		a := g.accounts[name]
		p := &person{name: name, plan: a.Plan.S, facts: a.Facts, loc: s.stranger.loc, calendars: s.stranger.calendars}
		if p.plan == "" {
			p.plan = s.stranger.plan
		}
		if p.facts == nil {
			p.facts = map[string]any{}
		}
		if a.Timezone.S != "" {
			p.loc, p.calendars = place(a.Timezone)
		}
		s.accounts[name] = p
		if name == "" || strings.ContainsAny(name, "~ \t\n/") || strings.HasPrefix(name, scopeOf("")) {
			at(a.pos, "an account cannot be named %q\nuse letters, digits, dots and dashes", name)
		}
		s.people.class[name] = a.Class
		s.people.kinds[name] = map[string]bool{}
		for _, id := range a.Identity {
			s.identify(g, name, id, known)
		}
	}
}

// identify indexes one identity of an account.
func (s *Set) identify(g *gathered, account string, id listed, known map[string]bool) {
	at := g.l.r.at
	if id.Kind == "" || id.Value == "" {
		if id.Kind != "" {
			at(id.pos, "the identity %s of %q is empty", id.Kind, account)
		}
		return
	}
	if id.Kind != proxyUser && !known[id.Kind] {
		words := append(slices.Collect(maps.Keys(known)), proxyUser)
		at(id.pos, "no message and no service in force has an identity of the kind %q\n%s", id.Kind, choose(id.Kind, words))
		return
	}
	s.people.kinds[account][id.Kind] = true
	// The name that logs show for a secret may be listed in its place.
	service, _, _ := strings.Cut(id.Kind, ".")
	public := id.Kind != proxyUser && strings.HasPrefix(id.Value, service+"~")
	other, ok := s.people.owner[id.identity]
	if public {
		other, ok = s.people.named[id.Value]
	}
	switch {
	case ok:
		at(id.pos, "this %s is an identity of %q and of %q\nan identity belongs to one account", id.Kind, other, account)
	case public:
		s.people.named[id.Value] = account
	default:
		s.people.owner[id.identity] = account
	}
}

// kinds are the kinds of identity that the services and messages yield.
func (g *gathered) kinds() map[string]bool {
	kinds := map[string]bool{}
	for name, service := range g.services {
		for i := range service.Account {
			kinds[service.Account[i].kind(name)] = true
		}
	}
	for _, m := range g.messages {
		service, _, _ := strings.Cut(m.Name, ".")
		for i := range m.Account {
			kinds[m.Account[i].kind(service)] = true
		}
	}
	delete(kinds, proxyUser)
	return kinds
}

// zoneHint names a zone that may have been meant, from those that people
// write most.
func zoneHint(name string) string {
	common := strings.Fields("UTC Europe/Berlin Europe/London Europe/Paris Europe/Madrid Europe/Rome Europe/Amsterdam Europe/Zurich " +
		"Europe/Vienna Europe/Warsaw Europe/Stockholm Europe/Istanbul Europe/Moscow Europe/Lisbon Europe/Dublin America/New_York " +
		"America/Chicago America/Denver America/Los_Angeles America/Toronto America/Mexico_City America/Sao_Paulo America/Bogota " +
		"America/Argentina/Buenos_Aires Asia/Kolkata Asia/Shanghai Asia/Tokyo Asia/Singapore Asia/Dubai Asia/Hong_Kong Asia/Seoul " +
		"Australia/Sydney Australia/Melbourne Pacific/Auckland Africa/Johannesburg Africa/Lagos Africa/Cairo")
	if hint := DidYouMean(name, common); hint != "" {
		return hint
	}
	for _, zone := range common {
		if strings.EqualFold(zone[strings.LastIndexByte(zone, '/')+1:], strings.ReplaceAll(name, " ", "_")) {
			return `did you mean "` + zone + `"?`
		}
	}
	return "write it as Europe/Berlin, or UTC"
}
