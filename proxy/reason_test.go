package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// reasoned has a zone, so that times are shown to be the account's.
const reasoned = `
version: 1
services: {chat: {hosts: [chat.example], account: [{bearer: true, secret: true}]}}
messages:
  - name: chat.message
    match: {method: POST, path: /send}
    recipients: [{json: $.to}]
    text: {json: $.text}
events:
  - {name: chat.met, match: {path: /friends}, means: connected, each: '$.friends[*]', recipient: {json: $}}
defaults: {wait: 0s, timezone: Asia/Tokyo}
credits: {mail: {accrue: {free: 1}, per: month, top_up: "3 for $10"}}
limits:
`

// Time in a bubble begins at midnight UTC, 2000-01-01: a Saturday, and nine in
// the morning in Tokyo.
func TestARefusalSaysWhyInWords(t *testing.T) {
	const letters = "The quick brown fox jumps over the lazy dog and runs away into the dark green forest"
	for _, tc := range []struct {
		limit  string
		before func(*lab) // what used it up
		want   string
	}{
		{"allow: 1, per: day", nil, "limit x: 1 of 1 used; room again at 2000-01-02T00:00:00+09:00"},
		{"allow: 1, per: 24h", nil, "limit x: 1 of 1 used; room again at 2000-01-02T09:00:00+09:00"},
		{"allow: 1, per: lifetime", nil, "limit x: 1 of 1 used; waiting will not help"},
		{"allow: 1, per: day, scope: service", nil, "limit x: 1 of 1 used by all accounts together; room again at "},
		{"distinct: recipient, allow: 1, per: 24h", func(l *lab) { l.post("/send", `{"to":"carl"}`) }, "limit x: 1 of 1 recipients used; room again at 2000-01-02T09:00:00+09:00"},
		{"pace: 1m", nil, "limit x: one every 1m; room again at 2000-01-01T09:01:00+09:00"},
		{"credits: mail", nil, "limit x: 0 of 1 credits left; the next come on 2000-02-01T00:00:00+09:00; more: 3 for $10"},
		{"unanswered: 1, by: recipient", toBob, "limit x: 1 message unanswered; it takes a reply"},
		{"unanswered: 2, gap: 7d, by: recipient", toBob, "limit x: 1 message unanswered, and 7d between one and the next; room again at 2000-01-08T09:00:00+09:00"},
		{"after_connecting: {allow: 1, until: reply, or: 14d}, by: recipient", func(l *lab) {
			l.answer = func(*http.Request) *http.Response { return answerOf(200, `{"friends":["bob"]}`) }
			l.do(request(context.Background(), l.t, "GET", "/friends", ""))
			if err := l.Settle(context.Background()); err != nil {
				l.t.Fatal(err)
			}
			pass(time.Second)
			toBob(l)
		}, "limit x: 1 message sent since they connected, 1 until they reply; room again at 2000-01-15T09:00:00+09:00"},
		{"similar: 0.8, recipients: 2, gap: 14d", func(l *lab) {
			for i := range 3 {
				l.post("/send", fmt.Sprintf(`{"to":"r%d","text":"%s"}`, i, letters))
			}
			pass(25 * time.Hour)
		}, "limit x: a text like this went to 2 recipients or more; the next may go 14d after the last; room again at 2000-01-15T09:00:00+09:00"},
		{"reply_rate: 0.5, per: 30d, sample: 2", func(l *lab) {
			for i := range 2 {
				l.post("/send", fmt.Sprintf(`{"to":"r%d"}`, i))
			}
		}, "limit x: too few of the last 30d of messages were answered: it takes 50%; room again at "},
		{"degree_share: 0.125, per: 7d, sample: 2", func(l *lab) {
			for i := range 2 {
				l.post("/send", fmt.Sprintf(`{"to":"r%d"}`, i))
			}
		}, "limit x: too few of the last 7d of messages went to connections: it takes 12.5%; room again at "},
		{`hours: {days: mon-fri, from: "09:00", to: "18:00"}`, func(*lab) {}, "limit x: outside its hours; it opens at 2000-01-03T09:00:00+09:00"},
		{"concurrent: 1", func(l *lab) {
			body, _ := io.Pipe()
			l.answer = func(*http.Request) *http.Response {
				r := answerOf(200, "")
				r.Body, r.ContentLength = body, -1
				return r
			}
			resp, err := l.RoundTrip(request(context.Background(), l.t, "POST", "/send", `{"to":"x"}`))
			if err != nil {
				l.t.Fatal(err)
			}
			l.t.Cleanup(func() { resp.Body.Close() })
		}, "limit x: 1 of 1 are on their way; ask again at "},
		{"rate: 1, per: 1m", nil, "limit x: 1 every 1m are let through; room again at 2000-01-01T09:01:00+09:00"},
	} {
		t.Run(tc.limit, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, reasoned+"  - {name: x, on: chat.message, "+tc.limit+"}\n")
				if tc.before == nil {
					tc.before = toBob
				}
				tc.before(l)
				resp, body := l.post("/send", fmt.Sprintf(`{"to":"bob","text":"%s"}`, letters))
				r := l.last()
				if resp.StatusCode != 429 || !strings.HasPrefix(r.Reason, tc.want) || !strings.HasSuffix(tc.want, " at ") && r.Reason != tc.want {
					t.Errorf("%d: %q, want %q", resp.StatusCode, r.Reason, tc.want)
				}
				if strings.HasPrefix(tc.limit, "rate: 1") && (r.Used != 1 || r.Allow != 1) {
					t.Errorf("the record says %d of %d", r.Used, r.Allow)
				}
				if !strings.Contains(body, `"detail":"`+tc.want) || strings.Contains(body, "quick") {
					t.Errorf("%s", body)
				}
				x, err := l.Explain(context.Background(), request(context.Background(), t, "POST", "/send", fmt.Sprintf(`{"to":"bob","text":"%s"}`, letters)), time.Now())
				if err != nil {
					t.Fatal(err)
				}
				isRate := strings.HasPrefix(tc.limit, "rate")
				if !isRate && (x.Decision != proxy.DecisionReject || !strings.HasPrefix(x.Reason, tc.want)) {
					t.Errorf("explained: %s %q", x.Decision, x.Reason)
				}
				if len(x.Uses) != 1 || x.Uses[0].Measure == "" || x.Uses[0].Limit != "x" || x.Uses[0].Short == isRate {
					t.Errorf("explained: %+v", x.Uses)
				}
			})
		})
	}
}

func toBob(l *lab) { l.post("/send", `{"to":"bob"}`) }

func TestAHoldSaysWhoIsStoppedAndWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, reasoned+"  - {name: x, on: chat.message, allow: 9, per: day, by: recipient}\n")
		toBob(l)
		ctx := context.Background()
		reason := func() string {
			l.t.Helper()
			toBob(l)
			return l.last().Reason
		}
		if _, err := l.ledger.Cool(ctx, ratelimit.Cooling{ID: "1", Account: l.name(), Name: "throttled", Why: "chat: throttled", For: 3_600_000}); err != nil {
			t.Fatal(err)
		}
		if got, want := reason(), "the account is paused: chat: throttled; it ends at 2000-01-01T10:00:00+09:00"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		x, err := l.Explain(ctx, request(ctx, t, "POST", "/send", `{"to":"bob"}`), time.Now())
		if err != nil || len(x.Holds) != 1 || x.Holds[0].Name != "throttled" || x.Holds[0].Until.IsZero() {
			t.Errorf("%+v %v", x, err)
		}
		if err := l.ledger.Pause(ctx, l.name(), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := l.ledger.Cool(ctx, ratelimit.Cooling{ID: "2", Account: l.name(), Key: "h(chat.recipient=bob)", Name: "reported", Why: "they reported a message", Resumed: true}); err != nil {
			t.Fatal(err)
		}
		if got, want := reason(), "the recipient is paused: they reported a message; it stays so until someone resumes it"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// A ratio lets go until its sample is full, so 3 of 2 is nothing to be told.
func TestARatioIsNoQuotaThatIsNearlyUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, reasoned+"  - {name: answered, on: chat.message, reply_rate: 0.5, per: 7d, sample: 9}\n  - {name: day, on: chat.message, allow: 9, per: day}\n")
		for range 3 {
			resp, _ := l.post("/send", `{"to":"bob","text":"hello"}`)
			if got := resp.Header.Get("RateLimit-Policy"); !strings.HasPrefix(got, `"day";q=9`) {
				t.Errorf("%d %s", resp.StatusCode, got)
			}
			if r := l.last(); r.Limit != "day" {
				t.Errorf("the record is of %s, %d of %d", r.Limit, r.Used, r.Allow)
			}
		}
	})
}
