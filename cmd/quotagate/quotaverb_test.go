package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"quotagate/proxy"
	"quotagate/proxy/admin"
	"quotagate/rules"
)

// golden holds what people read against a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

var (
	noon     = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	midnight = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
)

func TestQuotaReads(t *testing.T) {
	var out bytes.Buffer
	limits := []limitScope{
		{Name: "linkedin.classic.day", On: []string{"linkedin.message"}},
		{Name: "slack.day", On: []string{"slack.message"}},
		{Name: "slack.used", On: []string{"slack.message"}},
		{Name: "all", On: []string{"linkedin.message", "slack.message"}},
		{Name: "pair", On: []string{"linkedin.message"}, By: "recipient", Allow: 2.0, Per: "7d"},
		{Name: "chat", On: []string{"slack.message"}, By: "recipient", Pace: "1.5s"},
		{Name: "plans", On: []string{"slack.message"}, By: "recipient", Allow: map[string]any{"free": 1.0}},
		{Name: "others", On: []string{"slack.message"}, By: "recipient", Allow: 1.0, Accounts: []string{"bert"}},
		{Name: "together", On: []string{"slack.message"}, Scope: "service"},
		{Name: "tier", On: []string{"slack.request"}, Measure: "rate", Allow: 20.0, Per: "minute"},
		{Name: "broadcasts", On: []string{"slack.message"}, Measure: "similar", Allow: 3.0},
	}
	for _, a := range []admin.Account{
		{Name: "anna", Limits: []proxy.LimitUse{
			{Limit: "linkedin.classic.day", Used: 12, Allow: 100, Resets: midnight, WarnAt: 80, Measure: "per day"},
			{Limit: "linkedin.classic.month", Used: 1400, Allow: 1500, Resets: midnight.AddDate(0, 0, 9), WarnAt: 1200, Measure: "per month"},
			{Limit: "life", Used: 3, Allow: 20000, Measure: "per lifetime"},
			{Limit: "last24h", Used: 50, Allow: 50, Resets: noon.Add(90 * time.Second), Short: true, Measure: "per 24h"},
			{Limit: "space-out", Resets: noon.Add(30 * time.Second), Measure: "pace 1m"},
			{Limit: "tried", Allow: 5, Shadow: true, Measure: "per 24h"},
		}},
		{Name: "carl", Holds: []proxy.HoldUse{
			{Name: "throttled", Until: noon.Add(time.Hour), Why: "slack: throttled"},
			{Name: "challenged"},
		}, Limits: []proxy.LimitUse{
			{Limit: "inmail", Used: 3, Allow: 15, Resets: midnight.AddDate(0, 0, 9), Measure: "credits"},
			{Limit: "reach", Used: 2, Allow: 250, Resets: midnight, Measure: "recipients per 24h"},
			{Limit: "open", Measure: "hours", Resets: midnight.Add(9 * time.Hour)},
			{Limit: "answered", Used: 4, Allow: 45, Measure: "reply_rate 10%, per 30d"},
			{Limit: "broadcast", Allow: 3, Measure: "80% alike, 14d apart"},
			{Limit: "at-once", Used: 1, Allow: 4, Measure: "at once"},
		}},
		// Only what its service can meet, and what was used all the same.
		{Name: "linkedin~1123456789abcdef", Limits: []proxy.LimitUse{
			{Limit: "linkedin.classic.day", Allow: 100, Resets: midnight, Measure: "per day"},
			{Limit: "slack.day", Allow: 5, Resets: midnight, Measure: "per day"},
			{Limit: "slack.used", Used: 1, Allow: 5, Resets: midnight, Measure: "per day"},
			{Limit: "all", Allow: 5, Resets: midnight, Measure: "per day"},
		}},
		// What a listed one has used tells its services.
		{Name: "bert", Limits: []proxy.LimitUse{
			{Limit: "linkedin.classic.day", Allow: 100, Resets: midnight, Measure: "per day"},
			{Limit: "slack.day", Used: 1, Allow: 5, Resets: midnight, Measure: "per day"},
			{Limit: "all", Used: 1, Allow: 5, Resets: midnight, Measure: "per day"},
		}},
		// What others have used of a scope says nothing of its own services.
		{Name: "dora", Limits: []proxy.LimitUse{
			{Limit: "linkedin.classic.day", Used: 1, Allow: 100, Resets: midnight, Measure: "per day", Warn: true},
			{Limit: "slack.day", Allow: 5, Resets: midnight, Measure: "per day"},
			{Limit: "together", Used: 3, Allow: 5, Resets: midnight, Measure: "per day", Scope: "service:slack"},
		}},
		{Name: "service:slack", Limits: []proxy.LimitUse{
			{Limit: "together", Used: 3, Allow: 5, Resets: midnight, Measure: "per day", Scope: "service:slack"},
		}},
		{Name: "linkedin~0123456789abcdef", Paused: true, Why: "a captcha\x1b[0m", Until: midnight},
	} {
		writeAccount(&out, &a, limits, noon, time.UTC)
	}
	golden(t, "quota.golden", out.Bytes())
}

func TestExplanationReads(t *testing.T) {
	var out bytes.Buffer
	at := rules.Pos{File: "packs/linkedin.yaml", Line: 33, Col: 5}
	for _, x := range []proxy.Explanation{
		{Decision: "hold", Reason: "limit space-out has room within its wait", HeldMS: 12500, Limit: "space-out",
			Account: "anna", Class: "automated", Messages: []string{"linkedin.message", "linkedin.message", "linkedin.invite"}, Revision: "0123456789ab",
			Uses: []proxy.LimitUse{{Limit: "space-out", Resets: noon.Add(12500 * time.Millisecond), Short: true, Measure: "pace 1m"},
				{Limit: "pair", Key: "0123456789abcdef", Used: 1, Allow: 2, Resets: midnight, Measure: "per 7d"}}},
		{Decision: "pass", Reason: "no rule takes this for a message", Service: "linkedin", Revision: "0123456789ab",
			Trace: []rules.TraceStep{{Message: "linkedin.message", At: at, Field: "method", Want: "POST"}, {Message: "linkedin.invite", At: at, Field: "path", Want: "/voyager/api/invite"},
				{Message: "a.a", At: at, Field: "path", Want: "/a"}, {Message: "a.b", At: at, Field: "path", Want: "/b"}, {Message: "a.c", At: at, Field: "path", Want: "/c"}, {Message: "a.d", At: at, Field: "path", Want: "/d"}, {Message: "a.d", At: at, Field: "path", Want: "/d"}}},
		{Decision: "pass", Reason: "no rule takes this for a message", Service: "slack", Revision: "0123456789ab",
			Trace: []rules.TraceStep{{Message: "slack.message", At: at, Field: "path", Want: "/api/files.completeUploadExternal"}, {Message: "slack.message", At: at, Field: "path", Want: "/api/files.completeUploadExternal"},
				{Message: "slack.message", At: at, Field: "path", Want: "/api/chat.postMessage or /api/chat.postEphemeral or /api/chat.scheduleMessage or /api/chat.meMessage"}}},
		{Decision: "reject", Reason: "the request names no account", Service: "slack", Limit: "unknown-account", Revision: "0123456789ab",
			Trace: []rules.TraceStep{{Message: "slack.message", At: at}, {Message: "slack.message", At: at, Field: "path", Want: "/x"}}},
	} {
		writeExplanation(&out, &x, noon, time.UTC)
	}
	golden(t, "explain.golden", out.Bytes())
}

func TestDurationsReadInTwoUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "now", -time.Second: "now", 29 * time.Second: "29s", 90 * time.Second: "1m 30s", time.Hour: "1h",
		3*time.Hour + 20*time.Minute + 5*time.Second: "3h 20m", 49*time.Hour + 5*time.Minute: "2d 1h", 24*time.Hour + time.Minute: "1d",
	} {
		if got := inWords(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestDurationsAreWrittenAsUsersDo(t *testing.T) {
	for d, want := range map[time.Duration]string{
		7 * 24 * time.Hour: "7d", 24 * time.Hour: "24h", 90 * time.Second: "90s", time.Minute: "1m", 1500 * time.Millisecond: "1.5s",
	} {
		if got := asWritten(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		43 * time.Millisecond: "43 ms", 911 * time.Millisecond: "911 ms", 1999 * time.Millisecond: "1.9 s", 12500 * time.Millisecond: "12 s", 125 * time.Second: "2m 5s",
	} {
		if got := inMoments(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestTimesAndDurationsAreRead(t *testing.T) {
	for s, want := range map[string]time.Time{
		"2026-11-21T13:00:00+01:00": noon, "30m": noon.Add(30 * time.Minute), "1.5d": noon.Add(36 * time.Hour), "2w": noon.AddDate(0, 0, 14),
		"2026-12-01": time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), "2026-11-21 12:00": noon, "2026-11-21T12:00:00": noon,
		"12:00": noon, "13:00": noon.Add(time.Hour), "11:00": noon.Add(23 * time.Hour),
	} {
		if got, err := parseWhen("at", s, noon, 1); err != nil || !got.Equal(want) {
			t.Errorf("%s is %v, %v; want %v", s, got, err, want)
		}
	}
	for s, want := range map[string]time.Time{"13:00": noon.Add(-23 * time.Hour), "11:00": noon.Add(-time.Hour), "1h": noon.Add(-time.Hour)} {
		if got, err := parseWhen("since", s, noon, -1); err != nil || !got.Equal(want) {
			t.Errorf("since %s is %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-5m", "tomorrow", "12", "d", "1e9d"} {
		if got, err := parseWhen("at", s, noon, 1); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}
