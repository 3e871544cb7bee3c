package rules

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

// refused is what a message of a request is refused with.
func refused(t *testing.T, s *Set, request string, r Refusal) (Answer, map[string]any) {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	sight := s.Look(call(t, method, target, "Cookie: li_at=c; sid=1", "Authorization: Bearer b"))
	got, err := sight.Read(nil)
	if err != nil || got == nil {
		t.Fatalf("%s: %v %v", request, got, err)
	}
	a := got.Messages[0].Refuse(r)
	var body map[string]any
	if strings.Contains(a.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(a.Body, &body); err != nil {
			t.Fatalf("%s: %v in %s", request, err, a.Body)
		}
	}
	return a, body
}

// SDKs act on refusals: a short block is one that they wait for, a long one
// is a failure that they do not repeat.
func TestNativeRefusals(t *testing.T) {
	s := matching(t, "version: 1\nuse: [linkedin, slack, telegram]\n")
	now := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	const (
		slack    = "POST https://slack.com/api/chat.postMessage"
		hook     = "POST https://hooks.slack.com/services/T/B/x"
		telegram = "POST https://api.telegram.org/bot1:x/sendMessage"
		voyager  = "POST https://www.linkedin.com/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage"
		official = "POST https://api.linkedin.com/rest/messages"
	)
	for _, c := range []struct {
		request string
		wait    time.Duration // 0: never
		status  int
		after   string
		has     string
	}{
		{slack, 1500 * time.Millisecond, 429, "2", `"error":"ratelimited"`},
		{slack, time.Minute, 429, "60", `"ok":false`},
		{slack, time.Minute + time.Millisecond, 200, "61", `"ok":false`},
		{slack, 24 * time.Hour, 200, "86400", `"error":"ratelimited"`},
		{slack, 0, 200, "2147483", `"retry_at":"never"`},
		{slack, 40 * 24 * time.Hour, 200, "2147483", `"ok":false`},
		{hook, time.Second, 429, "1", "rate_limited"},
		{hook, time.Hour, 403, "3600", "day: 100 of 100 used. Again at 2026-11-21T19:00:00Z"},
		{telegram, time.Millisecond, 429, "1", `"parameters":{"retry_after":1}`},
		{telegram, time.Hour, 403, "3600", `"error_code":403`},
		{voyager, time.Hour, 429, "3600", `"data":{"code":"QUOTA_EXCEEDED"`},
		{official, time.Hour, 429, "3600", `"serviceErrorCode":101`},
	} {
		r := Refusal{Limit: "day", Reason: "Enough \"for\"\r\n today.", Used: 100, Allow: 100, Now: now, ID: "id1"}
		if c.wait > 0 {
			r.RetryAt = now.Add(c.wait)
		}
		a, body := refused(t, s, c.request, r)
		if a.Status != c.status || a.Header.Get("Retry-After") != c.after || !strings.Contains(string(a.Body), c.has) {
			t.Errorf("%s after %v: %d, Retry-After %s, %s\nwant %d, %s, %s", c.request, c.wait, a.Status, a.Header.Get("Retry-After"), a.Body, c.status, c.after, c.has)
		}
		if body != nil {
			facts, _ := body["quotagate"].(map[string]any)
			if facts["limit"] != "day" || facts["used"] != 100.0 || facts["allow"] != 100.0 || facts["retry_at"] == nil {
				t.Errorf("%s: it does not say which limit: %s", c.request, a.Body)
			}
		}
	}
}

func TestRefusalWithoutItsOwnShape(t *testing.T) {
	s := matching(t, oneRule)
	now := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	a, body := refused(t, s, "POST https://chat.example/api/v1/send?action=create",
		Refusal{Limit: "day", Reason: "enough", Used: 5, Allow: 5, Now: now, RetryAt: now.Add(48 * time.Hour)})
	if a.Status != 429 || a.Header.Get("Content-Type") != "application/problem+json" || a.Header.Get("Retry-After") != "172800" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	for k, want := range map[string]any{
		"type": quotaExceeded, "status": 429.0, "limit": "day", "used": 5.0, "allow": 5.0,
		"retry_at": "2026-11-23T18:00:00Z", "detail": "enough",
	} {
		if body[k] != want {
			t.Errorf("%s is %v, want %v", k, body[k], want)
		}
	}
	if p, _ := body["violated-policies"].([]any); len(p) != 1 || p[0] != "day" {
		t.Errorf("violated-policies is %v", body["violated-policies"])
	}
}

// What stands in a refusal is never read as a template or as JSON.
func TestRefusalsAreNotInjected(t *testing.T) {
	s := matching(t, oneRule+`    refuse: own
refusals:
  own:
    long: {status: 403, header: {x-why: '${reason}'}, json: {why: 'because ${reason}', n: '${used:int}', list: [1, '${limit}', true, null]}}
`)
	a, body := refused(t, s, "POST https://chat.example/api/v1/send?action=create",
		Refusal{Limit: "l", Reason: "\",\"x\":${used:int} ${limit}\r\nSet-Cookie: a\u2028<b>", Used: 7, Now: time.Unix(0, 0)})
	if body["why"] != "because \",\"x\":${used:int} ${limit}\r\nSet-Cookie: a\u2028<b>" || body["n"] != 7.0 || body["x"] != nil {
		t.Errorf("%s", a.Body)
	}
	if why := a.Header.Get("X-Why"); strings.ContainsAny(why, "\r\n") {
		t.Errorf("%q", why)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Unix(1e9, 0)
	for wait, want := range map[time.Duration]int{
		-time.Hour: 1, time.Nanosecond: 1, time.Second: 1, time.Second + 1: 2, math.MaxInt64: 2147483,
	} {
		if got := (&Refusal{Now: now, RetryAt: now.Add(wait)}).RetryAfter(); got != want {
			t.Errorf("%v: %d, want %d", wait, got, want)
		}
	}
}

// Whoever comes back at the time that was named, to the second, finds room.
func TestRetryAtIsNeverTooEarly(t *testing.T) {
	s := matching(t, oneRule+`    refuse: own
refusals:
  own: {long: {status: 403, header: {x-again: '${retry_at}'}, json: {again: 'at ${retry_at}'}}}
`)
	zone := time.FixedZone("", 5*3600+30*60)
	for at, want := range map[time.Time]string{
		time.Date(2026, 11, 21, 18, 59, 59, 1, zone):         "2026-11-21T19:00:00+05:30",
		time.Date(2026, 11, 21, 18, 59, 58, 999999999, zone): "2026-11-21T18:59:59+05:30",
		time.Date(2026, 11, 21, 18, 59, 59, 0, zone):         "2026-11-21T18:59:59+05:30",
		time.Date(2026, 12, 31, 23, 59, 59, 1e6, time.UTC):   "2027-01-01T00:00:00Z",
		time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC):          "2027-01-01T00:00:00Z",
	} {
		r := Refusal{Limit: "day", Now: at.Add(-time.Hour), RetryAt: at}
		a, body := refused(t, s, "POST https://chat.example/api/v1/send?action=create", r)
		facts, _ := body["quotagate"].(map[string]any)
		if body["again"] != "at "+want || facts["retry_at"] != want || a.Header.Get("X-Again") != want {
			t.Errorf("room at %s: %s %v", at.Format(time.RFC3339Nano), a.Body, a.Header)
		}
		if p := problem(429, "", "", &r); !strings.Contains(string(p.Body), `"retry_at":"`+want+`"`) {
			t.Errorf("room at %s: %s", at.Format(time.RFC3339Nano), p.Body)
		}
	}
}
