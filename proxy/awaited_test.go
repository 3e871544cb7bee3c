package proxy_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

func within(d time.Duration) option {
	return func(_ *world, _ *proxy.Config, e *proxy.Enforcer) {
		e.MaxResponseTime = d
		e.Next.(*http.Transport).ResponseHeaderTimeout = d
	}
}

// upstreamSpeaks makes the way to the service speak only one version of HTTP.
func upstreamSpeaks(h2 bool) option {
	return func(_ *world, _ *proxy.Config, e *proxy.Enforcer) {
		e.Next.(*http.Transport).ForceAttemptHTTP2 = h2
	}
}

func TestAServiceThatDoesNotBeginToAnswerIsNotWaitedForLonger(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		for path, counted := range map[string]bool{"/send": true, "/read": false} {
			t.Run(path, func(t *testing.T) {
				w := newWorld(t, five, within(2*soon), upstreamSpeaks(h2))
				major := make(chan int, 1)
				w.service.respond(func(_ http.ResponseWriter, r *http.Request) {
					major <- r.ProtoMajor
					_, _ = io.Copy(io.Discard, r.Body) // so that its end is seen
					<-r.Context().Done()
				})
				req := w.message(context.Background(), "anna", "bob")
				req.URL.Path = path
				resp, err := w.client(h2).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				if resp.StatusCode != 504 || resp.Header.Get("Quotagate-Error") != "unanswered" {
					t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
				}
				select {
				case got := <-major:
					if got != map[bool]int{false: 1, true: 2}[h2] {
						t.Errorf("the service was asked by HTTP/%d", got)
					}
				case <-time.After(30 * time.Second):
					t.Fatal("the service was not asked")
				}
				if n := w.enforcer.Unanswered(); n != 1 {
					t.Errorf("%d are said to be unanswered", n)
				}
				if !counted {
					return
				}
				if r := w.next(); r.Status != 504 || !strings.Contains(r.Reason, "it counts") {
					t.Errorf("recorded %+v", r)
				}
				if n := w.used("chat.day"); n != 1 {
					t.Errorf("%d counted: the service may have got it", n)
				}
			})
		}
	}
}

func TestAnAnswerThatHasBegunMayTakeItsTime(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		const limit = 5 * soon // in which an answer begins on a busy machine too
		w := newWorld(t, five, within(limit), upstreamSpeaks(h2))
		late := make(chan struct{})
		w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(rw).Flush()
			<-late
			_, _ = io.WriteString(rw, "late")
		})
		resp, err := w.client(h2).Do(w.message(context.Background(), "anna", "bob"))
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(limit + soon)
		close(late)
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "late" {
			t.Errorf("%q %v", body, err)
		}
		resp.Body.Close()
	}
}

// A taking transport takes a body in two pieces, with a pause before the second
// and before the answer.
type taking struct{ between, before time.Duration }

func (k taking) RoundTrip(req *http.Request) (*http.Response, error) {
	pause := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-req.Context().Done():
			return req.Context().Err()
		}
	}
	half := make([]byte, req.ContentLength/2)
	if _, err := io.ReadFull(req.Body, half); err != nil {
		return nil, err
	}
	if err := pause(k.between); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	if err := pause(k.before); err != nil {
		return nil, err
	}
	return answering{}.RoundTrip(req)
}

// slowly is a client's body whose second half comes after a time.
type slowly struct {
	io.Reader
	rest time.Duration
	once bool
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.once {
		<-time.After(s.rest)
	}
	s.once = !s.once
	return s.Reader.Read(p)
}

func (s *slowly) Close() error { return nil }

// What counts is the time in which nothing goes on between the proxy and the
// service: neither how long the client takes, nor how long all of it takes.
func TestAServiceThatTakesARequestIsWaitedFor(t *testing.T) {
	const limit = time.Minute
	text := strings.Repeat("x", 1<<20)
	for name, tc := range map[string]struct {
		service taking
		client  time.Duration
		path    string
		late    bool
	}{
		"all in time":                   {taking{50 * time.Second, 50 * time.Second}, 0, "/upload", false},
		"a message":                     {taking{50 * time.Second, 50 * time.Second}, 0, "/send", false},
		"the client takes long":         {taking{time.Second, time.Second}, time.Hour, "/upload", false},
		"the body is not taken":         {taking{61 * time.Second, time.Second}, 0, "/upload", true},
		"the message is not taken":      {taking{61 * time.Second, time.Second}, 0, "/send", true},
		"the answer does not begin":     {taking{time.Second, 61 * time.Second}, 0, "/upload", true},
		"nor that of a large message":   {taking{time.Second, 61 * time.Second}, 0, "/send", true},
		"the client and the service do": {taking{time.Second, 61 * time.Second}, time.Hour, "/upload", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set := mustLoad(t, chat+five)
				e := &proxy.Enforcer{Rules: constant(set), Ledger: ratelimit.NewMemory(ratelimit.Options{}), Next: tc.service, MaxResponseTime: limit}
				body := `{"to":"bob","text":"` + text + `"}`
				req, err := http.NewRequestWithContext(t.Context(), "POST", "https://chat.example"+tc.path, &slowly{Reader: strings.NewReader(body), rest: tc.client})
				if err != nil {
					t.Fatal(err)
				}
				req.ContentLength = int64(len(body))
				req.Header.Set("Authorization", "Bearer anna")
				resp, err := e.RoundTrip(req)
				if (err != nil) != tc.late {
					t.Fatalf("%v", err)
				}
				if n := e.Unanswered(); (n == 1) != tc.late {
					t.Errorf("%d are said to be unanswered: %v", n, err)
				}
				if err == nil {
					resp.Body.Close()
				}
			})
		})
	}
}
