package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"quotagate/certs"
	"quotagate/proxy"
)

func TestWhoIsTurnedAwayAtTheDoorIsInTheMetrics(t *testing.T) {
	ca, err := certs.Open(t.TempDir(), certs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{ca: ca, enforcer: &proxy.Enforcer{}, server: proxy.New(proxy.Config{})}
	scrape := func() string {
		m, err := newMeters(s.metricTable())
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		m.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	scrape() // with no bounds there is nothing to count
	s.guesses, s.guard = proxy.NewGuesses(1, time.Minute, time.Now), &proxy.Guard{}
	s.guesses.Wrong.Add(2)
	s.guesses.Refused.Add(3)
	s.guard.Refused.Add(4)
	s.server.Counts.ClientCertificates.Add(5)
	text := scrape()
	for _, want := range []string{
		"quotagate_wrong_passwords_total 2", `quotagate_refused_total{bound="guesses"} 3`,
		`quotagate_refused_total{bound="user_rate"} 4`, `quotagate_refused_total{bound="client_certificate"} 5`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestMetricsCountDecisionsAndNameNobody(t *testing.T) {
	ca, err := certs.Open(t.TempDir(), certs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{ca: ca, enforcer: &proxy.Enforcer{}, server: proxy.New(proxy.Config{})}
	m, err := newMeters(s.metricTable())
	if err != nil {
		t.Fatal(err)
	}
	const secret = "s3cret"
	for range 2 {
		m.record(&proxy.Record{
			Service: "slack", Decision: proxy.DecisionReject, Held: 2 * time.Second,
			Account: secret, Host: secret, Client: secret, ProxyUser: secret, Reason: secret, ID: secret,
			Messages: []proxy.RecordMessage{{Path: secret, Recipients: []string{secret}}, {Kind: secret}},
		})
	}
	w := httptest.NewRecorder()
	m.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{
		`quotagate_decisions_total{decision="reject",service="slack"} 4`,
		`quotagate_held_seconds_bucket{le="3"} 2`, `quotagate_held_seconds_bucket{le="1"} 0`,
		"\nquotagate_held 0\n", "\ngo_goroutines ", "\nprocess_open_fds ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, secret) {
		t.Errorf("a metric names somebody:\n%s", text)
	}
}
