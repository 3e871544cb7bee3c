package rules

// Checking and compiling one message: its sources, its matches, its outcome.

import (
	"net/http"
	"slices"
	"strings"
)

func compileSources(list []source, service string, at pos, report reporter) []valueSource {
	var out []valueSource
	for i := range list {
		if v, ok := compileSource(&list[i], service, at, report); ok {
			out = append(out, v)
		}
	}
	return out
}

func (m *matcher) compileMessage(def *message, service, kind string, s *serviceRule, report reporter) *messageRule {
	r := &messageRule{def: def, service: service, kind: kind}
	r.account = ofMail(compileSources(def.Account, service, def.pos, report), mailFrom)
	if s != nil {
		r.account = append(r.account, s.account...)
	}
	r.recipients = ofMail(compileSources(def.Recipients, service, def.pos, report), mailTo)
	for _, v := range r.recipients {
		if v.kind == meansThread {
			r.threads = append(r.threads, v)
		} else {
			r.people = append(r.people, v)
		}
	}
	r.text = ofMail(compileSources(def.Text, service, def.pos, report), mailText)
	r.id = ofMail(compileSources(def.ID, service, def.pos, report), mailID)
	if def.Each != "" {
		var err error
		if r.each, err = compileJSONPath(def.Each); err != nil {
			report(def.pos, "each: %q is not a JSONPath: %s\nRFC 9535, for example $.requests[*]", def.Each, err)
		} else if !r.each.leads() {
			report(def.pos, "each: %q does not say step by step where the items are\nnames, indexes and [*], for example $.requests[*]; only the last step may be a filter", def.Each)
			r.each = nil
		}
		r.needsBody = true
	}
	for _, list := range [][]valueSource{r.account, r.recipients, r.text, r.id} {
		r.needsBody = r.needsBody || slices.ContainsFunc(list, func(v valueSource) bool { return v.needsBody() })
		for i := range list {
			r.places = r.places || slices.ContainsFunc(list[i+1:], func(v valueSource) bool { return v.placedTwice(&list[i]) })
		}
		r.mails = r.mails || slices.ContainsFunc(list, func(v valueSource) bool { return v.decode == "mime" })
	}
	r.outcome = compileOutcome(def.Outcome, report)
	if def.Inner != nil {
		r.inner = compileInner(def, service, report)
		r.needsBody = true
	}
	if len(def.Match) == 0 {
		report(def.pos, "message %s has no match: what does it look like on the wire?", def.Name)
	}
	for i := range def.Match {
		r.matches = append(r.matches, compileMatch(&def.Match[i], r, report))
	}
	return r
}

func compileMatch(def *match, r *messageRule, report reporter) *matchRule {
	at := def.pos
	if at.Line == 0 {
		at = r.def.pos
	}
	c := &matchRule{pos: at, message: r, hosts: def.Host}
	for _, name := range def.Method {
		if name = strings.ToUpper(name); name == "" || strings.ContainsAny(name, " /*") {
			report(at, "%q is not an HTTP method", name)
			continue
		}
		c.methods = append(c.methods, name)
	}
	if len(def.Path) == 0 {
		report(at, "a match of %s has no path\n/** is every path", r.def.Name)
	}
	for _, text := range def.Path {
		p, err := compilePath(text)
		if err != nil {
			report(at, "path %q: %s", text, err)
			continue
		}
		c.paths = append(c.paths, p)
	}
	c.query = compileChecks(def.Query, false, false, at, report)
	c.header = compileChecks(def.Header, false, false, at, report)
	for i := range c.header {
		c.header[i].name = http.CanonicalHeaderKey(c.header[i].name)
	}
	c.form = compileChecks(def.Form, false, false, at, report)
	c.json = compileChecks(def.JSON, true, false, at, report)
	if def.When != "" {
		var err error
		if c.when, err = compileWhen(def.When); err != nil {
			first, _, _ := strings.Cut(err.Error(), "\n")
			report(at, "when: %s\nit may read host, method, path, capture, query, header, form and json", first)
		}
	}
	c.graphql = compileGraphQL(def.GraphQL, r, at, report)
	c.needsBody = len(c.form)+len(c.json) > 0 || c.graphql != nil || c.when != nil && c.when.body
	captured := map[string]bool{}
	for _, p := range c.paths {
		for _, n := range p.names() {
			captured[n] = true
		}
	}
	for _, list := range [][]valueSource{r.account, r.recipients, r.text, r.id} {
		for _, v := range list {
			if v.place == inPath && !captured[v.name] && len(c.paths) > 0 {
				report(at, "no path of this match of %s captures {%s}", r.def.Name, v.name)
			}
		}
	}
	return c
}
