package proxy_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
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
