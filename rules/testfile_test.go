package rules

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

const testsText = `
rules: [./rules.yaml]
set:
  version: 1
  limits: [{name: day, on: acme.post, allow: 2, per: day}]
tests:
  - name: the third message of the day waits for midnight
    start: 2026-03-28T09:00:00+01:00
    given: {plan: free, timezone: Europe/Berlin, facts: {connections: 12}}
    steps:
      - send: {request: 'POST https://api.acme.test/post?n=${n}', proxy_user: bert, header: {X-Box: "b${n}"}, json: {to: ["r${n}", 1], text: {body: "Hello ${n}"}}}
        times: 2
        every: 4m
        expect: {decision: forward, used: {day: 1}, held_for: 0, messages: 1, never: false}
      - after: 4m
        send: {repeat: last}
        upstream: {status: 429, json: {ok: false}}
        expect: {decision: reject, limit: day, retry_at: 2026-03-29T00:00:00+01:00, retry_after: 14h}
      - until: 2026-03-29T00:00:00+01:00
`

func testTree(text string) fstest.MapFS {
	return fstest.MapFS{"t/a.test.yaml": {Data: []byte(text)}, "t/rules.yaml": {Data: []byte(wired)}}
}

func TestRuleTestsAreRead(t *testing.T) {
	f, err := LoadTestsFS(testTree(testsText), "t/a.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	one := f.Tests[0]
	if len(f.Tests) != 1 || !one.Start.Equal(mustTime(t, "2026-03-28T08:00:00Z")) || one.Given.Timezone != "Europe/Berlin" || one.Given.Facts["connections"] != int64(12) || one.Line != 7 {
		t.Errorf("%+v", one)
	}
	first, second, third := one.Steps[0], one.Steps[1], one.Steps[2]
	if first.Times != 2 || first.Every != 4*time.Minute || first.Expect.Decision != "forward" || first.Expect.Used["day"] != 1 || *first.Expect.HeldFor != 0 || *first.Expect.Messages != 1 || *first.Expect.Never {
		t.Errorf("%+v %+v", first, first.Expect)
	}
	if second.Times != 1 || second.After != 4*time.Minute || second.Send.Repeat != "last" || second.Upstream.Status != 429 || *second.Expect.RetryAfter != 14*time.Hour || second.Expect.RetryAt.IsZero() || second.Line != 15 {
		t.Errorf("%+v %+v", second, second.Expect)
	}
	if third.Send != nil || third.Until.IsZero() {
		t.Errorf("%+v", third)
	}
	sent := first.Send.At(7)
	if sent.Method() != "POST" || sent.URL() != "https://api.acme.test/post?n=7" || sent.Header["X-Box"] != "b7" {
		t.Errorf("%+v", sent)
	}
	to := sent.JSON.(map[string]any)["to"].([]any)
	if to[0] != "r7" || to[1] != int64(1) || first.Send.JSON.(map[string]any)["to"].([]any)[0] != "r${n}" {
		t.Error(sent.JSON, first.Send.JSON)
	}
	s, err := f.Load(Options{Hash: testHash})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Limits(); len(got) != 1 || got[0].Name != "day" || got[0].At.String() != "t/a.test.yaml:5:19" {
		t.Errorf("%+v", got)
	}
}

func TestWrongRuleTestsAreRefusedWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"tests: []", "a.test.yaml:1:1: the tests name no rules"},
		{"rules: x.yaml\ntests: [{name: a, steps: []}]", `a.test.yaml:2:9: the test "a" has no steps`},
		{"rules: x.yaml\ntests: [{name: a, steps: [{snd: {}}]}]", `did you mean "send"?`},
		{"rules: x.yaml\ntests: [{name: a, steps: [{send: {repeat: last}}]}]", "there is no request before this one"},
		{"rules: x.yaml\ntests: [{name: a, steps: [{send: {request: https://a.test}}]}]", "is not a request"},
		{"rules: x.yaml\ntests: [{name: a, steps: [{send: {request: POST https://a.test, body: a, json: 1}}]}]", "a request has one body"},
		{"rules: x.yaml\ntests: [{name: a, steps: [{after: 1h, expect: {decision: forward}}]}]", "this step sends nothing"},
		{"rules: x.yaml\ntests: [{name: a, steps: [{send: {request: GET https://a.test}, expect: {decision: forwards}}]}]", `did you mean "forward"?`},
		{"rules: x.yaml\ntests: [{name: a, start: noon, steps: [{after: 1h}]}]", "is not a time"},
		{"rules: x.yaml\ntests: [{name: a, steps: [{resume: {}}]}]", "nothing was sent before: it is not known whose account is meant"},
		{"rules: x.yaml\ntests: [{name: a, steps: [{pause: {account: a}, resume: {account: a}}]}]", "a step pauses an account or resumes one"},
		{"rules: x.yaml\ntests: [{name: a, steps: [{pause: {account: a, until: 1h}}]}]", `unknown key "until" in a pause`},
		{"rules: x.yaml\ntests: [{name: a, steps: [{send: {request: GET https://a.test}, expect: {outcome: trottled}}]}]", `did you mean "throttled"?`},
		{"rules: x.yaml\ntests: [{name: a, steps: [{after: 1h}]}, {name: a, steps: [{after: 1h}]}]", "two tests are named"},
	} {
		_, err := LoadTestsFS(testTree(c.text), "t/a.test.yaml")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngives %v", c.text, err)
		}
	}
	f, err := LoadTestsFS(testTree("set: {version: 1, limits: [{name: a, on: slack.message, allow: 1, per: day}]}\ntests: [{name: a, steps: [{after: 1h}]}]"), "t/a.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(Options{Hash: testHash}); err == nil || !strings.Contains(err.Error(), "a.test.yaml:1:42: there is no message") || !strings.Contains(err.Error(), "\n    set: {version") {
		t.Error(err)
	}
}
