package proxy_test

import (
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

// answering is a service without a network.
type answering struct{}

func (answering) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}
