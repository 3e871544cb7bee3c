package rules

// Events: what else an exchange shows. They are looked for under hosts and
// paths, as messages are, and are read in learn.go.

import (
	"slices"
	"strings"

	"quotagate/ratelimit"
)

// eventRule is an event, compiled.
type eventRule struct {
	def                   *event
	service               string
	account               []valueSource // its own, then the service's
	recipient, thread, at []valueSource
	each                  *jsonPath
	where                 []check
	matches               []*matchRule
}

// Words of events.
const (
	fromRequest  = "request"
	meansReply   = "reply"
	meansConnect = "connected"
	meansThread  = "thread"
)

// addEvents compiles events and puts them under their hosts and paths.
func (m *matcher) addEvents(g *gathered) {
	report := g.l.r.at
	for _, f := range g.l.order {
		for _, def := range f.file.Events {
			service, word, ok := strings.Cut(def.Name, ".")
			if !ok || service == "" || word == "" || strings.Contains(word, ".") {
				if def.Name != "" {
					report(def.pos, "an event is named service.word, and this one %q\nfor example telegram.reply", def.Name)
				}
				continue
			}
			r := compileEvent(def, service, m.services[service], report)
			m.events = append(m.events, r)
			var hosts []string
			if s := g.services[service]; s != nil {
				hosts = s.Hosts
			}
			for _, c := range r.matches {
				m.plant(c, hosts, r, report)
			}
		}
	}
}

func compileEvent(def *event, service string, s *serviceRule, report reporter) *eventRule {
	r := &eventRule{def: def, service: service}
	r.account = compileSources(def.Account, service, def.pos, report)
	if s != nil {
		r.account = append(r.account, s.account...)
	}
	r.recipient = compileSources(def.Recipient, service, def.pos, report)
	r.thread = compileSources(def.Thread, service, def.pos, report)
	r.at = compileSources(def.At, service, def.pos, report)
	for _, list := range [][]valueSource{r.account, r.recipient, r.thread, r.at} {
		withoutMail(list, def.pos, report)
	}
	r.where = compileChecks(def.Where, true, true, def.pos, report)
	if def.Each != "" {
		var err error
		if r.each, err = compileJSONPath(def.Each); err != nil {
			report(def.pos, "each: %q is not a JSONPath: %s\nRFC 9535, for example $.result[*]", def.Each, err)
		}
	}
	switch {
	case def.Means == meansThread && len(def.Thread) == 0:
		report(def.pos, "the event %q does not say which thread\ngive it thread:", def.Name)
	case def.Means != meansThread && len(def.Thread) > 0:
		report(def.pos, "the event %q means %s and has a thread:\nwhose thread it is, is an event of its own: means: thread", def.Name, def.Means)
	}
	if len(def.Match) == 0 {
		report(def.pos, "event %s has no match: what does it look like on the wire?", def.Name)
	}
	// A match belongs to a message, of which it needs the name and what is
	// taken out of the path.
	as := &messageRule{def: &message{pos: def.pos, Name: def.Name}, service: service, account: r.account}
	as.recipients = slices.Concat(r.recipient, r.thread, r.at)
	for i := range def.Match {
		if g := def.Match[i].GraphQL; g != nil {
			report(g.pos, "event %s: a match of an event has no graphql", def.Name)
		}
		r.matches = append(r.matches, compileMatch(&def.Match[i], as, report))
	}
	return r
}

// response reports whether the event is looked for in the answer.
func (r *eventRule) response() bool { return r.def.From != fromRequest }

// readsRequest reports whether something of the request's body is looked at.
func (r *eventRule) readsRequest(c candidate) bool {
	reads := func(v valueSource) bool { return v.place == inForm }
	return !r.response() || c.tunnelled || c.match.needsBody ||
		slices.ContainsFunc(r.recipient, reads) || slices.ContainsFunc(r.thread, reads) || slices.ContainsFunc(r.account, reads)
}

// hears reports whether a limit counts differently once a recipient replied, or
// became a connection.
func (r *rule) hears() (replies, connections bool) {
	replies = r.measure == ratelimit.Unanswered || r.measure == ratelimit.Settling || r.ReturnedOnReply != nil ||
		r.measure == ratelimit.Ratio && r.good == ratelimit.Replied
	return replies, r.measure == ratelimit.Settling || r.measure == ratelimit.Ratio && r.good == ratelimit.Connected
}

// wantEvents notes which events change anything under these rules: bodies are
// not read for the others.
func (s *Set) wantEvents() {
	s.wants = map[string]bool{}
	for _, r := range s.limits {
		replies, connections := r.hears()
		s.wants[meansReply] = s.wants[meansReply] || replies
		s.wants[meansConnect] = s.wants[meansConnect] || connections
		s.wants[meansThread] = s.wants[meansThread] || replies || connections || r.each || r.people
	}
	s.wants[meansThread] = s.wants[meansThread] || s.watched[ofRecipient]
}
