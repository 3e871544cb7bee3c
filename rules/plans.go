package rules

import (
	"slices"
	"strings"
	"unicode"
)

// A plan is only a word that limits and accounts share. A typo in either
// would lift the limit without a sound, so a plan that is nearly another is
// an error, and a limit that no account's plan meets is a warning.

// freePlan is the plan of whoever has no other.
const freePlan = "free"

const (
	// known ranks the plans that need no use to be right.
	known = 1 << 30
	// mostPlans is how many plans the others are held against: people write
	// a few.
	mostPlans = 500
)

// planUse is one place where a plan is named. By is the account that has the
// plan, or what those that name none are called; "" in a limit.
type planUse struct {
	text
	by string
}

// planUses are all places, those of limits first, each in the order of the
// files.
func (s *Set) planUses(g *gathered) []planUse {
	var uses []planUse
	for _, r := range s.limits {
		for _, plan := range r.Plans {
			uses = append(uses, planUse{text: plan})
		}
		for _, plan := range r.planWords() {
			uses = append(uses, planUse{text: plan})
		}
		for _, table := range r.tables() {
			for _, plan := range sorted(table.Plans) {
				uses = append(uses, planUse{text: text{table.places[plan], plan}})
			}
		}
	}
	slices.SortStableFunc(uses, func(a, b planUse) int { return a.before(b.pos) })
	for _, name := range sorted(g.accounts) {
		uses = append(uses, planUse{g.accounts[name].Plan, name})
	}
	for _, d := range g.defaults {
		uses = append(uses, planUse{d.Plan, "accounts that name none"})
	}
	return slices.DeleteFunc(uses, func(u planUse) bool { return u.S == "" })
}

func (s *Set) reviewPlans(g *gathered) {
	uses := s.planUses(g)
	meant := g.l.r.misspelled(uses)
	plans := s.plans()
	for _, u := range uses {
		used := slices.Contains(plans, u.S)
		best, near := meant[u.S]
		switch {
		case near && used:
			g.l.r.once(u.pos, "the plan %q is nearly the plan %q\ndid you mean %q? a typo would lift the limit", u.S, best, best)
		case near:
			g.l.r.once(u.pos, "no limit knows the plan %q\ndid you mean %q?", u.S, best)
		case !used && len(plans) > 0:
			g.l.r.warn(u.pos, "no limit knows the plan %q of %s\nlimits are for %s", u.S, u.by, strings.Join(plans, ", "))
		}
	}
	one := map[string]*person{s.stranger.plan: s.stranger} // of each plan
	for _, p := range s.accounts {
		one[p.plan] = p
	}
	for _, r := range s.limits {
		s.reviewPlansOf(g, r, one)
	}
}

// reviewPlansOf warns of a limit that binds nobody, or not the many who are
// not listed.
func (s *Set) reviewPlansOf(g *gathered, r *rule, one map[string]*person) {
	table := r.number != nil && r.number.Plans != nil
	if r.home.pack != "" { // a regime speaks of plans that somebody else has
		return
	}
	if r.plans == nil && !table || len(r.on) == 0 || !r.home.everyone && len(r.home.only) == 0 {
		return
	}
	bound := false
	for _, p := range one {
		_, ok := r.binds(p, "")
		bound = bound || ok
	}
	for name := range r.home.only {
		_, ok := r.binds(s.person(name), name)
		bound = bound || ok
	}
	_, strangers := r.binds(s.stranger, "")
	switch {
	case !bound && r.home.pack != "":
		// A regime has numbers for more plans than anybody's accounts have.
	case !bound:
		plans := sorted(r.plans)
		if r.plans == nil {
			plans = sorted(r.number.Plans)
		}
		g.l.r.warn(r.Name.pos, "the limit %q is for plans that no account has (%s): it binds nobody", r.name, strings.Join(plans, ", "))
	case table && !strangers && r.home.everyone && (r.plans == nil || r.plans[s.stranger.plan]):
		g.l.r.warn(r.number.pos, "the limit %q has no number for the plan %q and does not bind accounts that are not listed", r.name, s.stranger.plan)
	}
}

// plans are the plans that limits name, sorted.
func (s *Set) plans() []string {
	all := map[string]bool{}
	for _, r := range s.limits {
		for plan := range r.plans {
			all[plan] = true
		}
		for _, plan := range r.planWords() {
			all[plan.S] = true
		}
		for _, table := range r.tables() {
			for plan := range table.Plans {
				all[plan] = true
			}
		}
	}
	return sorted(all)
}

// tables are the numbers by plan that a limit has.
func (r *rule) tables() []*allow {
	var list []*allow
	if r.number != nil {
		list = append(list, r.number)
	}
	if r.credit != nil && r.credit.Accrue != nil {
		list = append(list, r.credit.Accrue)
	}
	return list
}

// misspelled has the plans that are nearly another, which is known, is named
// more often, or else was named first. A place that is wrong already does not
// speak for its plan.
func (r *reports) misspelled(uses []planUse) map[string]string {
	if len(uses) == 0 {
		return nil
	}
	rank := map[string]int{freePlan: known}
	for _, plan := range shippedPlans() {
		rank[plan] = known
	}
	names := sorted(rank)
	for _, u := range uses {
		n, ok := rank[u.S]
		if !ok {
			names = append(names, u.S)
		}
		if !r.wrong(u.pos) {
			n++
		}
		rank[u.S] = n
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank[b] - rank[a] })
	meant := map[string]string{}
	for i, name := range names {
		if rank[name] >= known {
			continue
		}
		for _, better := range names[:min(i, mostPlans)] {
			if _, wrong := meant[better]; !wrong && sameName(name, better) {
				meant[name] = better
				break
			}
		}
	}
	return meant
}

// shippedPlans are the plans that the shipped regimes name.
func shippedPlans() []string {
	all := map[string]bool{}
	for _, name := range Packs() {
		if !strings.Contains(name, "/") {
			continue // a pack has no limits
		}
		text, err := readPack(name)
		if err != nil {
			continue
		}
		var f file
		decode(newReports(), name, text, nil, &f)
		for _, c := range f.Credits {
			if c.Accrue != nil {
				for plan := range c.Accrue.Plans {
					all[plan] = true
				}
			}
		}
		for _, l := range f.Limits {
			for _, plan := range l.Plans {
				all[plan.S] = true
			}
			for _, table := range []*allow{l.Allow, l.Rate, l.Unanswered, l.Concurrent} {
				if table != nil {
					for plan := range table.Plans {
						all[plan] = true
					}
				}
			}
		}
	}
	return sorted(all)
}

// sameName reports whether two names that differ are likely one, misspelled.
// Word by word they must be equal or nearly so: premium is not
// premium-business, tier-1 is not tier-2, and plan-a is not plan-b.
func sameName(a, b string) bool {
	if a == b {
		return false
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	other := func(c rune) rune { // digits and signs are not mistyped into each other
		if unicode.IsLetter(c) || isGap(c) {
			return -1
		}
		return c
	}
	if strings.Map(other, a) != strings.Map(other, b) {
		return false
	}
	x, y := strings.FieldsFunc(a, isGap), strings.FieldsFunc(b, isGap)
	if len(x) != len(y) {
		return strings.Join(x, "") == strings.Join(y, "")
	}
	for i := range x {
		if x[i] != y[i] && !sameWord(x[i], y[i]) {
			return false
		}
	}
	return true
}

func isGap(c rune) bool { return strings.ContainsRune("-_. ", c) }

// sameWord: the shorter two words are, the sooner one letter makes another of
// them (pro and pre, gold and bold), and the less they may differ.
func sameWord(a, b string) bool {
	switch longer := max(len(a), len(b)); {
	case longer < 4:
		return false
	case longer < 6:
		return distance(a, b, 1) == 1 && alike(a, b) > 0
	case longer < 9:
		return distance(a, b, 1) == 1
	}
	return distance(a, b, 2) <= 2
}
