package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"quotagate/proxy"
	"quotagate/proxy/admin"
	"quotagate/ratelimit"
	"quotagate/rules"
)

const chat = `
version: 1
services: {chat: {hosts: [chat.example]}}
messages:
  - name: chat.message
    match: {host: chat.example, method: POST, path: /send}
    account: [{bearer: true, secret: true}]
    recipients: {json: $.to}
defaults: {wait: 0s}
limits: [{name: chat.day, on: chat.message, allow: 5, per: day}]
accounts: {anna: {identity: [{chat.token: annas-token}, {proxy_user: anna}]}}
`

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// A desk is an admin address at 127.0.0.1:8081 with what lies behind it.
type desk struct {
	http.Handler
	config admin.Config
	ready  error
}

// newDesk changes the configuration by options before the handler is made.
func newDesk(t *testing.T, options ...func(*admin.Config)) *desk {
	t.Helper()
	set, err := rules.LoadFS(fstest.MapFS{"q.yaml": {Data: []byte(chat)}}, []string{"q.yaml"},
		rules.Options{Hash: func(kind, value string) string { return "h" + kind + value }})
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return noon }
	d := &desk{}
	ledger := ratelimit.NewMemory(ratelimit.Options{Now: now})
	t.Cleanup(func() { ledger.Close() })
	current := func() *rules.Set { return set }
	enforcer := &proxy.Enforcer{
		Rules: current, Ledger: ledger,
		Next: transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}),
	}
	d.config = admin.Config{
		Rules: current, Ledger: ledger, Enforcer: enforcer,
		Server: proxy.New(proxy.Config{Rules: current, Transport: enforcer}),
		Recent: &admin.Recent{}, Ready: func() error { return d.ready }, Now: now,
		Addr:   netip.MustParseAddrPort("127.0.0.1:8081"),
		Status: admin.Status{Version: "v1", PID: 7, Listen: "127.0.0.1:8080", Store: "memory"},
	}
	for _, o := range options {
		o(&d.config)
	}
	d.Handler = admin.New(d.config)
	return d
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// ask is a request with headers as "Name: value"; Host is one of them.
func (d *desk) ask(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8081"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func read[T any](t *testing.T, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return v
}

// send posts a message through the enforcer as whoever has the token.
func (d *desk) send(t *testing.T, token string) *http.Response {
	t.Helper()
	req := httptest.NewRequest("POST", "https://chat.example/send", strings.NewReader(`{"to":"bob"}`))
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := d.config.Enforcer.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

var errDisk = errors.New("the disk is gone")
