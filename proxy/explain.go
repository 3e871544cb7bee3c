package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// An Explanation is what would happen to a request now, and why. Nothing is
// sent and nothing is counted.
type Explanation struct {
	// Decision is pass (no message, or a host that no rule names), forward,
	// hold or reject.
	Decision string    `json:"decision"`
	Reason   string    `json:"reason,omitempty"`
	Service  string    `json:"service,omitempty"`
	Messages []string  `json:"messages,omitempty"` // service.kind of each
	Account  string    `json:"account,omitempty"`
	Class    string    `json:"class,omitempty"`
	Limit    string    `json:"limit,omitempty"` // that decided
	RetryAt  time.Time `json:"retry_at,omitzero"`
	HeldMS   int64     `json:"held_ms,omitempty"`
	// Uses are the limits that were asked; Used does not count this request.
	Uses []LimitUse `json:"limits,omitempty"`
	// Holds are what the account, its service or the recipients are stopped by.
	Holds []HoldUse `json:"holds,omitempty"`
	// Answer is the refusal that the client would get.
	Answer *rules.Answer `json:"answer,omitempty"`
	// Trace tells for every rule of the host what did not fit.
	Trace []rules.TraceStep `json:"trace,omitempty"`
	// Revision is of the rules that were asked.
	Revision string `json:"rules_rev"`
}

// Explain says what RoundTrip would do with req, were it made at the time at.
// It reads the request and asks the ledger as RoundTrip does, but dry.
func (e *Enforcer) Explain(ctx context.Context, req *http.Request, at time.Time) (*Explanation, error) {
	var r reading
	defer r.done()
	if err := e.read(req.WithContext(ctx), &r); err != nil {
		return nil, err
	}
	x := &Explanation{Decision: "pass", Revision: r.set.Revision(), Service: r.service}
	call := callOf(req, r.client)
	call.MaxBody = e.maxBody()
	if t := r.transit; t != nil {
		x.Trace = r.set.Trace(&call, t.body)
		t.dry, t.now = true, at
		err := t.ask(ctx)
		var bar barredError
		switch {
		case errors.As(err, &bar):
			r.barrier = bar.barrier
		case err != nil:
			return nil, err
		default:
			t.explain(x)
			return x, nil
		}
	} else {
		body, err := readBody(r.req, e.maxBody(), nil)
		if err != nil && !errors.Is(err, errTooLarge) {
			return nil, err
		}
		x.Trace = r.set.Trace(&call, body)
	}
	switch {
	case r.barrier != nil && r.set.Mode() == "shadow":
		x.Decision, x.Reason = DecisionForward, "shadow mode: it would be refused: "+r.barrier.reason
	case r.barrier != nil:
		x.Decision, x.Limit, x.Reason = DecisionReject, r.barrier.name, r.barrier.reason
	case r.set.GovernedOnly() && !r.set.Names(call.Host):
		x.Decision, x.Limit, x.Reason = DecisionReject, "egress", "no rule names this host, and the rules say egress: governed-only"
	case r.service == "":
		x.Reason = "no rule names this host: it is tunnelled untouched"
	default:
		x.Reason = "no rule takes this for a message"
	}
	return x, nil
}

func (t *transit) explain(x *Explanation) {
	d := &t.decision
	x.Service, x.Account, x.Class, x.Limit = t.sending.Service, t.account, t.sending.Class, d.Limit
	for i := range t.sends() {
		x.Messages = append(x.Messages, t.sending.Messages[i].Name())
	}
	rates := t.rateUses()
	x.Uses = append(LimitUses(d, t.claims, t.set.Warns), rates...)
	x.Holds = HoldUses(d)
	switch d.Verdict {
	case ratelimit.Go:
		x.Decision = DecisionForward
		switch {
		case len(t.claims) == 0 && len(rates) == 0:
			x.Reason = "no limit binds it"
		case len(t.claims) == 0:
			x.Reason = "only a rate binds it, and that is asked when the request comes"
		case len(rates) > 0:
			x.Reason = "every limit has room; the rate is asked when the request comes"
		default:
			x.Reason = "every limit has room"
		}
	case ratelimit.Booked, ratelimit.Later:
		x.Decision, x.HeldMS = DecisionHold, d.At-d.Now
		x.RetryAt = time.UnixMilli(d.At)
		x.Reason = "limit " + d.Limit + " has room within its wait"
	case ratelimit.Twin:
		x.Decision, x.Reason = DecisionHold, "the same message, with the same id, is on its way"
		if d.At > d.Now {
			x.HeldMS, x.RetryAt = d.At-d.Now, time.UnixMilli(d.At)
		}
	case ratelimit.Refused:
		ref := t.refusal()
		a := t.answer(ref)
		x.Decision, x.Reason, x.RetryAt, x.Answer = DecisionReject, ref.Reason, ref.RetryAt, &a
	}
}
