package rules

import (
	"slices"
	"strings"
)

// Messages that one request can match both: each of them counts, which is
// rarely what was meant.

// mostPairs bounds the comparisons; a set that needs more has been written by
// a program, and the warning is for people.
const mostPairs = 2_000_000

// reviewOverlap warns where two messages can match the same request.
func (s *Set) reviewOverlap(g *gathered) {
	hosts := func(m *matchRule) []string {
		if service := g.services[m.message.service]; len(m.hosts) == 0 && service != nil {
			return service.Hosts
		}
		return m.hosts
	}
	// Matches that begin with another word never overlap.
	begin := map[string][]*matchRule{}
	var anywhere, all []*matchRule
	for _, m := range s.matcher.messages {
		for _, match := range m.matches {
			all = append(all, match)
			for _, word := range firstWords(match) {
				if word == "" {
					anywhere = append(anywhere, match)
				} else {
					begin[word] = append(begin[word], match)
				}
			}
		}
	}
	said, pairs := map[[2]*messageRule]bool{}, 0
	compare := func(a, b *matchRule) {
		key := [2]*messageRule{a.message, b.message}
		if pairs++; a.message == b.message || carryApart(a.message, b.message) || said[key] || said[[2]*messageRule{b.message, a.message}] ||
			!anyPair(hosts(a), hosts(b), hostsMeet) || !overlap(a, b) {
			return
		}
		said[key] = true
		g.l.r.warn(a.pos, "one request can be both %s and %s: it then counts as both\nthe other is in %s; give one of them a condition that the other lacks",
			a.message.def.Name, b.message.def.Name, b.pos)
	}
	for _, word := range sorted(begin) {
		list := begin[word]
		for i := range list {
			for _, other := range list[i+1:] {
				if pairs > mostPairs {
					return
				}
				compare(list[i], other)
			}
		}
	}
	for _, a := range anywhere {
		for _, b := range all {
			if pairs > mostPairs {
				return
			}
			compare(a, b)
		}
	}
}

// carryApart reports whether two messages carry requests, and never the same:
// they look elsewhere for them, or aim them elsewhere.
func carryApart(a, b *messageRule) bool {
	return a.inner != nil && b.inner != nil && (a.def.Each != b.def.Each || a.inner.base != b.inner.base)
}

// firstWords are the literals that a match's paths begin with; "" where a
// path begins with anything.
func firstWords(m *matchRule) []string {
	var words []string
	for _, p := range m.paths {
		word := ""
		if len(p.segs) == 0 {
			word = "/"
		} else if s := &p.segs[0]; !s.rest && s.literal() {
			word = strings.ToLower(s.lits[0])
		}
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return words
}

// overlap reports whether a request to a host of both can satisfy both
// matches, as far as can be told without trying; a `when` is taken to tell them apart.
func overlap(a, b *matchRule) bool {
	if a.when != nil || b.when != nil || apart(a.query, b.query) || apart(a.header, b.header) || apart(a.form, b.form) || apart(a.json, b.json) || a.graphql.apartFrom(b.graphql) {
		return false
	}
	return methodsMeet(a.methods, b.methods) && anyPair(a.paths, b.paths, func(p, q *pathPattern) bool {
		return segsMeet(p.segs, q.segs)
	})
}

func anyPair[T any](a, b []T, meet func(T, T) bool) bool {
	for _, x := range a {
		for _, y := range b {
			if meet(x, y) {
				return true
			}
		}
	}
	return false
}

func methodsMeet(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || anyPair(a, b, strings.EqualFold)
}

func hostsMeet(a, b string) bool {
	nameA, portA := splitPattern(a)
	nameB, portB := splitPattern(b)
	if portA != "" && portB != "" && portA != portB {
		return false
	}
	return labelsMeet(strings.Split(nameA, "."), strings.Split(nameB, "."))
}

func labelsMeet(a, b []string) bool {
	switch {
	case len(a) == 0 || len(b) == 0:
		return len(a) == len(b) || len(a) > 0 && a[0] == "**" && labelsMeet(a[1:], b) || len(b) > 0 && b[0] == "**" && labelsMeet(a, b[1:])
	case a[0] == "**":
		return labelsMeet(a[1:], b) || labelsMeet(a, b[1:])
	case b[0] == "**":
		return labelsMeet(a, b[1:]) || labelsMeet(a[1:], b)
	}
	return (a[0] == b[0] || strings.Contains(a[0], "*") || strings.Contains(b[0], "*")) && labelsMeet(a[1:], b[1:])
}

// segsMeet reports whether a path can fit both patterns.
func segsMeet(a, b []segment) bool {
	switch {
	case len(a) > 0 && a[0].rest:
		return segsMeet(a[1:], b) || len(b) > 0 && segsMeet(a, b[1:])
	case len(b) > 0 && b[0].rest:
		return segsMeet(a, b[1:]) || len(a) > 0 && segsMeet(a[1:], b)
	case len(a) == 0 || len(b) == 0:
		return len(a) == len(b)
	}
	return segmentMeets(&a[0], &b[0]) && segsMeet(a[1:], b[1:])
}

func segmentMeets(a, b *segment) bool {
	switch {
	case a.literal() && b.literal():
		return a.lits[0] == b.lits[0] || (a.fold || b.fold) && strings.EqualFold(a.lits[0], b.lits[0])
	case a.literal():
		return b.holds(a.lits[0])
	case b.literal():
		return a.holds(b.lits[0])
	}
	// Two with gaps: what stands before the first and after the last decides.
	firstA, firstB := a.lits[0], b.lits[0]
	lastA, lastB := a.lits[len(a.lits)-1], b.lits[len(b.lits)-1]
	return (strings.HasPrefix(firstA, firstB) || strings.HasPrefix(firstB, firstA)) && (strings.HasSuffix(lastA, lastB) || strings.HasSuffix(lastB, lastA))
}

// apart reports whether two lists of conditions ask of one name what cannot
// hold together.
func apart(a, b []check) bool {
	for i := range a {
		for j := range b {
			if a[i].name == b[j].name && a[i].excludes(&b[j]) {
				return true
			}
		}
	}
	return false
}

func (c *check) excludes(other *check) bool {
	absent := func(c *check) bool { return c.present != nil && !*c.present }
	if absent(c) || absent(other) {
		return absent(c) != absent(other)
	}
	if c.present != nil || other.present != nil {
		return false
	}
	for i := range c.want {
		for j := range other.want {
			a, b := &c.want[i], &other.want[j]
			if a.glob != nil && b.glob != nil || a.holds(b.text) || b.holds(a.text) {
				return false
			}
		}
	}
	return true
}
