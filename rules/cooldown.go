package rules

// Cool-downs: what the rules make of a service that says stop.

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"quotagate/ratelimit"
)

// What a cool-down holds.
const (
	ofAccount   = "account"
	ofRecipient = "recipient"
	ofService   = "service"
)

// coolRule is one cool-down, checked.
type coolRule struct {
	home     *loaded
	on       [Challenged + 1]bool // by outcome
	services map[string]bool      // nil: every one
	scope    string
	hold     ratelimit.Cooling // its durations alone
}

// coolingWord names an outcome as files do, and the hold that it brings.
func coolingWord(o Outcome) string {
	switch o {
	case Throttled:
		return "throttled"
	case Restricted:
		return "restricted"
	case Challenged:
		return "challenged"
	}
	return ""
}

// compileCooldowns checks the cool-downs of all files.
func (s *Set) compileCooldowns(g *gathered) {
	s.watched = map[string]bool{}
	known := map[string]bool{}
	for _, name := range messageNames(g.messages) {
		service, _ := split(name)
		known[service] = true
	}
	for _, f := range g.l.order {
		for _, c := range f.file.Cooldowns {
			r := compileCooldown(c, f, known, g.l.r.at)
			s.coolRules = append(s.coolRules, r)
			s.watched[r.scope] = true
		}
	}
	for _, r := range s.limits {
		s.watched[ofService] = s.watched[ofService] || r.service
	}
}

func compileCooldown(c *cooldown, home *loaded, known map[string]bool, at reporter) *coolRule {
	r := &coolRule{home: home, scope: c.Scope.S}
	if r.scope == "" {
		r.scope = ofAccount
	}
	for _, word := range c.On {
		for o := Throttled; o <= Challenged; o++ {
			r.on[o] = r.on[o] || word.S == coolingWord(o)
		}
	}
	if len(c.Services) > 0 {
		r.services = map[string]bool{}
	}
	for _, service := range c.Services {
		r.services[service.S] = true
		if service.S != "" && !known[service.S] {
			hint := choose(service.S, sorted(known))
			if slices.Contains(Packs(), service.S) {
				hint = "the pack " + service.S + " describes it: add it to use:"
			}
			at(service.pos, "no message of a service %q is described\n%s", service.S, hint)
		}
	}
	r.hold.Resumed = c.Until.S == "resumed"
	r.hold.For, r.hold.Max, r.hold.Ramp = milliseconds(c.For), milliseconds(c.Max), milliseconds(c.Ramp)
	r.hold.Grow = int64(c.Grow*1000 + 0.5)
	if !c.strange {
		c.check(r, at)
	}
	return r
}

func milliseconds(d *duration) int64 {
	if d == nil {
		return 0
	}
	return d.Ms
}

// mostGrowth bounds grow: what is a hundred times as long the second time is a
// typo.
const mostGrowth = 100

func (c *cooldown) check(r *coolRule, at reporter) {
	switch {
	case c.For == nil && c.Until.Line == 0:
		at(c.pos, "this cool-down does not say for how long\nwrite for: 1h, or until: resumed")
	case c.For != nil && c.For.Ms == 0:
		at(c.For.pos, "a cool-down of 0 holds nothing")
	}
	switch {
	case c.Grow == 0 && c.Max != nil:
		at(c.Max.pos, "max: bounds what a cool-down grows to, and this one does not grow\nadd grow: 2, or leave max: out")
	case c.Grow == 0:
	case c.Grow < 1 || c.Grow > mostGrowth:
		at(c.pos, "grow: is between 1 and %d\n2 makes it twice as long each time", mostGrowth)
	case c.For == nil:
		at(c.pos, "what grows has a length: add for: 1h")
	case c.Max == nil:
		at(c.pos, "this cool-down grows without end: add max: 7d")
	case c.Max.Ms < c.For.Ms:
		at(c.Max.pos, "the cool-down is longer than its max: from the beginning")
	}
	if c.Ramp != nil && r.scope != ofAccount {
		at(c.Ramp.pos, "the limits of an account grow back after a ramp:, and this cool-down holds a %s", r.scope)
	}
}

// reviewCooldowns warns of cool-downs that nothing brings about.
func (s *Set) reviewCooldowns(g *gathered) {
	for _, f := range g.l.order {
		for _, c := range f.file.Cooldowns {
			for _, word := range c.On {
				if len(g.messages) > 0 && !slices.ContainsFunc(g.messages, func(m *message) bool { return m.tells(word.S, c.Services) }) {
					g.l.r.warn(word.pos, "no message tells from an answer that it is %s: this cool-down never begins\nan outcome: with %s: says what such an answer looks like", word.S, word.S)
				}
			}
		}
	}
}

// tells reports whether a message of one of the services knows an outcome.
func (m *message) tells(word string, services []text) bool {
	if m == nil || m.Outcome == nil {
		return false
	}
	service, _ := split(m.Name)
	if len(services) > 0 && !slices.ContainsFunc(services, func(t text) bool { return t.S == service }) {
		return false
	}
	switch word {
	case coolingWord(Throttled):
		return m.Outcome.Throttled != nil
	case coolingWord(Restricted):
		return m.Outcome.Restricted != nil
	}
	return m.Outcome.Challenged != nil
}

// binds reports whether the cool-down is for this account and service.
func (r *coolRule) binds(account, service string) bool {
	return (r.home.everyone || r.home.only[account]) && (r.services == nil || r.services[service])
}

// Watches are the scopes of services and the recipients whose holds would hold
// the sending: nil where no cool-down and no limit of these rules
// is on such.
func (s *Set) Watches(d *Sending) (services, recipients []string) {
	if !s.watched[ofService] && !s.watched[ofRecipient] {
		return nil, nil
	}
	seen := map[string]bool{}
	for i := range d.Messages {
		m := &d.Messages[i]
		if scope := scopeOf(m.Service); s.watched[ofService] && !slices.Contains(services, scope) {
			services = append(services, scope)
		}
		if !s.watched[ofRecipient] || m.Kind == requestKind {
			continue
		}
		for _, to := range m.keys() {
			if !seen[to] {
				seen[to] = true
				recipients = append(recipients, to)
			}
		}
	}
	return services, recipients
}

// keys are the counters by recipient that a message is counted on.
func (m *Message) keys() []string {
	if len(m.Recipients) == 0 {
		return []string{unknownRecipient}
	}
	return m.Recipients
}

// Coolings are the holds that the answer to a request asks for. h has the
// answer's headers; id is the request's. Where several cool-downs speak of the
// same answer, the longest of each of their durations holds.
func (s *Set) Coolings(d *Sending, outcomes []Outcome, h http.Header, now time.Time, id, account string) []ratelimit.Cooling {
	if len(s.coolRules) == 0 {
		return nil
	}
	c := cooler{
		id: id, account: account, at: map[coolingKey]int{},
		least: max(asked(d.least, now), retryAfter(h, now)),
	}
	for i := range d.Messages {
		var o Outcome
		switch {
		case i < len(outcomes) && coolingWord(outcomes[i]) != "":
			o = outcomes[i]
		case i < len(d.said):
			o = d.said[i]
		}
		if coolingWord(o) != "" {
			m := &d.Messages[i]
			for _, r := range s.coolRules {
				if r.on[o] && r.binds(account, m.Service) {
					c.add(r, m, o)
				}
			}
		}
	}
	return c.out
}

type coolingKey struct{ account, key, name string }

// cooler gathers the holds of one answer.
type cooler struct {
	id, account string
	least       int64
	at          map[coolingKey]int
	out         []ratelimit.Cooling
}

func (c *cooler) add(r *coolRule, m *Message, o Outcome) {
	switch {
	case r.scope == ofService:
		c.hold(r, scopeOf(m.Service), "", m, o)
	case c.account == "": // nobody's
	case r.scope == ofRecipient:
		for _, to := range m.keys() {
			c.hold(r, c.account, to, m, o)
		}
	default:
		c.hold(r, c.account, "", m, o)
	}
}

func (c *cooler) hold(r *coolRule, account, key string, m *Message, o Outcome) {
	k := coolingKey{account, key, coolingWord(o)}
	i, known := c.at[k]
	if !known {
		i = len(c.out)
		c.at[k] = i
		c.out = append(c.out, ratelimit.Cooling{
			ID: c.id, Account: account, Key: key, Name: k.name, Why: coolingReason(m.Service, o), Least: c.least,
		})
	}
	held := &c.out[i]
	held.For = max(held.For, r.hold.For)
	held.Grow = max(held.Grow, r.hold.Grow)
	held.Max = max(held.Max, r.hold.Max)
	held.Ramp = max(held.Ramp, r.hold.Ramp)
	held.Resumed = held.Resumed || r.hold.Resumed
}

// coolingReason is what whoever is refused is told.
func coolingReason(service string, o Outcome) string {
	switch o {
	case Restricted:
		return service + " has restricted the account"
	case Challenged:
		return service + " asks for a person (a CAPTCHA or another check)"
	}
	return service + " asked to slow down"
}

// longestAsked bounds what a service may ask for by itself: a header is no
// more than a number, and nobody means a hundred years by it.
const longestAsked = 366 * 24 * 3600 * 1000

// retryAfter is how long an answer asks to wait (ms): in seconds, or until a
// date (RFC 9110, 10.2.3), which is held against the answer's own date, so
// that neither clock has to be right.
func retryAfter(h http.Header, now time.Time) int64 {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	// Some send fractions, as Discord does in its JSON.
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return asked(seconds, now)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if answered, err := http.ParseTime(h.Get("Date")); err == nil {
		now = answered
	}
	return rounded(float64(at.Sub(now)) / float64(time.Millisecond))
}

// firstTime is the least number that is no wait but a time since 1970: nobody
// asks for thirty years. Services that keep a time of reset send it by mistake.
const firstTime = 1e9

// asked is what seconds that a service asked for come to (ms).
func asked(seconds float64, now time.Time) int64 {
	ms := seconds * 1000
	switch {
	case seconds >= firstTime && seconds < 10*firstTime:
		ms -= float64(now.UnixMilli())
	case seconds >= 1000*firstTime && seconds < 10_000*firstTime:
		ms = seconds - float64(now.UnixMilli())
	}
	return rounded(ms)
}

// rounded are milliseconds, rounded up and bounded.
func rounded(ms float64) int64 {
	switch {
	case !(ms > 0): // also what is no number
		return 0
	case ms >= longestAsked:
		return longestAsked
	}
	n := int64(ms)
	if float64(n) < ms {
		n++
	}
	return n
}
