package proxy

import (
	"errors"
	"net/http"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// refuse answers in the service's own words.
func (t *transit) refuse() *http.Response {
	d := &t.decision
	ref := t.refusal()
	a := t.answer(ref)
	a.Header[headerDecision] = []string{DecisionReject}
	a.Header[headerLimit] = []string{d.Limit}
	a.Header[headerID] = []string{t.id}

	r := t.newRecord(DecisionReject)
	r.Status, r.Reason, r.RetryAt = a.Status, ref.Reason, ref.RetryAt
	t.emit(r)
	if t.mere() {
		closeBody(t.req)
	}
	return response(t.req, a)
}

// answer is the refusal as the client gets it: in the service's own words, or
// 409 for a message that is on its way or went already.
func (t *transit) answer(ref rules.Refusal) rules.Answer {
	if ref.Limit != sameLimit {
		return t.lead().Refuse(ref)
	}
	a := problem(http.StatusConflict, "quotagate: "+ref.Reason, map[string]any{"limit": sameLimit, "id": t.id})
	a.Header.Set("Retry-After", retryAfter(ref.Now, ref.RetryAt))
	return a
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
func (r *reading) bar() (*http.Response, error) {
	now := r.e.clock().Now()
	t := &transit{e: r.e, req: r.req, client: r.client, set: r.set, id: newID(now), now: now}
	return t.bar(r.req, r.service, *r.barrier)
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
		return t.e.pass(req, t.client, nil)
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
