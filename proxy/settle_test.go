package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// mail is a service that takes several messages in one request and answers for
// each.
const mail = `
version: 1
services: {mail: {hosts: [chat.example]}}
messages:
  - name: mail.mail
    match: {method: POST, path: /send}
    each: $.list[*]
    account: [{json: $.from}, {bearer: true, secret: true}]
    recipients: {json: $.to}
    outcome:
      items: $.results[*]
      sent: {json: {$.code: 0}}
      not_sent: {any: [{json: {$.code: 4}}, {status: 422}]}
defaults: {wait: 0s}
limits:
  - {name: mail.day, on: mail.mail, allow: 10, per: day}
  - {name: mail.pair, on: mail.mail, allow: 2, per: day, by: recipient}
`

// A notedLedger tells what it was asked.
type notedLedger struct {
	ratelimit.Store
	mu    sync.Mutex
	calls []string
}

// noted puts a notedLedger before the world's own.
func noted(l *notedLedger) option {
	return func(w *world, _ *proxy.Config, e *proxy.Enforcer) { l.Store, e.Ledger = w.ledger, l }
}

func (l *notedLedger) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, what)
}

// taken is what was asked since the last time.
func (l *notedLedger) taken() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.calls = nil }()
	return strings.Join(l.calls, ", ")
}

func (l *notedLedger) Reserve(ctx context.Context, r ratelimit.Request) (ratelimit.Decision, error) {
	l.note("reserve")
	return l.Store.Reserve(ctx, r)
}

func (l *notedLedger) Keep(ctx context.Context, id string) error {
	l.note("keep")
	return l.Store.Keep(ctx, id)
}

func (l *notedLedger) Cancel(ctx context.Context, id string) error {
	l.note("cancel")
	return l.Store.Cancel(ctx, id)
}

func (l *notedLedger) CancelItems(ctx context.Context, id string, items []int) error {
	l.note(fmt.Sprint("cancel ", items))
	return l.Store.CancelItems(ctx, id, items)
}

func (w *world) post(t *testing.T, c *http.Client, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequest("POST", "https://chat.example/send", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer anna")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp
}

func TestOfABatchOnlyWhatWasNotSentIsGivenBack(t *testing.T) {
	for _, tc := range []struct {
		name     string
		status   int
		answer   string
		used     int64
		calls    string
		outcomes []string
		// first and third are the statuses of two more messages to their
		// recipients, who may get two a day.
		first, third int
	}{
		{"all were sent", 200, `{"results":[{"code":0},{"code":0},{"code":0}]}`, 3, "reserve, keep", []string{"sent", "sent", "sent"}, 429, 429},
		{"the first was not", 200, `{"results":[{"code":4},{"code":0},{"code":0}]}`, 2, "reserve, cancel [0], keep", []string{"not_sent", "sent", "sent"}, 200, 429},
		{"the first and the third were not", 200, `{"results":[{"code":4},{"code":0},{"code":4}]}`, 1, "reserve, cancel [0 2], keep", []string{"not_sent", "sent", "not_sent"}, 200, 200},
		{"none was", 200, `{"results":[{"code":4},{"code":4},{"code":4}]}`, 0, "reserve, cancel", []string{"not_sent", "not_sent", "not_sent"}, 200, 200},
		{"the whole was not taken", 422, `{"error":"no"}`, 0, "reserve, cancel", []string{"not_sent", "not_sent", "not_sent"}, 200, 200},
		{"one is unclear", 200, `{"results":[{"code":4},{"code":99},{"code":0}]}`, 2, "reserve, cancel [0], keep", []string{"not_sent", "", "sent"}, 200, 429},
		{"another number of answers says nothing", 200, `{"results":[{"code":4},{"code":4}]}`, 3, "reserve, keep", []string{"", "", ""}, 429, 429},
		{"half an answer says nothing", 200, `{"results":[{"code":4}`, 3, "reserve, keep", []string{"", "", ""}, 429, 429},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ledger := &notedLedger{}
			w := newWorld(t, five, noted(ledger))
			w.set.Store(mustLoad(t, mail))
			w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(tc.status)
				io.WriteString(rw, tc.answer)
			})
			c := w.client(false)
			w.post(t, c, `{"list":[{"to":"a"},{"to":"b"},{"to":"c"}]}`)
			r := w.next()
			if len(r.Messages) != 3 {
				t.Fatalf("%d messages in the record", len(r.Messages))
			}
			var outcomes []string
			for _, m := range r.Messages {
				outcomes = append(outcomes, m.Outcome)
			}
			if !slices.Equal(outcomes, tc.outcomes) {
				t.Errorf("outcomes %q, want %q", outcomes, tc.outcomes)
			}
			if got := ledger.taken(); got != tc.calls {
				t.Errorf("the ledger was asked %q, want %q", got, tc.calls)
			}
			if n := w.used("mail.day"); n != tc.used {
				t.Errorf("%d counted, want %d", n, tc.used)
			}
			w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {
				io.WriteString(rw, `{"results":[{"code":0},{"code":0}]}`)
			})
			for to, want := range map[string]int{"a": tc.first, "c": tc.third} {
				if resp := w.post(t, c, `{"list":[{"to":"`+to+`"},{"to":"`+to+`"}]}`); resp.StatusCode != want {
					t.Errorf("two more to %s: %s, want %d", to, resp.Status, want)
				}
			}
		})
	}
}

func TestAForwardedMessageIsKeptOnceAndNeverCancelled(t *testing.T) {
	ledger := &notedLedger{}
	w := newWorld(t, "limits: [{name: chat.day, on: chat.message, allow: 2, per: day}]\n", noted(ledger), http1Upstream)
	c := w.client(false)
	for range 2 {
		w.send(c, "anna", "bob")
		if got := ledger.taken(); got != "reserve, keep" {
			t.Errorf("sent: %q", got)
		}
	}
	if resp, _ := w.send(c, "anna", "bob"); resp.StatusCode != 429 {
		t.Errorf("the third: %s", resp.Status)
	}
	if got := ledger.taken(); got != "reserve" {
		t.Errorf("refused: %q", got)
	}
	w.service.respond(func(rw http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	if resp, _ := w.send(c, "bert", "bob"); resp.StatusCode != 502 {
		t.Errorf("without an answer: %s", resp.Status)
	}
	if got := ledger.taken(); got != "reserve, keep" {
		t.Errorf("without an answer: %q", got)
	}
}

// A leavingLedger ends the client's context while it decides.
type leavingLedger struct {
	*notedLedger
	leave context.CancelFunc
}

func (l leavingLedger) Reserve(ctx context.Context, r ratelimit.Request) (ratelimit.Decision, error) {
	d, err := l.notedLedger.Reserve(ctx, r)
	l.leave()
	return d, err
}

func TestAClientThatLeftWhileTheLedgerDecidedSendsNothing(t *testing.T) {
	ledger := &notedLedger{}
	w := newWorld(t, five, noted(ledger))
	next := &countingTransport{next: w.enforcer.Next}
	w.enforcer.Next = next
	ctx, leave := context.WithCancel(context.Background())
	w.enforcer.Ledger = leavingLedger{ledger, leave}
	resp, err := w.enforcer.RoundTrip(w.message(ctx, "anna", "bob"))
	if err == nil {
		resp.Body.Close()
		t.Errorf("%s", resp.Status)
	}
	if r := w.next(); r.Decision != proxy.DecisionCancel {
		t.Errorf("%+v", r)
	}
	if next.n != 0 {
		t.Errorf("%d requests were given to the transport", next.n)
	}
	if got := ledger.taken(); got != "reserve, cancel" {
		t.Errorf("the ledger was asked %q", got)
	}
	if n := w.used("chat.day"); n != 0 {
		t.Errorf("%d counted", n)
	}
}

type countingTransport struct {
	next http.RoundTripper
	n    int
}

func (c *countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n++
	return c.next.RoundTrip(r)
}

func TestAnAnswerTooLongToReadArrivesWholeAndCounts(t *testing.T) {
	const notSent = `{"results":[{"code":4}],"pad":"`
	for _, tc := range []struct {
		name      string
		announced bool
		size      int
		used      int64
	}{
		{"what can be read, announced", true, 1 << 20, 0},
		{"what can be read, in pieces", false, 1 << 20, 0},
		{"a byte more, announced", true, 1<<20 + 1, 1},
		{"a byte more, in pieces", false, 1<<20 + 1, 1},
		{"much more, in pieces", false, 3 << 20, 1},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, http2=%v", tc.name, h2), func(t *testing.T) {
				w := newWorld(t, five)
				w.set.Store(mustLoad(t, mail))
				answer := notSent + strings.Repeat("x", tc.size-len(notSent)-2) + `"}`
				w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {
					if tc.announced {
						rw.Header().Set("Content-Length", fmt.Sprint(len(answer)))
					}
					io.WriteString(rw, answer)
				})
				req := w.message(context.Background(), "anna", "bob")
				req.Body, req.ContentLength = io.NopCloser(strings.NewReader(`{"list":[{"to":"a"}]}`)), -1
				resp, err := w.client(h2).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if err != nil || string(got) != answer {
					t.Errorf("%d bytes of %d, %v", len(got), len(answer), err)
				}
				w.next()
				if n := w.used("mail.day"); n != tc.used {
					t.Errorf("%d counted, want %d", n, tc.used)
				}
			})
		}
	}
}

func TestAnAnswerThatBreaksOffIsNotWholeForTheClient(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		for _, path := range []string{"/send", "/read"} { // one is looked into, one is not
			t.Run(fmt.Sprintf("%s, http2=%v", path, h2), func(t *testing.T) {
				w := newWorld(t, five, http1Upstream)
				w.set.Store(mustLoad(t, mail))
				w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {
					io.WriteString(rw, `{"results":[{"code":4}]}`) // all there would be to read
					rw.(http.Flusher).Flush()
					panic(http.ErrAbortHandler) // and no last chunk
				})
				req := w.message(context.Background(), "anna", "bob")
				req.URL.Path = path
				req.Body, req.ContentLength = io.NopCloser(strings.NewReader(`{"list":[{"to":"a"}]}`)), -1
				resp, err := w.client(h2).Do(req)
				if err == nil {
					var got []byte
					got, err = io.ReadAll(resp.Body)
					resp.Body.Close()
					if err == nil {
						t.Errorf("taken for whole: %q", got)
					}
				}
				if path == "/send" {
					w.next()
					if n := w.used("mail.day"); n != 1 {
						t.Errorf("%d counted, want 1", n)
					}
				}
			})
		}
	}
}

type answeringWith func(*http.Request) (*http.Response, error)

func (f answeringWith) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Memory is not taken by what an answer announces.
func TestAnAnswerThatAnnouncesMoreThanMemoryIsPassedOn(t *testing.T) {
	w := newWorld(t, five)
	w.set.Store(mustLoad(t, mail))
	w.enforcer.Next = answeringWith(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, ContentLength: 1 << 62, Request: r}, nil
	})
	resp, err := w.enforcer.RoundTrip(w.message(context.Background(), "anna", "bob"))
	if err != nil || resp.ContentLength != 1<<62 {
		t.Errorf("%+v %v", resp, err)
	}
	w.next()
	if n := w.used("mail.day"); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}
