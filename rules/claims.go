package rules

import (
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
	return expr.Compile(text, expr.Env(scene{}), expr.AsBool(), expr.DisableBuiltin("now"))
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

// Claims are what the limits ask of the ledger for a request: for every
// message, in order, one claim of each limit that binds it, or one for each
// recipient where the limit is by recipient. The account is the ledger's name
// of it, which need not be listed.
func (s *Set) Claims(d *Sending, account string, now time.Time) []ratelimit.Claim {
	p := s.person(account)
	var claims []ratelimit.Claim
	var sc *scene
	for i := range d.Messages {
		m := &d.Messages[i]
		rules := s.byName[m.fullName()]
		if claims == nil {
			claims = make([]ratelimit.Claim, 0, len(rules)*len(d.Messages))
		}
		for _, r := range rules {
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
			claims = r.claim(claims, p, m, i, allow, now)
		}
	}
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
	if !r.each {
		return append(claims, cl)
	}
	if len(m.Recipients) == 0 {
		cl.Key = unknownRecipient
		return append(claims, cl)
	}
	for _, recipient := range m.Recipients {
		cl.Key = recipient
		claims = append(claims, cl)
	}
	return claims
}

// blank is a claim of a limit that does not say yet for what.
func (r *rule) blank(p *person, allow int64, now time.Time) ratelimit.Claim {
	cl := ratelimit.Claim{
		Limit: r.name, Measure: r.measure, Allow: allow, Span: r.span, Jitter: r.jitter,
		Wait: r.wait, WarnAt: r.WarnAt.of(allow), Shadow: r.shadow,
	}
	if r.measure == ratelimit.Calendar {
		cl.Unit, cl.Windows = r.word, p.calendars[r.unit].windows(now)
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
	case r.measure == ratelimit.Pace, r.Count.S == "messages":
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

// AccountClaims are claims of cost 0 of every limit that binds an account as
// a whole, to see what is used and what is left. A limit with a `when` is
// among them if there is a message for which it holds.
func (s *Set) AccountClaims(account string, now time.Time) []ratelimit.Claim {
	p := s.person(account)
	var claims []ratelimit.Claim
	for _, r := range s.limits {
		if allow, ok := r.binds(p, account); ok && !r.each && r.everHolds(p, account) {
			claims = append(claims, r.blank(p, allow, now))
		}
	}
	return claims
}

func (r *rule) everHolds(p *person, account string) bool {
	if len(r.on) == 0 {
		return false
	}
	if r.when == nil {
		return true
	}
	for _, name := range r.on {
		service, kind := split(name)
		for _, class := range [...]string{automated, manual} {
			if r.holds(&scene{Class: class, Plan: p.plan, Account: account, Service: service, Kind: kind, Recipients: 1, Facts: p.facts}) {
				return true
			}
		}
	}
	return false
}

// OnStoreError is what becomes of a request while the ledger does not answer:
// forward if every limit that binds it says so, else reject.
func (s *Set) OnStoreError(d *Sending, account string) string {
	p := s.person(account)
	for i := range d.Messages {
		m := &d.Messages[i]
		for _, r := range s.byName[m.fullName()] {
			_, ok := r.binds(p, account)
			if !ok || r.forward || r.shadow {
				continue
			}
			sc := scene{Class: d.Class, Plan: p.plan, Account: account, Service: m.Service, Kind: m.Kind, Recipients: len(m.Recipients), Facts: p.facts}
			if r.holds(&sc) {
				return reject
			}
		}
	}
	return forward
}
