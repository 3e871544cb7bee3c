package proxy_test

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"quotagate/proxy"
	"quotagate/ratelimit"
	"quotagate/rules"
)

// BenchmarkEnforcer is the cost of governing one request, without any socket:
// rules, ledger in memory, outcome, record.
func BenchmarkEnforcer(b *testing.B) {
	for _, limits := range []int{0, 1, 3, 8} {
		b.Run("limits="+strconv.Itoa(limits), func(b *testing.B) {
			text := chat + "limits:\n"
			if limits == 0 {
				text = chat
			}
			for i := range limits {
				per := []string{"day", "24h", "month"}[i%3]
				if per == "24h" && i > 2 {
					per = "week"
				}
				text += " - {name: l" + strconv.Itoa(i) + ", on: chat.message, allow: 1000000000, per: " + per + "}\n"
			}
			set := mustLoad(b, text)
			var line []byte
			e := &proxy.Enforcer{
				Rules: func() *rules.Set { return set }, Ledger: ratelimit.NewMemory(ratelimit.Options{}),
				Next: answering{}, Record: func(r *proxy.Record) { line = r.AppendJSON(line[:0]) },
			}
			b.ReportAllocs()
			for b.Loop() {
				req, err := http.NewRequest("POST", "https://chat.example/send", strings.NewReader(`{"to":"bob","text":"hello"}`))
				if err != nil {
					b.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer anna")
				resp, err := e.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
		})
	}
}

// BenchmarkPost is what BenchmarkEnforcer is, for a message and an answer as
// Slack has them, by the shipped rules.
func BenchmarkPost(b *testing.B) {
	set := mustLoad(b, `version: 1
use: [slack]
limits:
  - {name: day, on: slack.message, allow: 1000000000, per: day}
  - {name: week, on: slack.message, allow: 1000000000, per: week}
  - {name: month, on: slack.message, allow: 1000000000, per: month}
`)
	answer := `{"ok":true,"channel":"C0123456789","ts":"1795255325.000100","message":{"type":"message","user":"U0123456789","bot_id":"B0123456789","text":"The build is green again.","ts":"1795255325.000100"}}`
	body := `{"channel":"C0000000001","text":"Build 17 of the nightly branch is green again, 1,204 tests in 3 minutes.","unfurl_links":false}`
	var line []byte
	e := &proxy.Enforcer{
		Rules: constant(set), Ledger: ratelimit.NewMemory(ratelimit.Options{}),
		Next: says{length: int64(len(answer)), body: answer}, Record: func(r *proxy.Record) { line = r.AppendJSON(line[:0]) },
	}
	req, err := http.NewRequest("POST", "https://slack.com/api/chat.postMessage", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer xoxb-000000000000-000000000000-benchbenchbenchbench")
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.ContentLength = int64(len(body))
	b.ReportAllocs()
	for b.Loop() {
		one := *req
		one.Body = io.NopCloser(strings.NewReader(body))
		resp, err := e.RoundTrip(&one)
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
	if !bytes.Contains(line, []byte(`"outcome":"sent"`)) {
		b.Fatalf("%s", line)
	}
}

// answering is a service without a network.
type answering struct{}

func (answering) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}
