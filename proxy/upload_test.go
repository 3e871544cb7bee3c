package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
)

// versions runs a test for every pair of HTTP versions, of client and service.
func versions(t *testing.T, test func(t *testing.T, w *world, h2 bool)) {
	for _, upstream := range []string{"h1", "h2"} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("http2=%v, service %s", h2, upstream), func(t *testing.T) {
				var options []option
				if upstream == "h1" {
					options = append(options, http1Upstream)
				}
				test(t, newWorld(t, five, options...), h2)
			})
		}
	}
}

func TestAnUploadThatIsNoMessageStreams(t *testing.T) {
	versions(t, func(t *testing.T, w *world, h2 bool) {
		first := make(chan string, 1)
		w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
			word := make([]byte, 5)
			if _, err := io.ReadFull(r.Body, word); err != nil {
				t.Error(err)
			}
			first <- string(word)
			rest, err := io.ReadAll(r.Body)
			fmt.Fprint(rw, string(rest), " ", err, " ", r.ContentLength, " ", r.Trailer)
		})
		body, writer := io.Pipe()
		req, err := http.NewRequest("PUT", "https://chat.example/upload", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Trailer = http.Header{"X-Sum": nil}
		go func() {
			io.WriteString(writer, "first")
			if got := <-first; got != "first" { // arrived before there was more
				t.Errorf("the service read %q", got)
			}
			io.WriteString(writer, "last")
			req.Trailer["X-Sum"] = []string{"7"}
			writer.Close()
		}()
		resp, err := w.client(h2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, err := io.ReadAll(resp.Body); string(got) != "last <nil> -1 map[X-Sum:[7]]" || err != nil {
			t.Errorf("%q %v", got, err)
		}
	})
}

func TestTrailersOfAMessageArrive(t *testing.T) {
	versions(t, func(t *testing.T, w *world, h2 bool) {
		w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			fmt.Fprint(rw, string(body), " ", err, " ", r.Trailer)
		})
		req := w.message(context.Background(), "anna", "bob")
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(theMessage)), -1
		req.Trailer = http.Header{"X-Sum": {"7"}}
		resp, err := w.client(h2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, err := io.ReadAll(resp.Body); string(got) != theMessage+" <nil> map[X-Sum:[7]]" || err != nil {
			t.Errorf("%q %v", got, err)
		}
	})
}

// A service may answer while it is still sent to, as one that echoes does.
func TestAnAnswerComesBeforeTheEndOfAnUpload(t *testing.T) {
	versions(t, func(t *testing.T, w *world, h2 bool) {
		w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(rw)
			if err := control.EnableFullDuplex(); err != nil && r.ProtoMajor == 1 {
				t.Error(err)
			}
			lines := bufio.NewReader(r.Body)
			for {
				line, err := lines.ReadString('\n')
				if err != nil {
					return
				}
				io.WriteString(rw, line)
				control.Flush()
			}
		})
		body, writer := io.Pipe()
		req, err := http.NewRequest("POST", "https://chat.example/echo", body)
		if err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(10*time.Second, func() { writer.CloseWithError(context.DeadlineExceeded) })
		defer late.Stop()
		go io.WriteString(writer, "one\n")
		resp, err := w.client(h2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for _, next := range []string{"two\n", "three\n", ""} {
			if line, err := lines.ReadString('\n'); err != nil || line == next {
				t.Fatalf("%q %v", line, err)
			}
			if next == "" {
				writer.Close()
			} else {
				io.WriteString(writer, next)
			}
		}
		if rest, err := io.ReadAll(resp.Body); len(rest) != 0 || err != nil {
			t.Errorf("%q %v", rest, err)
		}
	})
}

// byPath is a message of which nothing has to be looked for in the body.
const byPath = `
version: 1
services:
  chat:
    hosts: [chat.example]
    account: [{bearer: true, secret: true}]
messages:
  - name: chat.message
    match: {host: chat.example, method: POST, path: "/to/{to}"}
    recipients: [{path: to}]
defaults: {wait: 0s}
`

func TestABodyIsAskedForOnlyWhereItIsWanted(t *testing.T) {
	const nothing = "limits: [{name: chat.none, on: chat.message, allow: 0, per: day}]\n"
	for name, tc := range map[string]struct {
		rules, target, host string
		change              func(*world)
		status              int
		asked               bool
	}{
		"a message with room":             {chat + five, "/send", "chat.example", nil, 200, true},
		"a message that its path tells":   {byPath + five, "/to/bob", "chat.example", nil, 200, true},
		"no room, and the path tells":     {byPath + nothing, "/to/bob", "chat.example", nil, 429, false},
		"no room, and the body tells":     {chat + nothing, "/send", "chat.example", nil, 429, true},
		"no room in shadow mode":          {strings.Replace(byPath, "{wait: 0s}", "{wait: 0s, mode: shadow}", 1) + nothing, "/to/bob", "chat.example", nil, 200, true},
		"an upload":                       {chat + five, "/upload", "chat.example", nil, 200, true},
		"an upload that is not wanted":    {chat + five, "/full", "chat.example", nil, 413, false},
		"unmatched: reject":               {strict("unmatched: reject") + five, "/other", "chat.example", nil, 403, false},
		"another host":                    {chat + five, "/send", "evil.example", nil, 421, false},
		"stopping":                        {chat + five, "/send", "chat.example", func(w *world) { close(w.drain) }, 503, false},
		"stopping, and the path tells":    {byPath + five, "/to/bob", "chat.example", func(w *world) { close(w.drain) }, 503, false},
		"stopping, and it is no message":  {chat + five, "/upload", "chat.example", func(w *world) { close(w.drain) }, 200, true},
		"larger than what is looked into": {chat + five, "/send", "chat.example", func(w *world) { w.enforcer.MaxBody = 5 }, 413, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, five, http1Upstream, func(_ *world, _ *proxy.Config, e *proxy.Enforcer) {
				e.Next.(*http.Transport).ExpectContinueTimeout = 1 << 40 // only the service's word counts
			})
			w.set.Store(mustLoad(t, tc.rules))
			if tc.change != nil {
				tc.change(w)
			}
			w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/full" {
					rw.WriteHeader(http.StatusRequestEntityTooLarge)
					return
				}
				if body, err := io.ReadAll(r.Body); string(body) != theMessage || err != nil {
					t.Errorf("the service read %q %v", body, err)
				}
			})
			conn := w.connect(t, "chat.example")
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer anna\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n", tc.target, tc.host)
			br := bufio.NewReader(conn)
			line, err := br.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if asked := strings.HasPrefix(line, "HTTP/1.1 100"); asked != tc.asked {
				t.Fatalf("the body was asked for: %v: %q", asked, line)
			} else if asked {
				br.ReadString('\n')
				io.WriteString(conn, theMessage)
				if line, err = br.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			if !strings.Contains(line, fmt.Sprintf(" %d ", tc.status)) {
				t.Errorf("%q, want %d", line, tc.status)
			}
			if !tc.asked { // the body may come all the same, and is no request
				if _, err := io.Copy(io.Discard, br); err != nil && isTimeout(err) {
					t.Errorf("the connection is still open: %v", err)
				}
			}
		})
	}
}

// Whether there is room is asked before the body and with it, and taken once.
func TestAMessageThatWasAskedForIsCountedOnce(t *testing.T) {
	w := newWorld(t, five)
	w.set.Store(mustLoad(t, byPath+"limits: [{name: chat.day, on: chat.message, allow: 1, per: day}]\n"))
	req := w.message(t.Context(), "anna", "bob")
	req.URL.Path = "/to/bob"
	req.Header.Set("Expect", "100-continue")
	resp, err := w.client(false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	w.next()
	if n := w.used("chat.day"); resp.StatusCode != 200 || n != 1 {
		t.Errorf("%s, %d counted", resp.Status, n)
	}
}

// The record of what is refused before its body came is as any other's.
func TestWhatIsRefusedBeforeItsBodyIsRecorded(t *testing.T) {
	w := newWorld(t, five)
	w.set.Store(mustLoad(t, byPath+"limits: [{name: chat.none, on: chat.message, allow: 0, per: day}]\n"))
	resp := w.exchange(t, "POST /to/bob HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n")
	r := w.next()
	if resp.StatusCode != 429 || resp.Header.Get("Quotagate-Limit") != "chat.none" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if r.Decision != proxy.DecisionReject || r.Limit != "chat.none" || r.Status != 429 || r.ID != resp.Header.Get("Quotagate-Id") || len(r.Messages) != 1 {
		t.Errorf("%+v", r)
	}
	if n := w.used("chat.none"); n != 0 {
		t.Errorf("%d counted", n)
	}
}

// A service that does not know the expectation must not cost a message the
// second that the transport would wait.
func TestAMessageThatWasReadExpectsNothing(t *testing.T) {
	w := newWorld(t, five, http1Upstream)
	w.service.respond(func(_ http.ResponseWriter, r *http.Request) {
		if v, ok := r.Header["Expect"]; ok {
			t.Errorf("the service got Expect: %q", v)
		}
	})
	req := w.message(context.Background(), "anna", "bob")
	req.Header.Set("Expect", "100-continue")
	resp, err := w.client(false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
