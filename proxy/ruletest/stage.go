package ruletest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
	"quotagate/rules"
)

// A stage is what one test plays on: rules, an empty ledger, a clock, and a
// service that answers as it is told.
type stage struct {
	set      *rules.Set
	clock    clock
	ledger   *watched
	service  service
	enforcer *proxy.Enforcer
	cover    *Coverage
	now      happened // the send that is on its way
	sends    int
}

// happened is what became of one send.
type happened struct {
	held     bool         // a hold began
	governed bool         // there is a last record
	last     proxy.Record // of the decision that closed the request
	at       time.Time    // when that was
	response *http.Response
	body     []byte // of an answer of ours
}

func newStage(set *rules.Set, start time.Time, cover *Coverage) *stage {
	s := &stage{set: set, clock: clock{start}, cover: cover}
	s.ledger = &watched{Memory: ratelimit.NewMemory(ratelimit.Options{Now: s.clock.Now}), cover: cover}
	s.enforcer = &proxy.Enforcer{
		Rules:  func() *rules.Set { return set },
		Ledger: s.ledger,
		Rates:  &watchedRates{ratelimit.NewLocalRates(ratelimit.Options{Now: s.clock.Now}), cover},
		Next:   &s.service,
		Record: s.record,
		Clock:  &s.clock,
	}
	return s
}

func (s *stage) record(r *proxy.Record) {
	if r.Decision == proxy.DecisionHold {
		s.now.held = true
		return
	}
	s.now.governed, s.now.last = true, *r
	if s.cover != nil {
		for i := range r.Messages {
			s.cover.message(r.Service + "." + r.Messages[i].Kind)
		}
	}
}

// send plays one request. The answer's body is read if it is wanted.
func (s *stage) send(req *http.Request, wantBody bool) (*happened, error) {
	s.sends++
	s.now = happened{}
	resp, err := s.enforcer.RoundTrip(req)
	s.now.at = s.clock.now
	if err != nil {
		if s.now.governed && errors.Is(err, errBroken) {
			return &s.now, nil
		}
		return nil, err
	}
	s.now.response = resp
	// To its end: what is learned of an answer is learned there.
	if wantBody {
		s.now.body, err = io.ReadAll(resp.Body)
	} else {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if err := resp.Body.Close(); err != nil {
		return nil, fmt.Errorf("close the answer: %w", err)
	}
	// Before the clock moves on.
	return &s.now, s.enforcer.Settle(req.Context())
}

// decision is the word for what happened: hold is held and then sent.
func (h *happened) decision() string {
	switch {
	case !h.governed:
		return "pass"
	case h.held && h.last.Decision == proxy.DecisionForward:
		return proxy.DecisionHold
	}
	return h.last.Decision
}

// status is that of the answer which the client sees.
func (h *happened) status() int {
	if h.response != nil {
		return h.response.StatusCode
	}
	return h.last.Status
}

// watched is a ledger in memory that remembers what it was asked.
type watched struct {
	*ratelimit.Memory
	account string
	claims  []ratelimit.Claim
	cover   *Coverage
}

func (w *watched) Reserve(ctx context.Context, r ratelimit.Request) (ratelimit.Decision, error) {
	d, err := w.Memory.Reserve(ctx, r)
	w.account, w.claims = d.Account, r.Claims
	if w.cover != nil {
		for i := range r.Claims {
			w.cover.asked(r.Claims[i].Limit)
		}
	}
	return d, err
}

// watchedRates are rates that remember what they were asked.
type watchedRates struct {
	ratelimit.Rates
	cover *Coverage
}

func (w *watchedRates) Take(ctx context.Context, r ratelimit.Rate, n int64) (time.Duration, bool, error) {
	if w.cover != nil {
		w.cover.asked(r.Limit)
	}
	return w.Rates.Take(ctx, r, n)
}

// used is what is used of a limit now, by the account that was last charged;
// of a limit by recipient, the fullest of the counters that were asked.
func (s *stage) used(limit string) (used int64, ok bool, err error) {
	claims := slices.Clone(s.ledger.claims)
	if !slices.ContainsFunc(claims, func(c ratelimit.Claim) bool { return c.Limit == limit }) {
		claims = s.set.AccountClaims(s.ledger.account, s.clock.now)
	}
	claims = slices.DeleteFunc(claims, func(c ratelimit.Claim) bool { return c.Limit != limit })
	for i := range claims {
		claims[i].Cost = 0
	}
	d, err := s.ledger.Memory.Reserve(context.Background(), ratelimit.Request{
		ID: "peek", Account: s.ledger.account, Claims: claims, Dry: true,
	})
	for i := range d.Uses {
		used, ok = max(used, d.Uses[i].Used), true
	}
	return used, ok, err
}
