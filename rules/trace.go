package rules

// Why a call is, or is not, a message: for a person who wonders.

import (
	"slices"
	"strings"
)

// A TraceStep is one match of one message rule held against a call.
type TraceStep struct {
	// Message is service.kind, At the place of the match in its file, and
	// Pattern its path pattern.
	Message string `json:"message"`
	At      Pos    `json:"at"`
	Pattern string `json:"pattern"`
	// Field is the first field that does not hold: method, path, query,
	// header, body, form, json or when; "" if the match holds.
	Field string `json:"field,omitempty"`
	// Want is what the rule asks of the field. It is the rule's own text:
	// no value of the call is in it, because values can be secrets.
	Want string `json:"want,omitempty"`
	// near is how many fields held before.
	near int
}

// Matches reports whether the match holds.
func (t *TraceStep) Matches() bool { return t.Field == "" }

// Trace holds every match of the call's host against it, those that hold and
// those that come nearest first.
func (s *Set) Trace(c *Call, body []byte) []TraceStep {
	m := s.matcher
	name, port := splitHost(c.Host)
	if port == "" {
		port = "443"
		if c.Scheme == "http" || c.Scheme == "ws" {
			port = "80"
		}
	}
	read, readErr := readBody(c.Header, body, c.MaxBody)
	var out []TraceStep
	done := map[*matchRule]bool{}
	for _, e := range m.hosts.find(name, port, nil) {
		for _, i := range e.paths.everything(nil) {
			if r := m.leaves[i].match; !done[r] {
				done[r] = true
				out = append(out, r.trace(c, &read, readErr))
			}
		}
	}
	slices.SortStableFunc(out, func(a, b TraceStep) int {
		if a.near != b.near {
			return b.near - a.near
		}
		return a.At.before(b.At)
	})
	return out
}

func (c *matchRule) trace(call *Call, read *content, readErr error) TraceStep {
	t := TraceStep{Message: c.message.def.Name, At: c.pos}
	fail := func(field, want string) TraceStep {
		t.Field, t.Want = field, want
		return t
	}
	var texts []string
	var pattern *pathPattern
	var at string
	list, n := readings(call.Path)
	for _, p := range c.paths {
		texts = append(texts, p.text)
		var own trie
		own.insert(p).leaves = []int32{0}
		for _, r := range list[:n] {
			path := normalisePath(call.Path, r)
			if pattern == nil && len(own.walk(path[1:], nil)) > 0 {
				pattern, at = p, path
			}
		}
	}
	t.Pattern = strings.Join(texts, " or ")
	if pattern == nil {
		return fail("path", t.Pattern)
	}
	t.Pattern = pattern.text
	t.near = 2 // a path says more than a method
	sure, perhaps := c.methodHolds(call)
	if !sure && !perhaps {
		return fail("method", strings.Join(c.methods, " or "))
	}
	in := input{call: call, body: read, pattern: pattern, path: at}
	cand := candidate{leaf: leaf{match: c, pattern: pattern}, path: at, tunnelled: Overridden(call.Header), overridden: !sure}
	for i := range c.header {
		if t.near++; !c.header[i].holds(call.Header[c.header[i].name]) {
			return fail("header", c.header[i].asked())
		}
	}
	for i := range c.query {
		if t.near++; !c.query[i].queryHolds(call.Query, false) && !cand.tunnelled {
			return fail("query", c.query[i].asked())
		}
	}
	t.near++
	if readErr != nil && cand.needsBody() {
		return fail("body", readErr.Error()+": refused, because it could be a message")
	}
	if cand.overridden && !c.formHasMethod(read.fields) {
		return fail("method", strings.Join(c.methods, " or "))
	}
	for i := range c.form {
		if t.near++; !c.form[i].holdsFields(read.fields) {
			return fail("form", c.form[i].asked())
		}
	}
	for i := range c.json {
		if t.near++; !c.json[i].holdsJSON(read.json, read.hasJSON) {
			return fail("json", c.json[i].asked())
		}
	}
	if t.near++; c.when != nil && !c.when.holds(&in) {
		return fail("when", c.when.text)
	}
	if c.graphql != nil {
		t.near++
		if sent, err := c.graphql.sends(&in); err != nil {
			return fail("graphql", err.Error()+": refused, because it could be a message")
		} else if len(sent) == 0 {
			return fail("graphql", "a mutation of "+strings.Join(sorted(c.graphql.mutations), " or "))
		}
	}
	if !cand.holds(&in) {
		return fail("query", "the conditions on the query, in the query or a tunnelled one")
	}
	t.near += 1000
	return t
}

// everything lists all leaves below.
func (t *trie) everything(out []int32) []int32 {
	out = append(out, t.leaves...)
	for _, next := range t.lit {
		out = next.everything(out)
	}
	for _, next := range t.fold {
		out = next.everything(out)
	}
	for i := range t.inside {
		out = t.inside[i].next.everything(out)
	}
	for _, next := range []*trie{t.one, t.rest} {
		if next != nil {
			out = next.everything(out)
		}
	}
	return out
}
