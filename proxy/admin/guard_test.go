package admin_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"quotagate/proxy/admin"
)

func at(addr string) func(*admin.Config) {
	return func(c *admin.Config) { c.Addr = netip.MustParseAddrPort(addr) }
}

// A page that rebinds its own name to this address sends its own name.
func TestOnlyOurOwnNamesAreAnswered(t *testing.T) {
	for _, tc := range []struct {
		addr, host string
		ok         bool
	}{
		{"127.0.0.1:8081", "127.0.0.1:8081", true},
		{"127.0.0.1:8081", "localhost:8081", true},
		{"127.0.0.1:8081", "LOCALHOST:8081", true},
		{"127.0.0.1:8081", "[::1]:8081", true},
		{"127.0.0.1:8081", "[::ffff:127.0.0.1]:8081", true},
		{"127.0.0.1:8081", "evil.example:8081", false},
		{"127.0.0.1:8081", "localhost.evil.example:8081", false},
		{"127.0.0.1:8081", "127.0.0.1.nip.io:8081", false},
		{"127.0.0.1:8081", "localhost:8082", false},
		{"127.0.0.1:8081", "127.0.0.1:80", false},
		{"127.0.0.1:8081", "127.0.0.1", false},
		{"127.0.0.1:8081", "localhost", false},
		{"127.0.0.1:8081", "", false},
		{"127.0.0.1:8081", ":8081", false},
		{"127.0.0.1:8081", "192.0.2.1:8081", false},
		{"127.0.0.1:8081", "0.0.0.0:8081", false},
		{"192.0.2.1:8081", "192.0.2.1:8081", true},
		{"192.0.2.1:8081", "[::ffff:192.0.2.1]:8081", true},
		{"192.0.2.1:8081", "192.0.2.2:8081", false},
		{"[::]:8081", "192.0.2.2:8081", true}, // any address may be ours
		{"0.0.0.0:8081", "evil.example:8081", false},
	} {
		d := newDesk(t, at(tc.addr))
		for _, path := range []string{"/healthz", "/api/v1/status", "/nowhere"} {
			w := d.ask("GET", path, "", "Host: "+tc.host)
			if (w.Code != http.StatusMisdirectedRequest) != tc.ok {
				t.Errorf("served at %s, asked for %s at %q: %d", tc.addr, path, tc.host, w.Code)
			}
			if !tc.ok && strings.Contains(w.Body.String(), "quotagate\"") {
				t.Errorf("asked at %q: %s", tc.host, w.Body)
			}
		}
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	d := newDesk(t)
	for _, tc := range []struct {
		headers []string
		ok      bool
	}{
		{nil, true},
		{[]string{"Origin: http://127.0.0.1:8081"}, true},
		{[]string{"Origin: http://127.0.0.1:8081", "Sec-Fetch-Site: same-origin"}, true},
		{[]string{"Sec-Fetch-Site: none"}, true},
		{[]string{"Origin: http://evil.example"}, false},
		{[]string{"Origin: null"}, false},
		{[]string{"Origin: https://127.0.0.1:8081"}, false},
		{[]string{"Origin: http://127.0.0.1:8082"}, false},
		{[]string{"Origin: http://localhost:8081"}, false}, // another origin than the Host
		{[]string{"Origin: http://127.0.0.1:8081.evil.example"}, false},
		{[]string{"Sec-Fetch-Site: cross-site"}, false},
		{[]string{"Sec-Fetch-Site: same-site"}, false},
		{[]string{"Origin: http://127.0.0.1:8081", "Sec-Fetch-Site: cross-site"}, false},
	} {
		for _, q := range [][3]string{{"GET", "/api/v1/status"}, {"GET", "/api/v1/decisions"}, {"POST", "/api/v1/accounts/anna/resume"}, {"POST", "/api/v1/accounts/anna/pause", `{"why":"x"}`}} {
			w := d.ask(q[0], q[1], q[2], tc.headers...)
			if (w.Code == http.StatusOK) != tc.ok || !tc.ok && w.Code != http.StatusForbidden {
				t.Errorf("%s %s with %q: %d %s", q[0], q[1], tc.headers, w.Code, w.Body)
			}
		}
	}
}

// A word that browsers may come to send is none of those that are let in.
func TestAnUnknownWordOfBrowsersChangesNothing(t *testing.T) {
	d := newDesk(t)
	if w := d.ask("POST", "/api/v1/accounts/anna/pause", `{"why":"x"}`, "Sec-Fetch-Site: neighbour"); w.Code != http.StatusForbidden {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTheTokenIsWantedForEverythingButHealth(t *testing.T) {
	d := newDesk(t, func(c *admin.Config) { c.Token = "sesame" })
	for _, tc := range []struct {
		authorization string
		ok            bool
	}{
		{"Bearer sesame", true}, {"", false}, {"Bearer wrong", false}, {"Bearer ", false}, {"Bearer sesame2", false}, {"Bearer sesam", false},
		{"sesame", false}, {"Basic sesame", false}, {"Bearer  sesame", false},
	} {
		var headers []string
		if tc.authorization != "" {
			headers = []string{"Authorization: " + tc.authorization}
		}
		for _, q := range [][3]string{
			{"GET", "/api/v1/status"}, {"GET", "/api/v1/accounts"}, {"GET", "/api/v1/accounts/anna"}, {"GET", "/api/v1/limits"}, {"GET", "/api/v1/decisions"},
			{"POST", "/api/v1/accounts/anna/pause", `{"why":"x"}`}, {"POST", "/api/v1/accounts/anna/resume"},
			{"POST", "/api/v1/explain", `{"method":"GET","url":"https://chat.example/"}`},
		} {
			w := d.ask(q[0], q[1], q[2], headers...)
			if (w.Code == http.StatusOK) != tc.ok {
				t.Errorf("%s %s, %q: %d", q[0], q[1], tc.authorization, w.Code)
			}
			if !tc.ok && (w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer")) {
				t.Errorf("%s %s, %q: %d %v", q[0], q[1], tc.authorization, w.Code, w.Header())
			}
		}
		for _, path := range []string{"/nowhere", "/debug/pprof/profile?seconds=301", "/healthz/", "//healthz", "/readyz/../api/v1/status"} {
			if w := d.ask("GET", path, "", headers...); (w.Code == http.StatusUnauthorized) == tc.ok {
				t.Errorf("%s, %q: %d", path, tc.authorization, w.Code)
			}
		}
		for _, path := range []string{"/healthz", "/readyz"} {
			if w := d.ask("GET", path, "", headers...); w.Code != http.StatusOK {
				t.Errorf("%s, %q: %d", path, tc.authorization, w.Code)
			}
		}
	}
	if w := d.ask("GET", "/readyz", "", "Host: evil.example:8081"); w.Code != http.StatusMisdirectedRequest {
		t.Errorf("health is told to anybody: %d", w.Code)
	}
}

func TestEveryPathHasItsMethod(t *testing.T) {
	d := newDesk(t)
	for path, method := range map[string]string{
		"/healthz": "GET", "/readyz": "GET", "/api/v1/status": "GET", "/api/v1/accounts": "GET", "/api/v1/accounts/anna": "GET",
		"/api/v1/limits": "GET", "/api/v1/decisions": "GET", "/debug/pprof/profile": "GET",
		"/api/v1/accounts/anna/pause": "POST", "/api/v1/accounts/anna/resume": "POST", "/api/v1/explain": "POST",
	} {
		for _, m := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			if m == method {
				continue
			}
			if w := d.ask(m, path, ""); w.Code != http.StatusMethodNotAllowed || !strings.Contains(w.Header().Get("Allow"), method) {
				t.Errorf("%s %s: %d, Allow %q", m, path, w.Code, w.Header().Get("Allow"))
			}
		}
	}
	for _, path := range []string{"/", "/api", "/api/v1", "/api/v2/status", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars"} {
		if w := d.ask("GET", path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestNothingIsKeptByBrowsers(t *testing.T) {
	w := newDesk(t).ask("GET", "/api/v1/status", "")
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", w.Header())
	}
}

func TestReadyTellsWhyNot(t *testing.T) {
	d := newDesk(t)
	if w := d.ask("GET", "/readyz", ""); w.Code != 200 || w.Body.String() != "ready\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	d.ready = errDisk
	if w := d.ask("GET", "/readyz", ""); w.Code != 503 || w.Body.String() != "the disk is gone\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := d.ask("GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("alive, though not ready: %d", w.Code)
	}
}

func TestAProfileTakesFiveMinutesAtMost(t *testing.T) {
	for _, seconds := range []string{"301", "100000", "9223372036854775807"} {
		if w := newDesk(t).ask("GET", "/debug/pprof/profile?seconds="+seconds, ""); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", seconds, w.Code)
		}
	}
}
