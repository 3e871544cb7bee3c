package admin_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"quotagate/proxy/admin"
	"quotagate/ratelimit"
	"quotagate/rules"
)

// told has limits that ask about recipients, and credits.
const told = `
version: 1
services: {chat: {hosts: [chat.example]}}
messages:
  - name: chat.message
    match: {host: chat.example, method: POST, path: /send}
    account: [{bearer: true, secret: true}]
    recipients: {json: $.to}
defaults: {wait: 0s}
limits:
  - {name: chat.follow, on: chat.message, unanswered: 1, by: recipient}
  - {name: chat.day, on: chat.message, allow: 2, per: day}
  - {name: chat.pace, on: chat.message, pace: 1ms, wait: 1s}
  - {name: chat.all, on: chat.message, allow: 1000, per: day, scope: service}
  - {name: chat.rate, on: chat.message, rate: 1000, per: second, wait: 1s}
  - {name: chat.unanswered, on: chat.message, unanswered: 100, by: recipient}
accounts: {anna: {identity: [{chat.token: annas-token}, {proxy_user: anna}]}}
`

func with(t *testing.T, text string) func(*admin.Config) {
	return func(c *admin.Config) {
		set, err := rules.LoadFS(fstest.MapFS{"q.yaml": {Data: []byte(text)}}, []string{"q.yaml"},
			rules.Options{Hash: func(kind, value string) string { return "h" + kind + value }})
		if err != nil {
			t.Fatal(err)
		}
		now := noon
		// A clock that goes on, so that no pace holds.
		c.Ledger = ratelimit.NewMemory(ratelimit.Options{Now: func() time.Time { now = now.Add(time.Second); return now }})
		c.Rules = func() *rules.Set { return set }
		c.Enforcer.Rules, c.Enforcer.Ledger = c.Rules, c.Ledger
	}
}

func (d *desk) limit(t *testing.T) string {
	return d.send(t, "annas-token").Header.Get("Quotagate-Limit")
}

func TestAReplyThatNobodySawIsTold(t *testing.T) {
	for _, body := range []string{
		`{"service":"chat","account":"anna","recipient":"bob","event":"reply"}`,
		`{"service":"chat","account":"anna","recipient_key":"hchat.recipientbob","event":"reply","time":"2026-11-21T13:00:00Z"}`,
	} {
		d := newDesk(t, with(t, told))
		if d.limit(t) != "" || d.limit(t) != "chat.follow" {
			t.Error("the second goes without a reply")
		}
		if w := d.ask("POST", "/api/v1/events", body); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if got := d.limit(t); got != "" {
			t.Errorf("after the reply: %s", got)
		}
	}
}

func TestWhoeverReportedAMessageGetsNoMore(t *testing.T) {
	d := newDesk(t, with(t, strings.Replace(told, "unanswered: 1", "unanswered: 9", 1)))
	d.limit(t)
	if w := d.ask("POST", "/api/v1/events", `{"service":"chat","account":"anna","recipient":"bob","event":"reported"}`); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got := d.limit(t); got != ratelimit.PausedLimit {
		t.Errorf("decided by %q", got)
	}
	if w := d.ask("POST", "/api/v1/accounts/anna/resume", ""); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got := d.limit(t); got != "" {
		t.Errorf("resumed: %s", got)
	}
}

func TestAnAccountIsGivenMore(t *testing.T) {
	d := newDesk(t, with(t, strings.Replace(told, "unanswered: 1", "unanswered: 9", 1)))
	gift := `{"limit":"chat.day","units":1,"until":"2026-11-21T20:00:00Z","id":"g1"}`
	for range 2 { // the second time it is the same
		if w := d.ask("POST", "/api/v1/accounts/anna/give", gift); w.Code != 200 || !strings.Contains(w.Body.String(), `"g1"`) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	for i, want := range []string{"", "", "", "chat.day"} {
		if got := d.limit(t); got != want {
			t.Errorf("the %d. message: decided by %q, want %q", i+1, got, want)
		}
	}
	if w := d.ask("POST", "/api/v1/accounts/anna/give", `{"limit":"chat.day","units":1}`); w.Code != 200 || !strings.Contains(w.Body.String(), `"gift `) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := d.limit(t); got != "" {
		t.Errorf("another gift: %s", got)
	}
}

func TestWhatIsToldWrongChangesNothing(t *testing.T) {
	d := newDesk(t, with(t, told))
	const events, give = "/api/v1/events", "/api/v1/accounts/anna/give"
	for _, tc := range []struct {
		path, body string
		code       int
	}{
		{events, `{"service":"chat","account":"nobody","recipient":"bob","event":"reply"}`, 404},
		{events, `{"service":"mail","account":"anna","recipient":"bob","event":"reply"}`, 400},
		{events, `{"service":"chat","account":"anna","event":"reply"}`, 400},
		{events, `{"service":"chat","account":"anna","recipient":"bob","recipient_key":"x","event":"reply"}`, 400},
		{events, `{"service":"chat","account":"anna","recipient":"bob","event":"answered"}`, 400},
		{events, `{"service":"chat","account":"anna","recipient":"bob","event":"reply","time":"now"}`, 400},
		{events, `{"service":"chat","account":"anna","recipient":"bob","event":"reply","more":1}`, 400},
		{"/api/v1/accounts/nobody/give", `{"limit":"chat.day","units":1}`, 404},
		{give, `{"limit":"chat.week","units":1}`, 400},
		{give, `{"limit":"chat.day","units":0}`, 400},
		{give, `{"limit":"chat.day","units":-1}`, 400},
		{give, `{"limit":"chat.day","units":1,"until":"2026-11-21T11:00:00Z"}`, 400},
		{give, `{"limit":"chat.pace","units":1}`, 400},
		{give, `{"limit":"chat.rate","units":1}`, 400},
		{give, `{"limit":"chat.all","units":1}`, 400},
		{give, `{"limit":"chat.unanswered","units":1}`, 400},
	} {
		if w := d.ask("POST", tc.path, tc.body); w.Code != tc.code {
			t.Errorf("%s %s: %d %s", tc.path, tc.body, w.Code, w.Body)
		}
	}
	if w := d.ask("POST", events, `{"service":"chat","account":"anna","recipient":"bob","event":"reply"}`, "Origin: https://evil.example"); w.Code != http.StatusForbidden {
		t.Errorf("from another site: %d", w.Code)
	}
	if names, err := d.config.Ledger.Accounts(context.Background()); err != nil || len(names) > 0 {
		t.Errorf("%q %v", names, err)
	}
	plain := newDesk(t)
	if w := plain.ask("POST", events, `{"service":"chat","account":"anna","recipient":"bob","event":"reported"}`); w.Code != 400 || !strings.Contains(w.Body.String(), "no limit is by recipient") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAnAccountShowsItsHolds(t *testing.T) {
	d := newDesk(t)
	_, err := d.config.Ledger.Cool(context.Background(), ratelimit.Cooling{ID: "x", Account: "anna", Name: "throttled", Why: "slow down", For: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	d.ask("POST", "/api/v1/accounts/anna/pause", `{"why":"a person looks"}`)
	a := read[admin.Account](t, d.ask("GET", "/api/v1/accounts/anna", ""))
	if len(a.Holds) != 2 || !a.Paused {
		t.Fatalf("%+v", a)
	}
	byName := map[string]string{}
	for _, h := range a.Holds {
		byName[h.Name] = h.Why
		if h.Name == "throttled" && !h.Until.Equal(noon.Add(time.Minute)) {
			t.Errorf("%+v", h)
		}
	}
	if byName[""] != "a person looks" || byName["throttled"] != "slow down" {
		t.Errorf("%+v", a.Holds)
	}
}
