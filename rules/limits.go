package rules

import (
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/vm"

	"quotagate/ratelimit"
)

// Limits, from what the files say to what Claims needs at hand.

// rule is one limit, checked.
type rule struct {
	*limit
	name    string
	home    *loaded
	lead    string // the key that says how it counts
	measure ratelimit.Measure
	number  *allow // of the measure, by plan; or nil
	fixed   int64  // where number is nil
	unit    int    // of a calendar limit
	word    string // and its name
	span    int64  // of a rolling limit, a pace, a ratio or a rate (ms)
	jitter  int64
	burst   int64
	gap     int64
	rate    int64 // a share, in millionths
	good    ratelimit.EventKind
	ramp    ratelimit.Ramp
	scale   *scaling
	credit  *credit
	open    *opening
	says    *saying // of a content limit
	wait    int64
	shadow  bool
	warns   bool   // action: warn
	lost    string // where the ledger does not answer: reject, forward or local
	each    bool   // by: recipient
	people  bool   // its claims say who gets the message
	once    bool   // one claim for a request, whatever it carries
	service bool   // scope: service
	on      []string
	plans   map[string]bool // nil: every plan
	when    *vm.Program
}

// longestWait is the longest hold: clients and what lies between them give up
// after some minutes.
const longestWait = 5 * 60 * 1000

// usualWait is how long a message is held where the files say nothing.
const usualWait = 4 * 1000

// binds reports whether a limit binds an account, and at which number. A
// limit with a number for each plan does not bind the plans it leaves out.
func (r *rule) binds(p *person, account string) (allow int64, ok bool) {
	if !r.home.everyone && !r.home.only[account] {
		return 0, false
	}
	if r.plans != nil && !r.plans[p.plan] {
		return 0, false
	}
	if r.number == nil {
		return r.fixed, true
	}
	if allow, ok = r.number.All, true; r.number.Plans != nil {
		allow, ok = r.number.Plans[p.plan]
	}
	if ok && r.scale != nil {
		allow = r.scale.of(allow, p, account)
	}
	return allow, ok
}

// compile makes rules of the limits and indexes them by message.
func (s *Set) compile(g *gathered) {
	mode := g.word(func(d *defaults) text { return d.Mode }, enforce)
	lost := g.word(func(d *defaults) text { return d.OnStoreError }, reject)
	wait := g.wait()
	c := compiler{g: g, at: g.l.r.at, names: messageNames(g.messages), shapes: shapes(g.messages), services: map[string][]string{}}
	for _, name := range c.names {
		service, _ := split(name)
		c.services[service] = append(c.services[service], name)
	}
	c.stocks()
	for _, l := range g.order {
		r := c.limit(l)
		r.home = g.home[l]
		r.shadow = s.o.Shadow || l.Mode.S == shadow || l.Mode.S == "" && mode == shadow
		r.warns = l.Action.S == warn && !r.shadow
		if r.lost = lost; l.OnStoreError.S != "" {
			r.lost = l.OnStoreError.S
		}
		r.wait = wait.Ms
		if l.Wait != nil {
			r.wait = l.Wait.Ms
		}
		if r.warns {
			if s.warnOnly == nil {
				s.warnOnly = map[string]bool{}
			}
			s.warnOnly[r.name] = true
		}
		s.limits = append(s.limits, r)
		s.texts = s.texts || r.lead == "content" || r.lead == "similar"
		s.likeness = s.likeness || r.lead == "similar"
		for _, name := range r.on {
			s.byName[name] = append(s.byName[name], r)
		}
	}
	c.waits(s.limits, wait)
}

// wait is the default wait.
func (g *gathered) wait() *duration {
	wait := &duration{Ms: usualWait}
	var set *duration
	for _, d := range g.defaults {
		switch {
		case d.Wait == nil:
		case set != nil && set.Ms != d.Wait.Ms:
			g.l.r.at(d.Wait.pos, "the default wait is set twice\nthe other is in %s", set.pos)
		default:
			set, wait = d.Wait, d.Wait
		}
	}
	return wait
}

func messageNames(messages []*message) []string {
	var names []string
	for _, m := range messages {
		if m != nil && m.Name != "" && m.Inner == nil {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// shapes are the messages by their names; one name may have several.
func shapes(messages []*message) map[string][]*message {
	by := map[string][]*message{}
	for _, m := range messages {
		if m != nil && m.Inner == nil {
			by[m.Name] = append(by[m.Name], m)
		}
	}
	return by
}

// compiler checks limits and says what is wrong with them.
type compiler struct {
	g        *gathered
	at       reporter
	names    []string              // of all messages, sorted
	services map[string][]string   // of the messages of a service
	shapes   map[string][]*message // by the name of the message
}

func (c *compiler) limit(l *limit) *rule {
	r := &rule{limit: l, name: l.Name.S, each: l.By.S == "recipient", service: l.Scope.S == "service", on: c.on(l)}
	if strings.ContainsAny(r.name, " \t\n,\"") || r.name == ratelimit.PausedLimit {
		c.at(l.Name.pos, "a limit cannot be named %q\nuse letters, digits, dots and dashes; %q is an account on hold", r.name, ratelimit.PausedLimit)
	}
	// What is not there may be what was misspelled.
	lacks := c.at
	if l.strange || r.name == "" {
		lacks = func(pos, string, ...any) {}
	}
	if len(l.On) == 0 {
		lacks(l.pos, "the limit %q counts no message: its on: is empty\non: '*' is every message", r.name)
	}
	c.measure(r, lacks)
	if len(l.Plans) > 0 {
		r.plans = map[string]bool{}
	}
	for _, plan := range l.Plans {
		r.plans[plan.S] = true
		if r.number != nil && r.number.Plans != nil {
			if _, ok := r.number.places[plan.S]; !ok {
				c.at(plan.pos, "%s has no number for the plan %q\n%s", r.lead, plan.S, choose(plan.S, sorted(r.number.Plans)))
			}
		}
	}
	c.reach(r)
	if l.When.S != "" {
		program, err := compileScene(l.When.S)
		if err != nil {
			c.at(l.When.pos, "when: %s\nit may ask about class, plan, account, service, kind, recipients and facts", oneLine(err))
		}
		r.when = program
		c.words(r)
	}
	return r
}

// windows are the words that per: may be.
func windows() []string {
	names := unitNames()
	return append(names[:], "lifetime")
}

// window reads per:.
func (c *compiler) window(l *limit, r *rule) {
	names, words, per := unitNames(), windows(), l.Per.S
	if per == "" {
		return
	}
	if i := slices.Index(names[:], per); i >= 0 {
		r.measure, r.unit, r.word = ratelimit.Calendar, i, per
		return
	}
	if per == "lifetime" {
		r.measure = ratelimit.Lifetime
		return
	}
	span, ok := parseSpan(per)
	switch {
	case !ok && strings.Trim(per, "0123456789") == "":
		c.at(l.Per.pos, "%q has no unit\nwrite %ss, %sm, %sh or %sd", per, per, per, per, per)
	case !ok:
		c.at(l.Per.pos, "%q is neither a window of the calendar nor a duration\n%s", per, perHint(per, words))
	case span < 1000:
		c.at(l.Per.pos, "a window of %q is too short\n1s is the shortest", per)
	}
	r.measure, r.span = ratelimit.Rolling, span
}

func perHint(per string, words []string) string {
	if word := closest(per, words); word != "" {
		return `did you mean "` + word + `"?`
	}
	return "it is one of " + strings.Join(words, ", ") + ", or a duration such as 24h or 7d"
}

// on spells out which messages a limit counts.
func (c *compiler) on(l *limit) []string {
	var on []string
	for _, word := range l.On {
		service, all := strings.CutSuffix(word.S, ".*")
		var found []string
		switch owner, call := strings.CutSuffix(word.S, requests); {
		case call && c.g.services[owner] != nil:
			found = []string{word.S}
		case word.S == "*":
			found = c.names
		case all:
			found = c.services[service]
		case c.shapes[word.S] != nil:
			found = []string{word.S}
		}
		if len(found) == 0 && word.S != "" && word.S != "*" {
			c.unknown(word, service, all)
		}
		on = append(on, found...)
	}
	slices.Sort(on)
	return slices.Compact(on)
}

// unknown says what a word in `on:` may have meant.
func (c *compiler) unknown(word text, service string, all bool) {
	if !all {
		service, _, _ = strings.Cut(word.S, ".")
	}
	var services []string
	for name := range c.services {
		services = append(services, name+".*")
	}
	if call := strings.HasSuffix(word.S, requests); call {
		hint := choose(service, slices.Collect(maps.Keys(c.g.services)))
		if slices.Contains(Packs(), service) {
			hint = "the pack " + service + " describes it: add it to use:"
		}
		c.at(word.pos, "there is no service %q\n%s", service, hint)
		return
	}
	hint := choose(word.S, c.names)
	if all {
		hint = choose(word.S, services)
	}
	if c.services[service] == nil && slices.Contains(Packs(), service) {
		hint = "the pack " + service + " describes it: add it to use:"
	}
	if all {
		c.at(word.pos, "there is no message of a service %q\n%s", service, hint)
		return
	}
	c.at(word.pos, "there is no message %q\n%s", word.S, hint)
}

// waits holds every wait against the longest that is allowed.
func (c *compiler) waits(limits []*rule, usual *duration) {
	short, least := "", int64(longestWait+1)
	for _, r := range limits {
		if r.measure == ratelimit.Calendar && shortest(r.unit) < least {
			short, least = r.name, shortest(r.unit)
		}
	}
	check := func(d *duration) {
		switch {
		case d == nil || d.Line == 0:
		case d.Ms > longestWait:
			c.at(d.pos, "a message cannot be held longer than 5m\nclients give up; a longer wait is a refusal that says when to come back")
		case d.Ms >= least:
			c.at(d.pos, "this wait is not shorter than the window of the limit %q (%d s)\na message is held into the next window at most", short, least/1000)
		}
	}
	check(usual)
	for _, r := range limits {
		check(r.Wait)
	}
}

// oneLine is the first line of an error of the expression language, without
// the picture that it draws.
func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
