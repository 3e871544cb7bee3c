package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// errTooManyHeld refuses a hold where too many requests wait already.
var errTooManyHeld = errors.New("too many requests wait already")

// refuse answers in the service's own words.
func (t *transit) refuse() *http.Response {
	d := &t.decision
	ref := t.refusal()
	a := t.sending.Messages[0].Refuse(ref)
	a.Header[headerDecision] = []string{DecisionReject}
	a.Header[headerLimit] = []string{d.Limit}
	a.Header[headerID] = []string{t.id}

	r := t.newRecord(DecisionReject)
	r.Status, r.Reason, r.RetryAt = a.Status, ref.Reason, ref.RetryAt
	t.emit(r)
	return response(t.req, a)
}

// refusal is the ledger's no, for the pack to dress.
func (t *transit) refusal() rules.Refusal {
	d := &t.decision
	ref := rules.Refusal{Limit: d.Limit, Now: time.UnixMilli(d.Now), ID: t.id, Account: t.account}
	if d.At > 0 {
		ref.RetryAt = time.UnixMilli(d.At)
	}
	if u := decider(d); u != nil {
		ref.Used, ref.Allow = u.Used, u.Allow
	}
	ref.Reason = t.reason(ref)
	return ref
}

// A barrier is why a request is refused before any limit is asked.
type barrier struct {
	status int
	name   string // the Quotagate-Limit of the answer
	reason string
	// message is what was to be sent, where that is known: it is refused in
	// the service's own words.
	message *rules.Message
}

var (
	unmatched = barrier{status: http.StatusForbidden, name: "unmatched", reason: "the rules let nothing pass here that is no message they know"}
	tooLarge  = barrier{status: http.StatusRequestEntityTooLarge, name: "unreadable", reason: "the request could be a message, and its body is larger than what is inspected"}
)

// unread is the barrier for what the rules could not read.
func unread(err error) *barrier {
	b := &barrier{status: http.StatusForbidden, name: refusalName(err), reason: err.Error()}
	var account *rules.AccountError
	if errors.As(err, &account) {
		b.message = &account.Message
	}
	return b
}

// bar refuses a request that could be a message and could not be read for
// certain, or that names no account; in shadow mode it passes, and the record
// says what would have been. Nothing is asked of the ledger.
func (r *reading) bar(b barrier) (*http.Response, error) {
	now := r.e.clock().Now()
	t := &transit{e: r.e, req: r.req, client: r.client, set: r.set, id: newID(now), now: now}
	return t.bar(r.req, r.service, b)
}

func (t *transit) bar(req *http.Request, service string, b barrier) (*http.Response, error) {
	t.sending = nil
	r := t.newRecord(DecisionReject)
	r.Service, r.Limit, r.Reason = service, b.name, b.reason
	if m := b.message; m != nil {
		r.Service, r.Messages[0] = m.Service, RecordMessage{Kind: m.Kind, Recipients: m.Recipients, Path: m.Pattern}
	}
	if t.set.Mode() == "shadow" {
		r.Decision, r.Shadowed = DecisionForward, []string{b.name}
		t.emit(r)
		return t.e.pass(req, t.client)
	}
	closeBody(req)
	a := b.answer(t)
	r.Status = a.Status
	a.Header[headerDecision] = []string{DecisionReject}
	a.Header[headerLimit] = []string{b.name}
	a.Header[headerID] = []string{t.id}
	t.emit(r)
	return response(t.req, a), nil
}

// answer is the refusal that the client gets: there is no use in coming back.
func (b *barrier) answer(t *transit) rules.Answer {
	if b.message != nil {
		return b.message.Refuse(rules.Refusal{Limit: b.name, Reason: b.reason, Now: t.now, ID: t.id})
	}
	a := problem(b.status, "quotagate: "+b.reason, map[string]any{"limit": b.name, "id": t.id})
	a.Header.Set("Retry-After", retryAfter(t.now, time.Time{}))
	return a
}

// decider is the use of the limit that decided, or nil.
func decider(d *ratelimit.Decision) *ratelimit.Use {
	for i := range d.Uses {
		if d.Uses[i].Limit == d.Limit && d.Uses[i].Key == d.Key {
			return &d.Uses[i]
		}
	}
	return nil
}

// reason says in one sentence why, and when there will be room; times are those
// of the account's wall clock, rounded up to the second.
func (t *transit) reason(ref rules.Refusal) string {
	d := &t.decision
	again := "room again at "
	var why string
	switch claim := claimOf(t.claims, d.Limit); {
	case d.Limit == ratelimit.PausedLimit:
		why, again = "the account is paused", "it ends at "
		if d.Why != "" {
			why += ": " + d.Why
		}
		if ref.RetryAt.IsZero() {
			return why + "; it stays so until someone resumes it"
		}
	case d.Fits >= 0:
		why = fmt.Sprintf("limit %s allows %d; this request asks for more at once, and %d would fit", d.Limit, ref.Allow, d.Fits)
	case claim != nil && claim.Measure == ratelimit.Pace:
		why = "limit " + d.Limit + ": one every " + spanText(claim.Span)
	default:
		why = fmt.Sprintf("limit %s: %d of %d used", d.Limit, ref.Used, ref.Allow)
	}
	if ref.RetryAt.IsZero() {
		return why + "; waiting will not help"
	}
	at := ref.RetryAt.Add(time.Second - 1).Truncate(time.Second)
	return why + "; " + again + at.In(t.set.Location(t.account)).Format(time.RFC3339)
}

// claimOf is the first claim on a limit, or nil.
func claimOf(claims []ratelimit.Claim, limit string) *ratelimit.Claim {
	for i := range claims {
		if claims[i].Limit == limit {
			return &claims[i]
		}
	}
	return nil
}

// newRecord is the record of this transit as it stands.
func (t *transit) newRecord(decision string) *Record {
	r := &Record{
		Time:      t.e.clock().Now(),
		ID:        t.id,
		Decision:  decision,
		Mode:      t.set.Mode(),
		Account:   t.account,
		Held:      t.held,
		Method:    t.req.Method,
		Host:      t.req.Host,
		Client:    t.client.Addr,
		ProxyUser: t.client.User,
		Revision:  t.set.Revision(),
	}
	if r.Host == "" {
		r.Host = t.req.URL.Host
	}
	if t.sending == nil {
		r.Messages = make([]RecordMessage, 1)
		return r
	}
	r.Service, r.Class = t.sending.Service, t.sending.Class
	r.Messages = make([]RecordMessage, len(t.sending.Messages))
	for i := range r.Messages {
		m := &t.sending.Messages[i]
		r.Messages[i] = RecordMessage{Kind: m.Kind, Recipients: m.Recipients, Path: m.Pattern}
	}
	d := &t.decision
	if d.Limit != "" {
		r.Limit = d.Limit
		if u := decider(d); u != nil {
			r.Used, r.Allow = u.Used, u.Allow
		}
	} else if u := tightest(d); u != nil {
		r.Limit, r.Used, r.Allow = u.Limit, u.Used, u.Allow
	}
	if decision == DecisionHold && d.At > 0 {
		r.RetryAt = time.UnixMilli(d.At)
	}
	for i := range d.Uses {
		u := &d.Uses[i]
		if u.Warn {
			r.Warnings = append(r.Warnings, RecordWarning{u.Limit, u.Used, u.Allow})
		}
		if u.Shadow && u.Short {
			r.Shadowed = append(r.Shadowed, u.Limit)
		}
	}
	return r
}

// record notes a decision that needs no more than a status and a reason.
func (t *transit) record(decision string, status int, reason string) {
	r := t.newRecord(decision)
	r.Status, r.Reason = status, reason
	t.emit(r)
}

func (t *transit) emit(r *Record) {
	if t.e.Record != nil {
		t.e.Record(r)
	}
}
