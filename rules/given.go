package rules

import (
	"fmt"
	"maps"
	"time"
)

// Given is what a test says of the accounts in it; what is empty stays as the
// rules have it.
type Given struct {
	Plan, Timezone string
	Facts          map[string]any
}

// Given is the set with other accounts: each, listed or not, has what is
// given. It shares everything else with s, but has learned nothing.
func (s *Set) Given(g Given) (*Set, error) {
	c := *s
	c.seen = &seen{}
	zones := map[string]*[units]calendar{}
	var to *time.Location
	if g.Timezone != "" {
		var err error
		if to, err = zone(g.Timezone); err != nil {
			return nil, fmt.Errorf("unknown time zone %q: %s", g.Timezone, zoneHint(g.Timezone))
		}
	}
	change := func(p *person) *person {
		q := *p
		if g.Plan != "" {
			q.plan = g.Plan
		}
		if to != nil {
			q.loc = to
		}
		if len(g.Facts) > 0 {
			q.facts = maps.Clone(p.facts)
			maps.Copy(q.facts, g.Facts)
		}
		// Calendars of its own: they remember the time they were asked
		// about, and tests run side by side at different times.
		if zones[q.loc.String()] == nil {
			zones[q.loc.String()] = newCalendars(q.loc)
		}
		q.calendars = zones[q.loc.String()]
		q.settle()
		return &q
	}
	c.stranger = change(s.stranger)
	c.accounts = make(map[string]*person, len(s.accounts))
	for name, p := range s.accounts {
		c.accounts[name] = change(p)
	}
	return &c, nil
}

func newCalendars(loc *time.Location) *[units]calendar {
	c := new([units]calendar)
	for unit := range c {
		c[unit].loc, c[unit].unit = loc, unit
	}
	return c
}
