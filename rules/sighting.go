package rules

// A Sighting is a request as far as its first lines show it, and a Sending is
// what its body then makes of it.

import (
	"errors"
	"slices"
)

// ErrMixedAccounts: the items of one request are of different accounts.
var ErrMixedAccounts = errors.New("the request carries messages of different accounts")

// A Sighting is what a call could be, by its host, method, path, query and
// headers. The zero value is a call to a host that no rule names.
type Sighting struct {
	set        *Set
	call       *Call
	service    *serviceRule
	others     []*serviceRule // that own the host as well
	candidates []candidate
	listeners  []candidate // of events
	// otherPath: a header gives a path that would be another message.
	otherPath bool
}

// candidate is a match that still holds.
type candidate struct {
	leaf
	path string // in the reading that matched
	// tunnelled: the query does not hold as it stands, but the body may
	// carry another.
	tunnelled bool
	// overridden: the method does not hold, but the body may name another.
	overridden bool
	// nearly: the query does not hold, but would if names were compared as
	// some servers do.
	nearly bool
}

// Message reports whether the call can still be a message.
func (s *Sighting) Message() bool { return len(s.candidates) > 0 || s.otherPath }

// NeedsBody reports whether Read looks at the body.
func (s *Sighting) NeedsBody() bool {
	return slices.ContainsFunc(s.candidates, candidate.needsBody)
}

func (c candidate) needsBody() bool {
	return c.tunnelled || c.overridden || c.match.needsBody || c.match.message.needsBody
}

// Service is the service that owns the host, or "".
func (s *Sighting) Service() string {
	switch {
	case s.service != nil:
		return s.service.name
	case len(s.candidates) > 0:
		return s.candidates[0].match.message.service
	}
	return ""
}

// Unmatched is what to do with a call that is no message: pass, report or
// reject.
func (s *Sighting) Unmatched() string {
	if s.service == nil {
		return "pass"
	}
	return s.service.unmatched
}

// WebSockets is what to do with a WebSocket: pass or reject.
func (s *Sighting) WebSockets() string {
	if s.service == nil {
		return "pass"
	}
	return s.service.webSockets
}

// own notes a service that owns the host.
func (s *Sighting) own(r *serviceRule) {
	switch {
	case s.service == nil:
		s.service = r
	case s.service != r && !slices.Contains(s.others, r):
		s.others = append(s.others, r)
	}
}

// consider keeps a match if what can be seen without the body holds. A method
// or query that a header overrides may be either.
func (s *Sighting) consider(l leaf, path string) {
	c := candidate{leaf: l, path: path}
	h := s.call.Header
	sure, perhaps := l.match.methodHolds(s.call)
	if !sure && !perhaps {
		return
	}
	c.overridden = !sure
	for i := range l.match.header {
		if k := &l.match.header[i]; !k.holds(h[k.name]) {
			return
		}
	}
	for i := range l.match.query {
		switch k := &l.match.query[i]; {
		case k.queryHolds(s.call.Query, false):
		case Overridden(h):
			c.tunnelled = true
		case k.queryHolds(s.call.Query, true):
			c.nearly = true
		default:
			return
		}
	}
	if c.event != nil {
		if s.set.wants[c.event.def.Means] && !c.nearly && !c.overridden {
			s.listeners = append(s.listeners, c)
		}
		return
	}
	s.candidates = append(s.candidates, c)
}

// Read reads the body and says what the call would send: nil if it is no
// message after all. The error is an *UnreadableError, or an *AccountError of
// ErrMixedAccounts, ErrUnmatched, ErrAmbiguous or ErrUnknownAccount; none of them can be let
// through.
func (s *Sighting) Read(body []byte) (*Sending, error) {
	if !s.Message() {
		return nil, nil
	}
	out := Sending{hash: s.set.o.Hash}
	all, err := s.gather(s.set.making(&out), body)
	if err != nil {
		return nil, out.accountError(err)
	}
	if len(out.Messages) == 0 {
		return nil, nil
	}
	out.Service = out.Messages[0].Service
	out.Account, out.Class, out.Identities, err = s.set.who(all, s.call.ProxyUser, s.call.Authenticated)
	if err != nil {
		return nil, out.accountError(err)
	}
	return &out, nil
}

// making begins the work on one request.
func (s *Set) making(out *Sending) *making {
	return &making{hash: s.o.Hash, segments: s.segments, texts: s.texts, asThread: s.wants[meansThread], likeness: s.likeness, out: out}
}

// sameMessage reports whether another candidate is of the same message.
func (c candidate) sameMessage(other candidate) bool {
	return c.match.message == other.match.message
}

// again reports whether another candidate is of the same message in the same
// reading of the path.
func (c candidate) again(other candidate) bool {
	return c.sameMessage(other) && c.path == other.path
}

// contradicts reports whether another candidate takes something else out of
// another reading of the path: who sends, or, of the same message, to whom or
// under which id.
func (c candidate) contradicts(other candidate) bool {
	if c.path == other.path {
		return false
	}
	a, b := c.match.message, other.match.message
	for i := range a.account {
		for j := range b.account {
			if (a != b || i == j) && a.account[i].kind == b.account[j].kind && c.differs(&a.account[i], other, &b.account[j]) {
				return true
			}
		}
	}
	if a != b {
		return false
	}
	differs := func(v valueSource) bool { return c.differs(&v, other, &v) }
	return slices.ContainsFunc(a.recipients, differs) || slices.ContainsFunc(a.id, differs)
}

// differs reports whether two sources take different values out of the paths.
func (c candidate) differs(v *valueSource, other candidate, w *valueSource) bool {
	if v.place != inPath || w.place != inPath {
		return false
	}
	mine := v.cut(new(input), []string{c.pattern.capture(c.path, v.name)})
	return !slices.Equal(mine, w.cut(new(input), []string{other.pattern.capture(other.path, w.name)}))
}

// holds checks the conditions that waited for the body.
func (c *candidate) holds(in *input) bool {
	m := c.match
	if c.overridden && !m.formHasMethod(in.body.fields) {
		return false
	}
	if c.tunnelled || c.nearly {
		for i := range m.query {
			if k := &m.query[i]; !k.holdsFields(in.queryFields()) {
				return false
			}
		}
	}
	for i := range m.form {
		if k := &m.form[i]; !k.holdsFields(in.body.fields) {
			return false
		}
	}
	for i := range m.json {
		if !m.json[i].holdsJSON(in.body.json, in.body.hasJSON) {
			return false
		}
	}
	return m.when == nil || m.when.holds(in)
}
