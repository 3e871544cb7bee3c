package proxy_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// A lab is an enforcer without sockets, for tests in a bubble of time.
type lab struct {
	*proxy.Enforcer
	t      *testing.T
	ledger *ratelimit.Memory
	log    *syncBuffer
	begin  time.Time

	mu      sync.Mutex
	arrived []arrival // at the service
	records []proxy.Record
	answer  func(*http.Request) *http.Response
}

type arrival struct {
	after time.Duration // since the lab began
	body  string
}

func newLab(t *testing.T, rules string) *lab {
	t.Helper()
	set := mustLoad(t, rules)
	l := &lab{t: t, ledger: ratelimit.NewMemory(ratelimit.Options{}), log: &syncBuffer{}, begin: time.Now()}
	t.Cleanup(func() { l.ledger.Close() })
	l.answer = func(*http.Request) *http.Response { return answerOf(200, "{}") }
	l.Enforcer = &proxy.Enforcer{
		Rules: constant(set), Ledger: l.ledger, Next: serving(l.serve),
		Rates: ratelimit.NewLocalRates(ratelimit.Options{}),
		Log:   slog.New(slog.NewTextHandler(l.log, nil)),
		Record: func(r *proxy.Record) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.records = append(l.records, *r)
		},
	}
	return l
}

// serve is the service.
func (l *lab) serve(req *http.Request) *http.Response {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		req.Body.Close()
	}
	l.mu.Lock()
	l.arrived = append(l.arrived, arrival{time.Since(l.begin), string(body)})
	answer := l.answer
	l.mu.Unlock()
	resp := answer(req)
	resp.Request = req
	return resp
}

// A serving is a service without a network.
type serving func(*http.Request) *http.Response

func (f serving) RoundTrip(req *http.Request) (*http.Response, error) { return f(req), nil }

func answerOf(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func request(ctx context.Context, t *testing.T, method, path, body string, header ...string) *http.Request {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = bytes.NewReader([]byte(body))
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://chat.example"+path, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer anna")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return req
}

// post sends a body to a path as anna and reads the answer.
func (l *lab) post(path, body string, header ...string) (*http.Response, string) {
	return l.do(request(context.Background(), l.t, "POST", path, body, header...))
}

func (l *lab) do(req *http.Request) (*http.Response, string) {
	resp, err := l.Enforcer.RoundTrip(req)
	if err != nil {
		l.t.Errorf("%s %s: %v", req.Method, req.URL.Path, err)
		return &http.Response{Header: http.Header{}}, ""
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Errorf("%s %s: read the answer: %v", req.Method, req.URL.Path, err)
	}
	resp.Body.Close()
	return resp, string(b)
}

// sent is what reached the service.
func (l *lab) sent() []arrival {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]arrival(nil), l.arrived...)
}

// last is the latest record.
func (l *lab) last() proxy.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.records) == 0 {
		l.t.Fatal("no record")
	}
	return l.records[len(l.records)-1]
}

// used is what anna has used of a limit.
func (l *lab) used(limit string) int64 {
	l.t.Helper()
	name, err := l.ledger.Resolve(context.Background(), []string{l.name()})
	if err != nil {
		l.t.Fatal(err)
	}
	d, err := l.ledger.Reserve(context.Background(), ratelimit.Request{ID: "peek", Account: name, Claims: l.Rules().AccountClaims(name, time.Now()), Dry: true})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, u := range d.Uses {
		if u.Limit == limit {
			return u.Used
		}
	}
	l.t.Fatalf("no limit %s: %+v", limit, d.Uses)
	return 0
}

// name is the ledger's for anna, once a record told it.
func (l *lab) name() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.records {
		if l.records[i].Account != "" {
			return l.records[i].Account
		}
	}
	l.t.Fatal("no record names an account")
	return ""
}

// pass lets time go by, in a bubble.
func pass(d time.Duration) { <-time.After(d) }
