package proxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"quotagate/proxy"
	"quotagate/ratelimit"
	"quotagate/rules"
)

// says answers as a service does, or fails as it may.
type says struct {
	length int64
	body   string
	err    error
}

func (s says) RoundTrip(req *http.Request) (*http.Response, error) {
	if s.err != nil {
		return nil, s.err
	}
	return &http.Response{
		StatusCode: 200, Header: http.Header{}, Request: req, ContentLength: s.length,
		Body: io.NopCloser(strings.NewReader(s.body)),
	}, nil
}

func TestTheRecordIsWrittenBeforeTheAnswersLastByte(t *testing.T) {
	set := loadRules(t, "limits: [{name: chat.day, on: chat.message, allow: 2, per: day}]\n")
	recorded := 0
	e := &proxy.Enforcer{
		Rules: func() *rules.Set { return set }, Ledger: ratelimit.NewMemory(ratelimit.Options{}),
		Recorded: func() { recorded++ },
	}
	send := func(next says, path string) (*http.Response, error) {
		t.Helper()
		recorded, e.Next = 0, next
		req, err := http.NewRequest("POST", "https://chat.example"+path, strings.NewReader(`{"to":"bob"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer anna")
		return e.RoundTrip(req)
	}
	read := func(resp *http.Response, err error) (got string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for b := make([]byte, 1); ; {
			n, err := resp.Body.Read(b)
			got += string(b[:n])
			last := resp.ContentLength < 0 && err != nil || int64(len(got)) == resp.ContentLength
			if last != (recorded > 0) {
				t.Fatalf("recorded %d times when %q had been read", recorded, got)
			}
			if err != nil {
				return got
			}
		}
	}
	if got := read(send(says{11, `{"ok":true}`, nil}, "/send")); got != `{"ok":true}` {
		t.Error(got)
	}
	if got := read(send(says{-1, `{"ok":true}`, nil}, "/send")); got != `{"ok":true}` {
		t.Error(got)
	}
	if got := read(send(says{}, "/send")); !strings.Contains(got, "chat.day") { // a refusal
		t.Error(got)
	}
	if resp, err := send(says{}, "/look"); err != nil || recorded != 0 {
		t.Errorf("no message: %v, recorded %d times", err, recorded)
	} else {
		resp.Body.Close()
	}

	e.Ledger = ratelimit.NewMemory(ratelimit.Options{})
	if resp, err := send(says{}, "/send"); err != nil || recorded == 0 { // an answer without a body
		t.Errorf("%v, recorded %d times", err, recorded)
	} else {
		resp.Body.Close()
	}
	broken := errors.New("reset")
	if _, err := send(says{err: broken}, "/send"); !errors.Is(err, broken) || recorded == 0 {
		t.Errorf("%v, recorded %d times", err, recorded)
	}
}

// countedWrites is a connection whose writes are counted.
type countedWrites struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedWrites) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// net/http writes the header by itself where it takes the body for one that
// may be waited for.
func TestAShortMessageLeavesInOnePiece(t *testing.T) {
	ca := newTestCA(t)
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	service.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "chat.example")}}
	service.StartTLS()
	defer service.Close()
	var writes atomic.Int64
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.pool()},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, service.Listener.Addr().String())
			return countedWrites{c, &writes}, err
		},
	}
	defer transport.CloseIdleConnections()
	set := loadRules(t, five)
	e := &proxy.Enforcer{Rules: func() *rules.Set { return set }, Ledger: ratelimit.NewMemory(ratelimit.Options{}), Next: transport}
	for i := range 3 {
		writes.Store(0)
		req, err := http.NewRequest("POST", "https://chat.example/send", strings.NewReader(`{"to":"bob"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer anna")
		resp, err := e.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if n := writes.Load(); i > 0 && n != 1 { // the first shakes hands
			t.Errorf("message %d left in %d pieces", i, n)
		}
	}
}
