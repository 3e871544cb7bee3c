package admin

// What no proxy can see and somebody tells it: that a recipient replied, became
// a connection or reported a message, and that an account was given more.

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// An EventRequest is what POST /api/v1/events takes.
type EventRequest struct {
	Service string `json:"service"`
	Account string `json:"account"`
	// Recipient is who it is about, as the service's messages name him.
	// RecipientKey is the keyed hash instead, as the decision log has it.
	Recipient    string `json:"recipient,omitempty"`
	RecipientKey string `json:"recipient_key,omitempty"`
	// Event is reply, connected or reported.
	Event string    `json:"event"`
	Time  time.Time `json:"time,omitzero"` // zero: now
}

// A GiftRequest is what POST /api/v1/accounts/{name}/give takes.
type GiftRequest struct {
	Limit string    `json:"limit"`
	Units int64     `json:"units"`
	Until time.Time `json:"until,omitzero"` // zero: for good
	// ID names the gift: given again under the same it changes nothing. "":
	// it is a new one.
	ID string `json:"id,omitempty"`
}

func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	var q EventRequest
	if !decode(w, r, &q) || !h.known(w, r, q.Account) {
		return
	}
	err := Tell(r.Context(), h.Rules(), h.Ledger, &q)
	if err == nil {
		h.Enforcer.AccountChanged(q.Account)
	}
	h.done(w, err, map[string]string{"account": q.Account, "event": q.Event})
}

func (h *handler) give(w http.ResponseWriter, r *http.Request) {
	var q GiftRequest
	name := r.PathValue("name")
	if !decode(w, r, &q) || !h.known(w, r, name) {
		return
	}
	err := Give(r.Context(), h.Rules(), h.Ledger, name, &q, h.Now())
	if err == nil {
		h.Enforcer.AccountChanged(name)
	}
	h.done(w, err, map[string]string{"account": name, "limit": q.Limit, "id": q.ID})
}

// known answers 404 for an account that is not listed and counted nothing.
func (h *handler) known(w http.ResponseWriter, r *http.Request, name string) bool {
	names, err := AccountNames(r.Context(), h.Rules(), h.Ledger)
	switch {
	case err != nil:
		ledgerFailed(w, err)
		return false
	case !contains(names, name):
		problem(w, http.StatusNotFound, "no account "+name+" is listed or has counted anything")
		return false
	}
	return true
}

func (h *handler) done(w http.ResponseWriter, err error, say any) {
	var bad badRequest
	switch {
	case errors.As(err, &bad):
		problem(w, http.StatusBadRequest, bad.Error())
	case err != nil:
		ledgerFailed(w, err)
	default:
		reply(w, http.StatusOK, say)
	}
}

func wrong(format string, args ...any) error { return badRequest{fmt.Errorf(format, args...)} }

// Tell notes an event in a ledger. Whoever reported a message is left alone
// until someone resumes the account.
func Tell(ctx context.Context, set *rules.Set, ledger ratelimit.Store, q *EventRequest) error {
	if !slices.ContainsFunc(set.MessageNames(), func(name string) bool { return strings.HasPrefix(name, q.Service+".") }) {
		return wrong("the rules know no messages of a service %q", q.Service)
	}
	recipient := q.RecipientKey
	switch {
	case (q.Recipient == "") == (recipient == ""):
		return wrong("say who it is about: recipient, or recipient_key as the log has it")
	case recipient == "":
		recipient = set.Recipient(q.Service, q.Recipient)
	}
	account, err := ledger.Resolve(ctx, []string{q.Account})
	if err != nil {
		return err
	}
	var at int64
	if !q.Time.IsZero() {
		at = q.Time.UnixMilli()
	}
	switch q.Event {
	case "reply":
		return ledger.Observe(ctx, ratelimit.Event{Account: account, Recipient: recipient, Kind: ratelimit.Replied, At: at})
	case "connected":
		return ledger.Observe(ctx, ratelimit.Event{Account: account, Recipient: recipient, Kind: ratelimit.Connected, At: at})
	case "reported":
		if !slices.ContainsFunc(set.Limits(), func(l rules.LimitInfo) bool { return l.By == "recipient" }) {
			return wrong("no limit is by recipient, so nothing would keep messages from them: add one, or pause the account")
		}
		_, err := ledger.Cool(ctx, ratelimit.Cooling{
			ID: fmt.Sprint("reported ", recipient, " ", at), Account: account, Key: recipient, Name: "reported",
			Why: "they reported a message", Resumed: true,
		})
		return err
	}
	return wrong("there is no event %q; it is reply, connected or reported", q.Event)
}

// Give adds units to a limit of an account. It names the gift if q does not.
func Give(ctx context.Context, set *rules.Set, ledger ratelimit.Store, account string, q *GiftRequest, now time.Time) error {
	limits := set.Limits()
	at := slices.IndexFunc(limits, func(l rules.LimitInfo) bool { return l.Name == q.Limit })
	switch {
	case at < 0:
		return wrong("there is no limit %q", q.Limit)
	case limits[at].Measure != "allow" && limits[at].Measure != "credits":
		return wrong("the limit %q counts nothing that can be given", q.Limit)
	case limits[at].Scope != "" && !strings.HasPrefix(account, "service:"):
		return wrong("the limit %q is of all accounts of a service together: give it to service:NAME, for instance %s", q.Limit, scopeOf(&limits[at]))
	case q.Units <= 0:
		return wrong("units is %d; it has to be 1 or more", q.Units)
	case !q.Until.IsZero() && !q.Until.After(now):
		return wrong("until has passed")
	}
	claims := set.AccountClaims(account, now)
	if i := slices.IndexFunc(claims, func(c ratelimit.Claim) bool { return c.Limit == q.Limit }); i >= 0 && !takesGifts(&claims[i]) {
		return wrong("the limit %q counts nothing that can be given", q.Limit)
	}
	if q.ID == "" {
		q.ID = "gift " + rand.Text()
	}
	g := ratelimit.Gift{ID: q.ID, Limit: q.Limit, Units: q.Units}
	if !q.Until.IsZero() {
		g.End = q.Until.UnixMilli()
	}
	return ledger.Give(ctx, account, g)
}

// scopeOf is the account of a scope: that of the first message that counts.
func scopeOf(l *rules.LimitInfo) string {
	if len(l.On) == 0 {
		return "service:slack"
	}
	service, _, _ := strings.Cut(l.On[0], ".")
	return "service:" + service
}

// takesGifts reports whether a limit is one that pots can pay for.
func takesGifts(c *ratelimit.Claim) bool {
	switch c.Measure {
	case ratelimit.Calendar, ratelimit.Rolling, ratelimit.Lifetime, ratelimit.Credits:
		return !c.Distinct
	}
	return false
}
