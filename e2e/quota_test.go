package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTheMessagePastTheQuotaDoesNotLeave is the main job, by every client and
// every way of sending: three messages a day, four are tried, three arrive,
// and the fourth is refused in words that the client understands.
func TestTheMessagePastTheQuotaDoesNotLeave(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
	for i, c := range everyCaller {
		for j, via := range everySend {
			for _, wired := range []string{"exec", "hand"} {
				if wired == "exec" && (c.name == goClient.name || c.name == rawAbsolute.name) {
					continue // these are in this process
				}
				if wired == "hand" && j%len(everySend) != i%len(everySend) {
					continue // once for each client is enough
				}
				t.Run(c.name+"/"+via.name+"/"+wired, func(t *testing.T) {
					w := g.byHand()
					if wired == "exec" {
						w = g.byExec(t)
					}
					sender := fmt.Sprintf("quota%s%dx%d", wired, i, j)
					got := c.call(t, w, via.series(sender, 4))
					wantTexts(t, s.from(sender), 3)
					wantThreeThenRefused(t, got, via, "three-a-day")
				})
			}
		}
	}
}

func wantThreeThenRefused(t *testing.T, got []attempt, via send, limit string) {
	t.Helper()
	if len(got) != 4 {
		t.Fatalf("the client reports %d attempts, want 4: %+v", len(got), got)
	}
	for _, a := range got[:3] {
		wantForwarded(t, a)
	}
	wantRefused(t, got[3], via, limit, false)
}

func wantForwarded(t *testing.T, a attempt) {
	t.Helper()
	if a.Error != "" || a.Status < 200 || a.Status > 299 {
		t.Errorf("attempt %d: status %d, error %q, body %s", a.N, a.Status, a.Error, a.Body)
	}
	if d := a.Headers["quotagate-decision"]; d != "forward" {
		t.Errorf("attempt %d: Quotagate-Decision is %q, want forward", a.N, d)
	}
	for _, h := range []string{"quotagate-id", "ratelimit", "ratelimit-policy"} {
		if a.Headers[h] == "" {
			t.Errorf("attempt %d: no %s in %v", a.N, h, a.Headers)
		}
	}
}

// wantRefused checks a refusal in the service's own shape. A short one asks to
// come back within a minute; a long one must not look like a 429 to an SDK
// that would wait for a day.
func wantRefused(t *testing.T, a attempt, via send, limit string, short bool) {
	t.Helper()
	if a.Error != "" {
		t.Errorf("attempt %d: %s", a.N, a.Error)
	}
	for header, want := range map[string]string{"quotagate-decision": "reject", "quotagate-limit": limit} {
		if a.Headers[header] != want {
			t.Errorf("attempt %d: %s is %q, want %q", a.N, header, a.Headers[header], want)
		}
	}
	if a.Headers["quotagate-id"] == "" {
		t.Errorf("attempt %d: no Quotagate-Id", a.N)
	}
	after, err := strconv.Atoi(a.Headers["retry-after"])
	if err != nil || after < 1 || after > 2147483 || short && after > 60 || !short && after <= 60 {
		t.Errorf("attempt %d: Retry-After is %q", a.N, a.Headers["retry-after"])
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		t.Errorf("attempt %d: the refusal is no JSON: %v: %q", a.N, err, a.Body)
		return
	}
	switch via.host {
	case slackHost:
		status := 200
		if short {
			status = 429
		}
		if a.Status != status || body["ok"] != false || body["error"] != "ratelimited" {
			t.Errorf("attempt %d: not as Slack refuses: %d %s", a.N, a.Status, a.Body)
		}
	case telegramAPI:
		if a.Status != 429 && (short || a.Status != 403) || body["ok"] != false || body["error_code"] != float64(a.Status) || body["description"] == nil {
			t.Errorf("attempt %d: not as Telegram refuses: %d %s", a.N, a.Status, a.Body)
		}
		if a.Status == 429 {
			parameters, _ := body["parameters"].(map[string]any)
			if parameters["retry_after"] != float64(after) {
				t.Errorf("attempt %d: parameters.retry_after is %v, Retry-After %d", a.N, parameters["retry_after"], after)
			}
		}
	default:
		if a.Status != 429 {
			t.Errorf("attempt %d: status %d, want 429: %s", a.N, a.Status, a.Body)
		}
	}
}

func TestHTTP2IsSpokenToClientsThatOfferIt(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
	for c, want := range map[*caller]string{&curlHTTP1: "HTTP/1.1", &curlHTTP2: "HTTP/2"} {
		for _, a := range c.call(t, g.byHand(), viaSlackJSON.series("h2"+strings.Trim(want, "HTP/."), 1)) {
			if a.Proto != want {
				t.Errorf("%s: the answer came over %s, want %s", c.name, a.Proto, want)
			}
		}
	}
}

func TestPlainHTTPIsGovernedToo(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
	for i, c := range []caller{curlHTTP1, pyRequests, axiosNew, goClient} {
		t.Run(c.name, func(t *testing.T) {
			sender := fmt.Sprintf("plain%d", i)
			requests := viaSlackJSON.series(sender, 4)
			for i := range requests {
				requests[i].URL = strings.Replace(requests[i].URL, "https:", "http:", 1)
			}
			got := c.call(t, g.byHand(), requests)
			wantTexts(t, s.from(sender), 3)
			wantThreeThenRefused(t, got, viaSlackJSON, "three-a-day")
		})
	}
}

func TestAShortBlockAsksToComeBack(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: two-in-a-moment, on: "*", allow: 2, per: 40s}`))})
	for i, via := range everySend {
		t.Run(via.name, func(t *testing.T) {
			sender := fmt.Sprintf("short%d", i)
			got := curl(t, g.byHand(), via.series(sender, 3), "--http1.1")
			wantTexts(t, s.from(sender), 2)
			if len(got) != 3 {
				t.Fatalf("%d attempts: %+v", len(got), got)
			}
			wantForwarded(t, got[1])
			wantRefused(t, got[2], via, "two-in-a-moment", true)
		})
	}
}

// TestSDKsEndOnALongBlock: the error of a day's block reaches the program as
// one error, at once, and nothing is posted again.
func TestSDKsEndOnALongBlock(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
	t.Cleanup(func() {
		// Each library asked for its fourth message once.
		rejected := 0
		for _, r := range g.decisions(t) {
			if r.Decision == "reject" {
				rejected++
			}
		}
		if rejected != len(everySDK) {
			t.Errorf("%d libraries were refused %d times: one of them retried", len(everySDK), rejected)
		}
	})
	for i, k := range everySDK {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			w := g.byExec(t)
			if !k.execOnly {
				w = g.byHand()
			}
			sender := fmt.Sprintf("sdk%d", i)
			started := time.Now()
			got := k.send(t, w, sender, 4)
			if took := time.Since(started); took > 50*time.Second {
				t.Errorf("four sends took %v: the library retried", took)
			}
			wantTexts(t, s.from(sender), 3)
			if len(got) != 4 {
				t.Fatalf("%d attempts: %+v", len(got), got)
			}
			for _, a := range got[:3] {
				if a.Error != "" {
					t.Errorf("attempt %d: %s %s", a.N, a.Error, a.Body)
				}
			}
			want := map[string]string{slackHost: "slack_webapi_platform_error", telegramAPI: "GrammyError"}[k.via.host]
			if got[3].Error != want {
				t.Errorf("the fourth attempt ended in %q, want %q: %s", got[3].Error, want, got[3].Body)
			}
		})
	}
}

// TestSlackSDKRidesOutAShortBlock: told to come back in a few seconds, the
// library does, and both messages arrive.
func TestSlackSDKRidesOutAShortBlock(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: one-in-five, on: slack.message, allow: 1, per: 5s, wait: 0s}`))})
	begun := time.Now()
	got := slackSDKAgent.send(t, g.byHand(), "patient", 2)
	wantTexts(t, s.from("patient"), 2)
	for _, a := range got {
		if a.Error != "" {
			t.Errorf("attempt %d: %s %s", a.N, a.Error, a.Body)
		}
	}
	// The first counts from a moment after begun, and may arrive any time later.
	if m := s.from("patient"); len(m) == 2 && m[1].At.Sub(begun) < 5*time.Second {
		t.Errorf("the second arrived %v after all began, and 5 s were to pass after the first", m[1].At.Sub(begun))
	}
}

// TestTheHundredAndFirstOfTheDay: the regime that ships, as it ships.
func TestTheHundredAndFirstOfTheDay(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: fmt.Sprintf("version: 1\nuse: [linkedin, linkedin/classic]\ndefaults: {timezone: %s, wait: 1s}\n%s\n",
		noonZone(time.Now()), listed("anna"))})
	got := pyRequests.call(t, g.byExec(t), viaVoyager.series("anna", 102))
	wantTexts(t, s.from("anna"), 100)
	if len(got) != 102 {
		t.Fatalf("%d attempts, want 102", len(got))
	}
	for _, a := range got[:100] {
		wantForwarded(t, a)
	}
	for _, a := range got[100:] {
		wantRefused(t, a, viaVoyager, got[100].Headers["quotagate-limit"], false)
		if !strings.HasPrefix(a.Headers["quotagate-limit"], "linkedin.classic") {
			t.Errorf("attempt %d: decided by %q", a.N, a.Headers["quotagate-limit"])
		}
	}
	if used, ok := g.used(t, "anna", got[100].Headers["quotagate-limit"]); !ok || used != 100 {
		t.Errorf("the ledger says %d used (%t), want 100", used, ok)
	}
	if used, ok := usedIn(t, g.verb(t, "quota", "--json", "anna"), got[100].Headers["quotagate-limit"]); !ok || used != 100 {
		t.Errorf("`quotagate quota` says %d used (%t), want 100", used, ok)
	}
}

// TestOneAccountHasOneQuota: the same account over several clients and ways of
// connecting draws on the same three messages.
func TestOneAccountHasOneQuota(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
	forwarded := 0
	for i, c := range []caller{curlHTTP2, pyHTTPX, axiosOld, goClient, rawAbsolute} {
		for _, a := range c.call(t, g.byHand(), []request{viaVoyager.nth("shared", i+1)}) {
			if a.Headers["quotagate-decision"] == "forward" {
				forwarded++
			}
		}
	}
	if forwarded != 3 {
		t.Errorf("%d were forwarded, want 3", forwarded)
	}
	wantTexts(t, s.from("shared"), 3)
}

// TestTheDecisionLogHasALineForEachMessage checks the fields that others rely
// on.
func TestTheDecisionLogHasALineForEachMessage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(listed("anna"), limits(`{name: two-a-day, on: linkedin.message, allow: 2, per: day}`))})
	before := time.Now().Add(-time.Second)
	got := goClient.call(t, g.byHand(), viaVoyager.series("anna", 3))
	all := g.decisions(t)
	if len(all) != 3 {
		t.Fatalf("%d lines for 3 messages: %+v", len(all), all)
	}
	for i, r := range all {
		want := record{Decision: "forward", Mode: "enforce", Service: "linkedin", Kind: "message", Account: "anna", Class: "automated",
			Limit: "two-a-day", Used: int64(i + 1), Allow: 2, Method: "POST", Host: linkedinWeb, Status: 200}
		if i == 2 {
			want.Decision, want.Used, want.Status = "reject", 2, 429
		}
		same := record{Decision: r.Decision, Mode: r.Mode, Service: r.Service, Kind: r.Kind, Account: r.Account, Class: r.Class,
			Limit: r.Limit, Used: r.Used, Allow: r.Allow, Method: r.Method, Host: r.Host, Status: r.Status}
		if fmt.Sprint(same) != fmt.Sprint(want) {
			t.Errorf("line %d:\n got %+v\nwant %+v", i+1, same, want)
		}
		if r.ID == "" || i < len(got) && r.ID != got[i].Headers["quotagate-id"] {
			t.Errorf("line %d: id %q, the client was given %q", i+1, r.ID, got[i].Headers["quotagate-id"])
		}
		if r.Time.Before(before) || r.Time.After(time.Now().Add(time.Second)) {
			t.Errorf("line %d: time %v", i+1, r.Time)
		}
		if len(r.Recipients) != 1 || strings.Contains(r.Recipients[0], "urn:") {
			t.Errorf("line %d: recipients %q, want one keyed hash", i+1, r.Recipients)
		}
		if !strings.HasPrefix(r.Path, "/voyager/api/") || strings.Contains(r.Path, "?") {
			t.Errorf("line %d: path %q", i+1, r.Path)
		}
		if !strings.HasPrefix(r.Client, "127.0.0.1") || r.RulesRev == "" {
			t.Errorf("line %d: client %q, rules_rev %q", i+1, r.Client, r.RulesRev)
		}
	}
	if all[2].RetryAt == "" || all[2].Reason == "" {
		t.Errorf("the refusal has retry_at %q, reason %q", all[2].RetryAt, all[2].Reason)
	}
	printed := g.verb(t, "log", "--json", "--decision", "reject")
	if lines := strings.Count(strings.TrimSpace(printed), "\n") + 1; lines != 1 || !strings.Contains(printed, all[2].ID) {
		t.Errorf("`quotagate log --json --decision reject` printed:\n%s", printed)
	}
}
