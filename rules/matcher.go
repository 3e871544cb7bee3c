package rules

// The matcher: all services and messages of a Set, checked, compiled and
// indexed by host and path.

import (
	"fmt"
	"slices"
	"strings"
)

// reporter notes an error at its place; what follows the first line break of
// the text is the hint.
type reporter = func(p pos, format string, args ...any)

// matcher finds the messages that a request could send. It is immutable once
// it is linked.
type matcher struct {
	hosts    *hostIndex
	services map[string]*serviceRule
	messages []*messageRule
	events   []*eventRule
	leaves   []leaf
	names    map[string]*names // that the messages of a service look for
}

// leaf is one path pattern of one match of one message, or event, on one host.
type leaf struct {
	match   *matchRule
	pattern *pathPattern
	event   *eventRule // nil for a message
}

// serviceRule is a service, compiled.
type serviceRule struct {
	name       string
	account    []valueSource
	unmatched  string
	webSockets string
}

// messageRule is a message, compiled.
type messageRule struct {
	def           *message
	service, kind string
	account       []valueSource // its own, then the service's
	recipients    []valueSource
	people        []valueSource // those of the recipients that are none of
	threads       []valueSource // these
	text, id      []valueSource
	each          *jsonPath
	matches       []*matchRule
	outcome       *outcomeRule
	inner         *innerRule // it is no message, it carries requests
	refusal       *refusalRule
	needsBody     bool // its sources do
	mails         bool // one of them opens an e-mail
	names         *names
	places        bool // one parameter may stand in two places
}

// matchRule is one match of a message.
type matchRule struct {
	pos
	message             *messageRule
	hosts               []string
	methods             []string
	paths               []*pathPattern
	query, header, form []check
	json                []check
	when                *whenProgram
	graphql             *graphqlRule
	needsBody           bool // its conditions do
}

// newMatcher compiles services and messages. Everything that is wrong is
// reported; a rule with an error is left out and hides no other.
func newMatcher(services map[string]*service, messages []*message, o Options, report func(pos, string, ...any)) *matcher {
	m := &matcher{hosts: newHostIndex(), services: map[string]*serviceRule{}, names: map[string]*names{}}
	names := make([]string, 0, len(services))
	for name := range services {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if services[name] != nil {
			m.services[name] = m.addService(name, services[name], report)
		}
	}
	for _, def := range messages {
		if def == nil {
			continue
		}
		service, kind, ok := strings.Cut(def.Name, ".")
		if !ok || service == "" || kind == "" || strings.Contains(kind, ".") {
			report(def.pos, "a message is named service.kind, and this one %q\nfor example linkedin.message", def.Name)
			continue
		}
		if kind == "request" {
			report(def.pos, "%s is every call to the service: a message needs another name", def.Name)
			continue
		}
		r := m.compileMessage(def, service, kind, m.services[service], report)
		var hosts []string
		if s := services[service]; s != nil {
			hosts = s.Hosts
		}
		m.index(r, hosts, report)
	}
	return m
}

func (m *matcher) addService(name string, s *service, report reporter) *serviceRule {
	r := &serviceRule{name: name, unmatched: s.Unmatched, webSockets: s.WebSockets}
	if r.unmatched == "" {
		r.unmatched = "pass"
	}
	if r.webSockets == "" {
		r.webSockets = "pass"
	}
	r.account = compileSources(s.Account, name, s.pos, report)
	withoutMail(r.account, s.pos, report)
	for _, v := range r.account {
		if v.place == inPath {
			report(s.pos, "service %s: an account of the service cannot come from a path: calls have no pattern", name)
		}
	}
	for _, h := range s.Hosts {
		e, wrong := m.hosts.entry(h)
		if e == nil {
			report(s.pos, "%q %s", h, wrong)
			continue
		}
		e.services = append(e.services, r)
	}
	return r
}

// index puts a message's matches under their hosts and paths.
func (m *matcher) index(r *messageRule, serviceHosts []string, report reporter) {
	m.messages = append(m.messages, r)
	m.ask(r)
	for _, c := range r.matches {
		m.plant(c, serviceHosts, nil, report)
	}
}

// ask notes the names that a message looks for.
func (m *matcher) ask(r *messageRule) {
	if m.names[r.service] == nil {
		m.names[r.service] = newNames()
	}
	names := m.names[r.service]
	r.names = names
	for _, list := range [][]valueSource{r.account, r.recipients, r.text, r.id} {
		names.askAll(list)
	}
	if in := r.inner; in != nil {
		names.askAll(in.method)
		names.askAll(in.url)
	}
	names.askIn(r.def.Each)
	if r.def.Inner != nil {
		names.askIn(r.def.Inner.Header)
		names.askIn(r.def.Inner.Body)
	}
	for _, c := range r.matches {
		for _, k := range append(append([]check(nil), c.query...), c.form...) {
			names.ask(k.name)
		}
		for _, k := range c.json {
			names.askIn(k.name)
		}
		if c.when != nil {
			names.askIn(c.when.text)
		}
		if c.graphql != nil {
			for _, name := range append([]string{"operations", "persistedQuery", "sha256Hash"}, operationKeys...) {
				names.ask(name)
			}
		}
	}
}

// plant puts one match under its hosts and paths.
func (m *matcher) plant(c *matchRule, serviceHosts []string, event *eventRule, report reporter) {
	hosts := c.hosts
	if len(hosts) == 0 {
		if hosts = serviceHosts; len(hosts) == 0 {
			report(c.pos, "a match of %s has no host, and no service %s says which hosts are its own", c.message.def.Name, c.message.service)
		}
	}
	for _, h := range hosts {
		e, wrong := m.hosts.entry(h)
		if e == nil {
			report(c.pos, "%q %s", h, wrong)
			continue
		}
		for _, p := range c.paths {
			at := e.paths.insert(p)
			at.leaves = append(at.leaves, int32(len(m.leaves)))
			m.leaves = append(m.leaves, leaf{c, p, event})
		}
	}
}

// link gives every message its compiled refusal.
func (m *matcher) link(all *refusals) {
	for _, r := range m.messages {
		if r.def.Refuse != "" && all != nil {
			r.refusal = all.byName[r.def.Refuse]
		}
	}
}

// named reports whether a rule names this host, which may carry a port. One
// without a port is any port's.
func (m *matcher) named(host string) bool {
	name, port := splitHost(host)
	if port == "" {
		port = anyPort
	}
	var buf [4]*hostEntry
	return len(m.hosts.find(name, port, buf[:0])) > 0
}

// hostPatterns lists the hosts that rules name, sorted.
func (m *matcher) hostPatterns() []string {
	out := make([]string, 0, len(m.hosts.all))
	for p := range m.hosts.all {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// look finds what a call could be, before its body is read.
func (m *matcher) look(s *Set, c *Call) Sighting {
	name, port := splitHost(c.Host)
	if port == "" {
		port = "443"
		if c.Scheme == "http" || c.Scheme == "ws" {
			port = "80"
		}
	}
	var buf [4]*hostEntry
	entries := m.hosts.find(name, port, buf[:0])
	if len(entries) == 0 {
		return Sighting{}
	}
	sight := Sighting{set: s, call: c}
	var found [16]int32
	for _, e := range entries {
		for _, r := range e.services {
			sight.own(r)
		}
		list, n := readings(c.Path)
		for _, r := range list[:n] {
			path := normalisePath(c.Path, r)
			for _, i := range e.paths.walk(path[1:], found[:0]) {
				sight.consider(m.leaves[i], path)
			}
		}
	}
	m.elsewhere(&sight, entries)
	return sight
}

func (c *matchRule) String() string {
	return fmt.Sprintf("%s at %s", c.message.def.Name, c.pos)
}
