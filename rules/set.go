package rules

import (
	"io/fs"
	"slices"
	"time"
)

// A Set is everything that some rules files say, checked and indexed. What it
// says never changes; all its methods may be called from any number of goroutines.
type Set struct {
	o        Options
	revision string
	files    []string
	warnings []Warning
	asOf     []checked // when files were last checked

	mode    string // of the whole set: enforce or shadow
	egress  string // open or governed-only
	unknown string // what a message of nobody is: reject or shared

	matcher  *matcher
	refusals *refusals
	messages []*message // what the files say, for warnings and coverage

	people    people
	accounts  map[string]*person
	stranger  *person // an account that is not listed
	limits    []*rule
	segments  bool            // some limit counts segments
	texts     bool            // some limit looks at texts
	likeness  bool            // some limit asks how alike they are
	warnOnly  map[string]bool // limits with action: warn
	coolRules []*coolRule
	watched   map[string]bool    // the scopes that may be on hold
	wants     map[string]bool    // what events mean that some limit asks about
	byName    map[string][]*rule // by the name of the message, in the order of the files
	seen      *seen              // what has no time and was learned
}

// Load reads rules files, and whatever they use. A name may be a pattern such
// as rules/*.yaml. If anything at all is wrong the error is Errors, which has
// everything that is wrong in all files, and there is no Set.
func Load(names []string, o Options) (*Set, error) {
	s, _, err := load(disk{}, names, o)
	return s, err
}

// LoadFS is Load for files of another file system; the shipped packs are
// found in any.
func LoadFS(fsys fs.FS, names []string, o Options) (*Set, error) {
	s, _, err := load(tree{fsys}, names, o)
	return s, err
}

// load also returns what was asked for: paths and patterns, good or bad.
func load(from files, names []string, o Options) (*Set, []string, error) {
	l := newLoader(from, newReports())
	l.roots(names)
	s, err := l.finish(o)
	return s, l.inputs, err
}

// build makes a Set of what was read. It goes on where something is wrong,
// so that everything else that is wrong is found too.
func build(l *loader, o Options) *Set {
	g := gather(l)
	s := &Set{o: o, messages: g.messages, byName: map[string][]*rule{}, seen: &seen{}}
	for _, f := range l.order {
		s.files = append(s.files, f.name)
	}
	s.refusals = newRefusals(g.refusals, l.r.at)
	s.matcher = newMatcher(g.services, g.messages, o, l.r.at)
	s.matcher.link(s.refusals)
	s.matcher.addEvents(g)
	s.mode = g.word(func(d *defaults) text { return d.Mode }, enforce)
	if o.Shadow {
		s.mode = shadow
	}
	s.egress = g.egress
	if o.GovernedOnly {
		s.egress = governedOnly
	}
	s.unknown = g.word(func(d *defaults) text { return d.UnknownAccount }, reject)
	s.meet(g)
	s.compile(g)
	s.equip(g)
	s.segments = slices.ContainsFunc(s.limits, func(r *rule) bool { return r.Count.S == "segments" })
	s.compileCooldowns(g)
	s.wantEvents()
	s.review(g)
	return s
}

// Words of the files.
const (
	enforce = "enforce"
	shadow  = "shadow"
	reject  = "reject"
	forward = "forward"
	local   = "local"
	warn    = "warn"

	open         = "open"
	governedOnly = "governed-only"
)

// Revision names the content of the set: the same files, the same revision.
func (s *Set) Revision() string { return s.revision }

// Files are the files that the set was made of, shipped packs among them.
func (s *Set) Files() []string { return s.files }

// Warnings are what works and is probably not meant.
func (s *Set) Warnings() []Warning { return s.warnings }

// Mode is enforce, or shadow where the whole set only counts.
func (s *Set) Mode() string { return s.mode }

// GovernedOnly reports whether clients may reach no other hosts than those
// that the rules name.
func (s *Set) GovernedOnly() bool { return s.egress == governedOnly }

// Names reports whether a rule names a host; the host may carry a port. Calls
// to such hosts are looked into, all others are not.
func (s *Set) Names(host string) bool { return s.matcher.named(host) }

// Hosts are the hosts that the rules name, as they write them.
func (s *Set) Hosts() []string { return s.matcher.hostPatterns() }

// Look says what a request may be, from all but its body.
func (s *Set) Look(c *Call) Sighting { return s.matcher.look(s, c) }

// ProxyUsers are the users of the proxy that listed accounts are known by.
func (s *Set) ProxyUsers() []string {
	var users []string
	for id := range s.people.owner {
		if id.Kind == proxyUser {
			users = append(users, id.Value)
		}
	}
	slices.Sort(users)
	return users
}

// Listed reports whether an account of this name is listed.
func (s *Set) Listed(name string) bool {
	_, ok := s.accounts[name]
	return ok
}

// AccountNames are the listed accounts, sorted.
func (s *Set) AccountNames() []string { return sorted(s.accounts) }

// Location is where an account's days begin.
func (s *Set) Location(account string) *time.Location { return s.person(account).loc }

// Plan is an account's plan.
func (s *Set) Plan(account string) string { return s.person(account).plan }
