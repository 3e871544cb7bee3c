package rules

import (
	"slices"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"quotagate/ratelimit"
)

// What a request asks of the ledger.

// unknownRecipient is the counter of messages that do not say who gets them.
const unknownRecipient = "unknown"

// scene is what `when` may ask about.
type scene struct {
	Class      string         `expr:"class"`
	Plan       string         `expr:"plan"`
	Account    string         `expr:"account"`
	Service    string         `expr:"service"`
	Kind       string         `expr:"kind"`
	Recipients int            `expr:"recipients"`
	Facts      map[string]any `expr:"facts"`
}

// compileScene compiles a `when`. The clock is left out: what a limit counts
// must not depend on when it is asked.
func compileScene(text string) (*vm.Program, error) {
	return expr.Compile(text, append(strictFacts(), expr.Env(scene{}), expr.AsBool(), expr.DisableBuiltin("now"))...)
}

// holds reports whether a limit's `when` holds. One that cannot be answered
// (a fact that the account does not have) does: the limit binds.
func (r *rule) holds(sc *scene) bool {
	if r.when == nil {
		return true
	}
	out, err := expr.Run(r.when, sc)
	yes, ok := out.(bool)
	return err != nil || !ok || yes
}

// binding calls f with every limit that binds a message of a sending, the
// messages in order, and what it allows; until f says that it is enough.
func (s *Set) binding(d *Sending, account string, f func(i int, m *Message, r *rule, allow int64) bool) {
	p := s.person(account)
	var sc *scene
	for i := range d.Messages {
		m := &d.Messages[i]
		for _, r := range s.byName[m.fullName()] {
			allow, ok := r.binds(p, account)
			if !ok {
				continue
			}
			if r.when != nil {
				if sc == nil {
					sc = &scene{Class: d.Class, Plan: p.plan, Account: account, Facts: p.facts}
				}
				sc.Service, sc.Kind, sc.Recipients = m.Service, m.Kind, len(m.Recipients)
				if !r.holds(sc) {
					continue
				}
			}
			if !f(i, m, r, allow) {
				return
			}
		}
	}
}

// Claims are what the limits ask of the ledger for a request: for every
// message, in order, one claim of each limit that binds it, or one for each
// recipient where the limit is by recipient or looks at recipients. What counts
// requests (concurrent) and what counts nothing (hours) has one claim for the
// whole request. The account is the ledger's name of it, which need not be
// listed.
func (s *Set) Claims(d *Sending, account string, now time.Time) []ratelimit.Claim {
	p := s.person(account)
	var claims []ratelimit.Claim
	s.binding(d, account, func(i int, m *Message, r *rule, allow int64) bool {
		if claims == nil {
			claims = make([]ratelimit.Claim, 0, len(s.byName[m.fullName()])*len(d.Messages))
		}
		if r.measure != 0 {
			claims = r.claim(claims, p, m, i, allow, now)
		}
		return true
	})
	return claims
}

func (m *Message) fullName() string {
	if m.def != nil {
		return m.def.Name
	}
	return m.Name()
}

// claim appends what one limit asks for one message.
func (r *rule) claim(claims []ratelimit.Claim, p *person, m *Message, item int, allow int64, now time.Time) []ratelimit.Claim {
	cl := r.blank(p, allow, now)
	cl.Item, cl.Cost = item, r.cost(m)
	if r.service {
		cl.Scope = scopeOf(m.Service)
	}
	if r.once && slices.ContainsFunc(claims, func(other ratelimit.Claim) bool {
		return other.Limit == cl.Limit && other.Scope == cl.Scope
	}) {
		return claims
	}
	if r.measure == ratelimit.Similar {
		if cl.Likeness = m.Likeness; cl.Likeness == nil {
			return claims // a message without a text is like no other
		}
	}
	if !r.each && !r.people {
		return append(claims, cl)
	}
	to := m.Recipients
	if len(to) == 0 {
		to = unknownRecipients[:]
	}
	for i, recipient := range to {
		one := cl
		if r.each {
			one.Key = recipient
		}
		if r.people {
			one.Recipient = recipient
			if !r.each {
				one.Cost = portion(cl.Cost, int64(i), int64(len(to)), r.returned() > 0)
			}
		}
		if one.Cost > 0 {
			claims = append(claims, one)
		}
	}
	return claims
}

// unknownRecipients is whom a message goes to that names nobody.
var unknownRecipients = [...]string{unknownRecipient}

// portion is what one of n recipients takes: each one, or, where a reply gives
// it back, its share of what the message costs.
func portion(cost, i, n int64, shared bool) int64 {
	if !shared {
		return 1
	}
	each := cost / n
	if i < cost%n {
		each++
	}
	return each
}

// scopeOf names the counters that all accounts of a service share.
func scopeOf(service string) string { return "service:" + service }

// blank is a claim of a limit that does not say yet for what.
func (r *rule) blank(p *person, allow int64, now time.Time) ratelimit.Claim {
	cl := ratelimit.Claim{
		Limit: r.name, Measure: r.measure, Allow: allow, Span: r.span, Jitter: r.jitter,
		Wait: r.wait, WarnAt: r.WarnAt.of(allow), Shadow: r.shadow || r.warns,
		Distinct: r.Distinct.S != "", Ramp: r.ramp, Returned: r.returned(),
		Rate: r.rate, Good: r.good, Gap: r.gap,
	}
	cl.Ramp.From = min(cl.Ramp.From, allow) // scaled, it may be the smaller
	if r.Sample != nil {
		cl.Sample = r.Sample.N
	}
	switch r.measure {
	case ratelimit.Calendar:
		cl.Unit, cl.Windows = r.word, p.calendars[r.unit].windows(now)
		cl.Pots = r.pots(p, now)
	case ratelimit.Rolling, ratelimit.Lifetime, ratelimit.Credits:
		cl.Pots = r.pots(p, now)
	case ratelimit.Hours:
		cl.Open = r.open.around(&p.calendars[day], now)
	}
	return cl
}

// cost is how much a message takes of a limit, or, where the limit counts by
// recipient, how much of each recipient's counter: there, a cost that is the
// number of recipients is 1.
func (r *rule) cost(m *Message) int64 {
	byPack := ""
	if m.def != nil {
		byPack = m.def.Cost.By
	}
	switch {
	case r.lead != "allow" && r.lead != "credits", r.Distinct.S != "", r.Count.S == "messages":
		return 1
	case r.Count.S == "segments":
		return max(1, m.Segments)
	case r.Count.S == "recipients" && !r.each:
		return max(1, int64(len(m.Recipients)))
	case r.each && (r.Count.S == "recipients" || byPack == "recipients"):
		return 1
	}
	return max(1, m.Cost)
}

// OnStoreError is what becomes of a request while the ledger does not answer:
// reject if a limit that binds it says so, else local if one does, else
// forward. A limit that never refuses has no say.
func (s *Set) OnStoreError(d *Sending, account string) string {
	answer := forward
	s.binding(d, account, func(_ int, _ *Message, r *rule, _ int64) bool {
		switch {
		case r.shadow || r.warns || r.lead == "content":
		case r.lost == local:
			answer = local
		case r.lost != forward:
			answer = reject
		}
		return answer != reject
	})
	return answer
}

// Warns reports whether a limit only warns: it is shadow to the ledger, and a
// message that it would refuse goes and is said to have gone.
func (s *Set) Warns(limit string) bool { return s.warnOnly[limit] }
