package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// An absentLedger does not answer, but knows what to do then, as a Guarded.
type absentLedger struct {
	ratelimit.Store
	mu      sync.Mutex
	share   int64 // what this replica may let through
	charged []ratelimit.Request
	settled []string
}

func (l *absentLedger) Resolve(context.Context, []string) (string, error) {
	return "", errAway
}

func (l *absentLedger) Reserve(context.Context, ratelimit.Request) (ratelimit.Decision, error) {
	return ratelimit.Decision{}, errAway
}

func (l *absentLedger) ReserveLocally(_ context.Context, r ratelimit.Request) (ratelimit.Decision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := ratelimit.Decision{Verdict: ratelimit.Refused, Limit: r.Claims[0].Limit, Account: r.Account, Fits: -1}
	if l.share > 0 {
		l.share--
		d.Verdict, d.Limit = ratelimit.Go, ""
	}
	return d, nil
}

func (l *absentLedger) Charge(_ context.Context, r ratelimit.Request, at int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at == 0 {
		return fmt.Errorf("no time")
	}
	l.charged = append(l.charged, r)
	return nil
}

func (l *absentLedger) Keep(_ context.Context, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = append(l.settled, "keep")
	return nil
}

func (l *absentLedger) Cancel(_ context.Context, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = append(l.settled, "cancel")
	return nil
}

var errAway = errors.New("no store")

func policy(word string) string {
	return strings.Replace(chat, "{wait: 0s}", "{wait: 0s, on_store_error: "+word+"}", 1) + "limits:\n  - {name: chat.day, on: chat.message, allow: 5, per: day}\n"
}

func TestWhileTheLedgerDoesNotAnswerTheRulesDecide(t *testing.T) {
	for _, tc := range []struct {
		policy   string
		statuses string // of three messages
		status   int    // of the service
		charged  int
		settled  string
	}{
		{"reject", "503 503 503", 200, 0, ""},
		{"forward", "200 200 200", 200, 3, ""},
		{"forward", "422 422 422", 422, 0, ""}, // not sent, so not charged
		{"local", "200 200 429", 200, 0, "keep keep"},
		{"local", "422 422 429", 422, 0, "cancel cancel"},
	} {
		t.Run(fmt.Sprint(tc.policy, " ", tc.status), func(t *testing.T) {
			l := newLab(t, policy(tc.policy))
			away := &absentLedger{Store: l.ledger, share: 2}
			l.Ledger = away
			l.answer = func(r *http.Request) *http.Response { return answerOf(tc.status, "{}") }
			var statuses, reasons []string
			for range 3 {
				resp, _ := l.post("/send", `{"to":"bob"}`)
				statuses = append(statuses, fmt.Sprint(resp.StatusCode))
				reasons = append(reasons, l.last().Reason)
				if resp.StatusCode == 503 && (resp.Header.Get("Retry-After") != "1" || resp.Header.Get("Quotagate-Error") != "store") {
					t.Errorf("%v", resp.Header)
				}
			}
			if got := strings.Join(statuses, " "); got != tc.statuses {
				t.Errorf("answers %s, want %s", got, tc.statuses)
			}
			for _, r := range reasons {
				if !strings.Contains(r, "the ledger did not answer") || strings.Contains(r, "replica's share") != (tc.policy == "local") {
					t.Errorf("%s: the log says %q", tc.policy, r)
				}
			}
			if len(away.charged) != tc.charged || strings.Join(away.settled, " ") != tc.settled {
				t.Errorf("%d charged later, settled %q; want %d and %q", len(away.charged), away.settled, tc.charged, tc.settled)
			}
			for _, r := range away.charged {
				if r.Account == "" || len(r.Claims) != 1 || r.Claims[0].Limit != "chat.day" || r.ID == "" {
					t.Errorf("charged %+v", r)
				}
			}
		})
	}
}

func TestWhatAMessageSaysIsLookedAtAlsoWhileTheLedgerDoesNotAnswer(t *testing.T) {
	for _, word := range []string{"forward", "local"} {
		l := newLab(t, policy(word)+"  - {name: chat.words, on: chat.message, content: {forbid: [secret]}}\n")
		l.Ledger = &absentLedger{Store: l.ledger, share: 2}
		if resp, _ := l.post("/send", `{"to":"bob","text":"a secret"}`); resp.Header.Get("Quotagate-Limit") != "chat.words" {
			t.Errorf("%s: %d %v", word, resp.StatusCode, resp.Header)
		}
	}
}

func TestALedgerThatOnlyKnowsItselfHasNoShareToGive(t *testing.T) {
	l := newLab(t, policy("local"))
	l.Ledger = brokenStore{l.ledger}
	if resp, _ := l.post("/send", `{"to":"bob"}`); resp.StatusCode != 503 {
		t.Errorf("%d", resp.StatusCode)
	}
	if r := l.last(); r.Decision != proxy.DecisionError {
		t.Errorf("%+v", r)
	}
	if n := len(l.sent()); n != 0 {
		t.Errorf("%d sent", n)
	}
}

// brokenStore answers nothing and can do nothing else.
type brokenStore struct{ ratelimit.Store }

func (brokenStore) Resolve(context.Context, []string) (string, error) {
	return "", errAway
}

// A tooMuch ledger answers that it will not take the request.
type tooMuch struct{ absentLedger }

func (l *tooMuch) Reserve(context.Context, ratelimit.Request) (ratelimit.Decision, error) {
	return ratelimit.Decision{}, fmt.Errorf("%w: %w", ratelimit.ErrInvalid, ratelimit.ErrTooMany)
}

func (l *tooMuch) Resolve(_ context.Context, identities []string) (string, error) {
	return identities[0], nil
}

// No policy for a ledger that does not answer lets through what it refuses.
func TestWhatTheLedgerDoesNotTakeIsNotForwarded(t *testing.T) {
	for _, word := range []string{"forward", "local"} {
		l := newLab(t, policy(word))
		l.Ledger = &tooMuch{absentLedger{Store: l.ledger, share: 2}}
		l.answer = func(*http.Request) *http.Response { t.Error("it was sent"); return answerOf(200, "{}") }
		if resp, _ := l.post("/send", `{"to":"bob"}`); resp.StatusCode != 413 || resp.Header.Get("Quotagate-Error") != "large" {
			t.Errorf("%s: %d %v", word, resp.StatusCode, resp.Header)
		}
	}
}
