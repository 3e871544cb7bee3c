package proxy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"quotagate/ratelimit"
)

const talk = `
version: 1
services: {chat: {hosts: [chat.example], account: [{bearer: true, secret: true}]}}
messages:
  - name: chat.message
    match: {method: POST, path: /send}
    recipients: [{json: $.to}, {json: $.thread, as: thread}]
    text: {json: $.text}
events:
  - {name: chat.reply, match: {path: /inbox}, means: reply, each: '$.messages[*]', recipient: {json: $.from}}
  - {name: chat.reply, match: {method: POST, path: /hook}, from: request, means: reply, recipient: {json: $.from}}
defaults: {wait: 0s}
limits: [{name: chat.follow, on: chat.message, unanswered: 1, by: recipient}]
`

// An eventLedger notes what it was told.
type eventLedger struct {
	ratelimit.Store
	mu    sync.Mutex
	told  []string
	block chan struct{} // nil: it does not
}

func (l *eventLedger) Observe(ctx context.Context, e ratelimit.Event) error {
	if l.block != nil {
		select {
		case <-l.block:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, fmt.Sprint(e.Account, " ", e.Kind, " ", e.Recipient, e.Is))
	if e.At == 0 {
		l.told = append(l.told, "without a time")
	}
	return nil
}

func (l *eventLedger) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.told)
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

func TestRepliesAreLearnedFromWhatPasses(t *testing.T) {
	const inbox = `{"messages":[{"from":"bob"},{"from":"carl"}]}`
	const anna = "chat~h(chat.token=anna)"
	both := []string{anna + " 1 h(chat.recipient=bob)", anna + " 1 h(chat.recipient=carl)"}
	for _, tc := range []struct {
		name, method, path, body string
		answer                   func() *http.Response
		told                     []string
	}{
		{"in an answer", "GET", "/inbox", "", func() *http.Response { return answerOf(200, inbox) }, both},
		{"of unknown length", "GET", "/inbox", "", func() *http.Response {
			r := answerOf(200, inbox)
			r.ContentLength = -1
			return r
		}, both},
		{"compressed", "GET", "/inbox", "", func() *http.Response {
			r := answerOf(200, zipped(inbox))
			r.Header.Set("Content-Encoding", "gzip")
			return r
		}, both},
		{"in a request", "POST", "/hook", `{"from":"bob"}`, func() *http.Response { return answerOf(200, "") }, both[:1]},
		{"an answer that is none", "GET", "/inbox", "", func() *http.Response { return answerOf(500, inbox) }, nil},
		{"an answer longer than is kept", "GET", "/inbox", "", func() *http.Response {
			return answerOf(200, strings.Replace(inbox, "{", "{"+strings.Repeat(" ", 1<<20), 1))
		}, nil},
		{"the same, of unknown length", "GET", "/inbox", "", func() *http.Response {
			r := answerOf(200, strings.Replace(inbox, "{", "{"+strings.Repeat(" ", 1<<20), 1))
			r.ContentLength = -1
			return r
		}, nil},
		{"a request longer than is kept", "POST", "/hook", `{"x":"` + strings.Repeat("x", 1<<20) + `","from":"bob"}`, func() *http.Response { return answerOf(200, "") }, nil},
		{"another path", "GET", "/other", "", func() *http.Response { return answerOf(200, inbox) }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, talk)
			ledger := &eventLedger{Store: l.ledger}
			l.Ledger = ledger
			want := tc.answer()
			length := want.ContentLength
			l.answer = func(*http.Request) *http.Response { return want }
			resp, body := l.do(request(context.Background(), t, tc.method, tc.path, tc.body))
			again, _ := io.ReadAll(tc.answer().Body)
			if body != string(again) || resp.ContentLength != length {
				t.Error("the client got something else")
			}
			if sent := l.sent(); len(sent) != 1 || sent[0].body != tc.body {
				t.Error("the service got something else")
			}
			if err := l.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := ledger.all(); !slices.Equal(got, tc.told) {
				t.Errorf("the ledger was told %q, want %q", got, tc.told)
			}
		})
	}
}

func TestHalfAnAnswerTeachesNothing(t *testing.T) {
	l := newLab(t, talk)
	ledger := &eventLedger{Store: l.ledger}
	l.Ledger = ledger
	const half = `{"messages":[{"from":"bob"}]}` // as far as it came
	l.answer = func(*http.Request) *http.Response { return answerOf(200, half+"\n{}") }
	resp, err := l.RoundTrip(request(context.Background(), t, "GET", "/inbox", ""))
	if err != nil {
		t.Fatal(err)
	}
	io.ReadFull(resp.Body, make([]byte, len(half)))
	resp.Body.Close()
	if err := l.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ledger.all(); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

func TestNoByteWaitsForWhatIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, talk)
		ledger := &eventLedger{Store: l.ledger, block: make(chan struct{})}
		l.Ledger = ledger
		l.answer = func(*http.Request) *http.Response { return answerOf(200, `{"messages":[{"from":"bob"}]}`) }
		l.do(request(context.Background(), t, "GET", "/inbox", ""))
		if took := time.Since(l.begin); took > 0 {
			t.Errorf("the answer took %s", took)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if l.Settle(ctx) == nil {
			t.Error("it is settled while the ledger has not answered")
		}
		close(ledger.block)
		if err := l.Settle(context.Background()); err != nil || len(ledger.all()) != 1 {
			t.Errorf("%v %q", err, ledger.all())
		}
	})
}

func TestMoreThanCanBeLearnedIsLostAloud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, talk)
		ledger := &eventLedger{Store: l.ledger, block: make(chan struct{})}
		l.Ledger = ledger
		// Half a megabyte each: the queue holds 32 MiB.
		long := strings.Repeat("x", 1<<19)
		for i := range 80 {
			page := fmt.Sprintf(`{"x":"%s","messages":[{"from":"r%d"}]}`, long, i)
			l.answer = func(*http.Request) *http.Response { return answerOf(200, page) }
			l.do(request(context.Background(), t, "GET", "/inbox", ""))
		}
		if n := l.Unlearned(); n < 10 || n > 20 {
			t.Errorf("%d are lost", n)
		}
		if !strings.Contains(l.log.String(), "some are lost") {
			t.Errorf("the log says %q", l.log.String())
		}
		close(ledger.block)
		if err := l.Settle(context.Background()); err != nil {
			t.Error(err)
		}
		if n := int64(len(ledger.all())); n+l.Unlearned() != 80 {
			t.Errorf("%d learned, %d lost", n, l.Unlearned())
		}
	})
}

func TestALedgerThatLosesAnEventIsToldOfWithoutTheRecipient(t *testing.T) {
	l := newLab(t, talk)
	l.Ledger = deafLedger{l.ledger}
	l.answer = func(*http.Request) *http.Response { return answerOf(200, `{"messages":[{"from":"bob"}]}`) }
	l.do(request(context.Background(), t, "GET", "/inbox", ""))
	if err := l.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if log := l.log.String(); !strings.Contains(log, "an event is lost") || !strings.Contains(log, "event=reply") || strings.Contains(log, "bob") {
		t.Errorf("the log says %q", log)
	}
}

type deafLedger struct{ ratelimit.Store }

func (deafLedger) Observe(context.Context, ratelimit.Event) error { return errAway }
