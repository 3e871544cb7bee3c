package proxy_test

import (
	"errors"
	"net"
	"net/http"
	"quotagate/proxy"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"quotagate/rules"
)

func asError[E error](err error, target *E) bool { return errors.As(err, target) }

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// loadRulesWith is the chat service under another name.
func loadRulesWith(t *testing.T, host string) *rules.Set {
	t.Helper()
	return mustLoad(t, strings.ReplaceAll(chat, "chat.example", host))
}

func mustLoad(t testing.TB, text string) *rules.Set {
	t.Helper()
	set, err := rules.LoadFS(fstest.MapFS{"q.yaml": {Data: []byte(text)}}, []string{"q.yaml"}, rules.Options{Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// constant is a source of rules that never change.
func constant(set *rules.Set) func() *rules.Set { return func() *rules.Set { return set } }

// recording is a service without a network that notes when it was asked.
type recording struct {
	clock proxy.Clock
	times *[]time.Time
}

func (r recording) RoundTrip(req *http.Request) (*http.Response, error) {
	*r.times = append(*r.times, r.clock.Now())
	return answering{}.RoundTrip(req)
}
