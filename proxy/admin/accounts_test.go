package admin_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"quotagate/proxy/admin"
	"quotagate/ratelimit"
)

func TestAnAccountIsShownAsTheLedgerHasIt(t *testing.T) {
	d := newDesk(t)
	for range 2 {
		d.send(t, "annas-token")
	}
	d.send(t, "somebody")
	for range 2 { // asking counts nothing
		a := read[admin.Account](t, d.ask("GET", "/api/v1/accounts/anna", ""))
		if a.Name != "anna" || a.Paused || len(a.Limits) != 1 || a.Limits[0].Limit != "chat.day" || a.Limits[0].Used != 2 || a.Limits[0].Allow != 5 {
			t.Errorf("%+v", a)
		}
	}
	all := read[struct{ Accounts []admin.Account }](t, d.ask("GET", "/api/v1/accounts", "")).Accounts
	if len(all) != 2 || all[0].Name != "anna" || all[0].Limits[0].Used != 2 || all[1].Limits[0].Used != 1 || strings.Contains(all[1].Name, "anna") {
		t.Errorf("%+v", all)
	}
	if w := d.ask("GET", "/api/v1/accounts/nobody", ""); w.Code != http.StatusNotFound {
		t.Errorf("an account that never was: %d", w.Code)
	}
	if w := d.ask("GET", "/api/v1/accounts/ann", ""); w.Code != http.StatusNotFound {
		t.Errorf("half a name: %d", w.Code)
	}
	if names, err := d.config.Ledger.Accounts(context.Background()); err != nil || len(names) != 2 {
		t.Errorf("asking made accounts: %q %v", names, err)
	}
}

func TestAListedAccountIsShownBeforeItSendsAnything(t *testing.T) {
	d := newDesk(t)
	if a := read[admin.Account](t, d.ask("GET", "/api/v1/accounts/anna", "")); a.Name != "anna" || len(a.Limits) != 1 || a.Limits[0].Used != 0 {
		t.Errorf("%+v", a)
	}
}

func TestAPauseHoldsUntilItIsLifted(t *testing.T) {
	d := newDesk(t)
	if w := d.ask("POST", "/api/v1/accounts/anna/pause", `{"why":"a captcha"}`); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	a := read[admin.Account](t, d.ask("GET", "/api/v1/accounts/anna", ""))
	if !a.Paused || a.Why != "a captcha" || !a.Until.IsZero() {
		t.Errorf("paused: %+v", a)
	}
	if resp := d.send(t, "annas-token"); resp.Header.Get("Quotagate-Limit") != ratelimit.PausedLimit {
		t.Errorf("a message: %s %v", resp.Status, resp.Header)
	}
	if resp := d.send(t, "somebody"); resp.StatusCode != 200 {
		t.Errorf("another account: %s", resp.Status)
	}
	if w := d.ask("POST", "/api/v1/accounts/anna/resume", ""); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if a := read[admin.Account](t, d.ask("GET", "/api/v1/accounts/anna", "")); a.Paused || a.Why != "" {
		t.Errorf("resumed: %+v", a)
	}
	if resp := d.send(t, "annas-token"); resp.StatusCode != 200 {
		t.Errorf("resumed: %s", resp.Status)
	}

	until := noon.Add(3 * time.Hour)
	if w := d.ask("POST", "/api/v1/accounts/anna/pause", `{"until":"`+until.Format(time.RFC3339)+`"}`); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if a := read[admin.Account](t, d.ask("GET", "/api/v1/accounts/anna", "")); !a.Paused || !a.Until.Equal(until) {
		t.Errorf("paused until: %+v", a)
	}
}

func TestAPauseThatCannotBeReadPausesNobody(t *testing.T) {
	d := newDesk(t)
	for _, body := range []string{"", "{", `{"whyy":"x"}`, `{"until":"tomorrow"}`, `["x"]`, `{"why":7}`} {
		if w := d.ask("POST", "/api/v1/accounts/anna/pause", body); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if a := read[admin.Account](t, d.ask("GET", "/api/v1/accounts/anna", "")); a.Paused {
		t.Errorf("%+v", a)
	}
}

type brokenLedger struct{ ratelimit.Store }

func (brokenLedger) Accounts(context.Context) ([]string, error)           { return nil, errDisk }
func (brokenLedger) Pause(context.Context, string, *ratelimit.Hold) error { return errDisk }
func (brokenLedger) Resolve(context.Context, []string) (string, error)    { return "", errDisk }
func (brokenLedger) Reserve(context.Context, ratelimit.Request) (d ratelimit.Decision, err error) {
	return d, errDisk
}

func TestALedgerThatFailsIsToldOf(t *testing.T) {
	d := newDesk(t, func(c *admin.Config) { c.Ledger = brokenLedger{c.Ledger}; c.Enforcer.Ledger = c.Ledger })
	for _, q := range [][3]string{
		{"GET", "/api/v1/accounts"}, {"GET", "/api/v1/accounts/anna"}, {"POST", "/api/v1/accounts/anna/pause", "{}"}, {"POST", "/api/v1/accounts/anna/resume"},
		{"POST", "/api/v1/explain", `{"method":"POST","url":"https://chat.example/send","header":{"Authorization":["Bearer x"]},"body":"e30="}`},
	} {
		if w := d.ask(q[0], q[1], q[2]); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the disk is gone") {
			t.Errorf("%s %s: %d %s", q[0], q[1], w.Code, w.Body)
		}
	}
}

func TestStatusTellsWhatRuns(t *testing.T) {
	d := newDesk(t, func(c *admin.Config) {
		c.RulesError = func() string { return "q.yaml:1:1: no" }
		c.Unmatched = func() map[string]int64 { return map[string]int64{"chat": 4} }
	})
	d.config.Server.Counts.Intercepted.Add(1)
	d.config.Server.Counts.Tunnels.Add(2)
	d.config.Server.Counts.Requests.Add(3)
	s := read[admin.Status](t, d.ask("GET", "/api/v1/status", ""))
	if s.Product != "quotagate" || s.Version != "v1" || s.PID != 7 || s.Listen != "127.0.0.1:8080" || s.Store != "memory" || s.Mode != "enforce" {
		t.Errorf("%+v", s)
	}
	if s.Revision == "" || s.Revision != d.config.Rules().Revision() || s.RulesError != "q.yaml:1:1: no" {
		t.Errorf("%+v", s)
	}
	if s.Intercepted != 1 || s.Tunnels != 2 || s.Requests != 3 || s.Held != 0 || s.Unmatched["chat"] != 4 || !slices.Equal(s.ProxyUsers, []string{"anna"}) {
		t.Errorf("%+v", s)
	}
	if l := read[struct{ Limits []struct{ Name string } }](t, d.ask("GET", "/api/v1/limits", "")).Limits; len(l) != 1 || l[0].Name != "chat.day" {
		t.Errorf("%+v", l)
	}
}
