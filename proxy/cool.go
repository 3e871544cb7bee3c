package proxy

import (
	"net/http"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// A RecordCooling is a hold that an answer of the service brought.
type RecordCooling struct {
	// Name is what the service said: throttled, restricted, challenged.
	Name string
	// Account is who is held, or the scope that stands for a whole service.
	Account   string
	Recipient string    // keyed hash; "": the whole account
	Until     time.Time // zero: until someone resumes the account
	Why       string
}

// cool puts on hold what the answer says is to be left alone for a while. It is
// done before the client has the answer: what it sends next meets the hold.
func (t *transit) cool(outcomes []rules.Outcome, resp *http.Response, now time.Time) {
	if t.account == "" {
		return
	}
	for _, c := range t.set.Coolings(t.sending, outcomes, resp.Header, now, t.id, t.account) {
		ctx, cancel := t.settling()
		hold, err := t.e.Ledger.Cool(ctx, c)
		cancel()
		if err != nil {
			t.e.log().Error("the service asked to be left alone, and the ledger could not note it",
				"id", t.id, "account", c.Account, "cooldown", c.Name, "error", err.Error())
			continue
		}
		rc := RecordCooling{Name: c.Name, Account: c.Account, Recipient: c.Key, Why: hold.Why}
		if hold.Until > 0 {
			rc.Until = time.UnixMilli(hold.Until)
		}
		t.coolings = append(t.coolings, rc)
	}
}

// threads tells the ledger whom the threads of what was sent stand for.
func (t *transit) threads() {
	if t.account == "" {
		return
	}
	for _, e := range t.sending.Threads() {
		e.Account = t.account
		t.e.learning.add(t.e, lesson{event: e, at: t.e.clock().Now()})
	}
}

// notes are an event's for the log: never who it is about.
func notes(e *ratelimit.Event) []any {
	return []any{"account", e.Account, "event", eventName(e.Kind)}
}

func eventName(k ratelimit.EventKind) string {
	switch k {
	case ratelimit.Replied:
		return "reply"
	case ratelimit.Connected:
		return "connected"
	case ratelimit.SameAs:
		return "same-as"
	}
	return ""
}
