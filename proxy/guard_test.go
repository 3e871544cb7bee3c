package proxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// guarded puts a guard of n requests an hour in front.
func guarded(n int64, more ...func(*proxy.Guard)) option {
	return func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Guard = &proxy.Guard{Rates: ratelimit.NewLocalRates(ratelimit.Options{}), N: n, Per: time.Hour, Hash: hash}
		for _, f := range more {
			f(c.Guard)
		}
	}
}

// askAs fetches a page of a host through the proxy as a user.
func (w *world) askAs(t *testing.T, user, page string) (*http.Response, error) {
	t.Helper()
	c := w.client(false)
	tr := c.Transport.(*http.Transport)
	if strings.HasPrefix(page, "https://other.example/") { // a tunnel leads to the service itself
		tr.TLSClientConfig.RootCAs = w.upstreamRoots
	}
	tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: w.addr, User: url.UserPassword(user, "secret")})
	resp, err := c.Get(page)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp, nil
}

func mustBeRefused(t *testing.T, resp *http.Response) {
	t.Helper()
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Quotagate-Limit") != proxy.GuardLimit {
		t.Fatalf("answered %s, Quotagate-Limit %q", resp.Status, resp.Header.Get("Quotagate-Limit"))
	}
	if after := resp.Header.Get("Retry-After"); after != "1800" {
		t.Errorf("Retry-After %q; one of two an hour is earned in 1800 s", after)
	}
}

func TestGuardAnswersWhatIsTooMuchInsideTheConnection(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		w := newWorld(t, "limits: [{name: day, on: chat.*, allow: 100, per: day}]", guarded(2))
		c := w.client(http2)
		for range 2 {
			if resp, body := w.send(c, "anna", "bob"); resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s", resp.Status, body)
			}
		}
		resp, _ := w.send(c, "anna", "bob")
		mustBeRefused(t, resp)
		if resp, _ = w.send(w.client(http2), "carla", "bob"); resp.StatusCode != http.StatusTooManyRequests {
			t.Errorf("a new connection with another token: %s; the same address", resp.Status)
		}
		if n := w.service.messages.Load(); n != 2 {
			t.Errorf("the service saw %d", n)
		}
		if n := w.used("day"); n != 2 {
			t.Errorf("%d charged: the ledger was asked for what the guard refused", n)
		}
	}
}

func TestGuardRefusesTheConnectOfATunnel(t *testing.T) {
	w := newWorld(t, "limits: []", guarded(2))
	for range 2 {
		if resp, err := w.askAs(t, "", "https://other.example/"); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
	}
	if _, err := w.askAs(t, "", "https://other.example/"); err == nil || !strings.Contains(err.Error(), "Too Many Requests") {
		t.Errorf("the third tunnel: %v", err)
	}
}

func TestGuardTellsUsersApartByWhatWasChecked(t *testing.T) {
	w := newWorld(t, "limits: []", guarded(2), func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Authenticate = func(user, password string) bool { return password == "secret" }
	})
	status := func(user string) int {
		resp, err := w.askAs(t, user, "https://chat.example/")
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	for i, want := range []int{200, 200, 429} {
		if got := status("anna"); got != want {
			t.Errorf("anna's request %d: %d", i, got)
		}
	}
	if got := status("bert"); got != 200 {
		t.Errorf("bert's first: %d", got)
	}
}

func TestGuardDoesNotBelieveAClaimedName(t *testing.T) {
	w := newWorld(t, "limits: []", guarded(2))
	for i, want := range []int{200, 200, 429} {
		resp, err := w.askAs(t, string(rune('a'+i)), "https://chat.example/")
		if err != nil || resp.StatusCode != want {
			t.Errorf("request %d: %v, %v", i, resp, err)
		}
	}
}

// noRates do not answer.
type noRates struct{ err error }

func (n noRates) Take(context.Context, ratelimit.Rate, int64) (time.Duration, bool, error) {
	return 0, false, n.err
}

func TestGuardThatCanNotCountLetsThroughAndSaysSoOnce(t *testing.T) {
	w := newWorld(t, "limits: []", guarded(1, func(g *proxy.Guard) { g.Rates = noRates{errors.New("no store")} }))
	for range 3 {
		if resp, _ := w.send(w.client(false), "anna", "bob"); resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
	}
	if n := strings.Count(w.log.String(), "no store"); n != 1 {
		t.Errorf("said %d times:\n%s", n, w.log)
	}
}

func TestGuardKeysHoldNoNames(t *testing.T) {
	var keys keyRates
	w := newWorld(t, "limits: []", guarded(1, func(g *proxy.Guard) { g.Rates = &keys }))
	if _, err := w.askAs(t, "", "https://chat.example/"); err != nil {
		t.Fatal(err)
	}
	if want := "guard-address:h(guard-address=127.0.0.1)"; keys.key != want {
		t.Errorf("counted under %q, want %q", keys.key, want)
	}
}

type keyRates struct{ key string }

func (k *keyRates) Take(_ context.Context, r ratelimit.Rate, _ int64) (time.Duration, bool, error) {
	k.key = r.Key
	return 0, false, nil
}
