package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quotagate/proxy"
)

const counting = `limits:
  - {name: chat.calls, on: chat.request, allow: 3, per: day}
  - {name: chat.day, on: chat.message, allow: 2, per: day}
`

func TestEveryCallCountsWhereALimitSaysSo(t *testing.T) {
	w := newWorld(t, counting)
	c := w.client(false)
	get := func(path, account string) *http.Response {
		req, err := http.NewRequest("GET", "https://chat.example"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if account != "" {
			req.Header.Set("Authorization", "Bearer "+account)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode == 429 && (resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(body), "chat.calls")) {
			t.Errorf("%v %s", resp.Header, body)
		}
		return resp
	}
	if resp := get("/read", "anna"); resp.StatusCode != 200 || resp.Header.Get("Quotagate-Decision") != "forward" {
		t.Errorf("a read: %s %v", resp.Status, resp.Header)
	}
	if len(w.recorded) > 0 {
		t.Errorf("a mere call that passes has a record: %+v", w.next())
	}
	// A message is a call as well.
	if resp, _ := w.send(c, "anna", "bob"); resp.StatusCode != 200 {
		t.Errorf("a message: %s", resp.Status)
	}
	if r := w.next(); len(r.Messages) != 1 || r.Messages[0].Kind != "message" {
		t.Errorf("its record: %+v", r)
	}
	if n := w.used("chat.calls"); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
	get("/read", "anna")
	resp := get("/read", "anna")
	if resp.StatusCode != 429 || resp.Header.Get("Quotagate-Limit") != "chat.calls" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the fourth call: %s %v", resp.Status, resp.Header)
	}
	if r := w.next(); r.Decision != proxy.DecisionReject || r.Messages[0].Kind != "request" || r.Service != "chat" {
		t.Errorf("%+v", r)
	}
	if resp, _ := w.send(c, "anna", "bob"); resp.Header.Get("Quotagate-Limit") != "chat.calls" {
		t.Errorf("a message: %s %v", resp.Status, resp.Header)
	}
	w.next()
	if resp := get("/read", "carl"); resp.StatusCode != 200 {
		t.Errorf("another account: %s", resp.Status)
	}
	if resp := get("/login", ""); resp.StatusCode != 200 {
		t.Errorf("a call that names nobody: %s", resp.Status)
	}
}

func TestAMessageThatTheServiceDidNotTakeWasACallAllTheSame(t *testing.T) {
	w := newWorld(t, counting)
	w.service.respond(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(422) })
	w.send(w.client(false), "anna", "bob")
	if r := w.next(); !strings.Contains(r.Reason, "did not take it, so it does not count") {
		t.Errorf("%+v", r)
	}
	if calls, messages := w.used("chat.calls"), w.used("chat.day"); calls != 1 || messages != 0 {
		t.Errorf("%d calls and %d messages, want 1 and 0", calls, messages)
	}
}

func TestTheBodyOfAMereCallStreams(t *testing.T) {
	w := newWorld(t, counting)
	first, rest := make(chan string, 1), make(chan string, 1)
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		b := make([]byte, 5)
		io.ReadFull(r.Body, b)
		first <- string(b)
		more, _ := io.ReadAll(r.Body)
		rest <- string(more)
	})
	body, upload := io.Pipe()
	req, err := http.NewRequest("POST", "https://chat.example/upload", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer anna")
	done := make(chan error, 1)
	go func() {
		resp, err := w.client(false).Do(req)
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	io.WriteString(upload, "first")
	select {
	case got := <-first: // before the end was sent
		if got != "first" {
			t.Errorf("got %q", got)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing arrived")
	}
	io.WriteString(upload, " and the rest")
	upload.Close()
	if got := <-rest; got != " and the rest" {
		t.Errorf("got %q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAWebSocketIsOneCall(t *testing.T) {
	w := newWorld(t, counting+"  - {name: chat.once, on: chat.request, concurrent: 1}\n", http1Upstream)
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		conn, rbuf, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.CopyN(conn, rbuf, 4)
	})
	conn := w.connect(t, "chat.example")
	defer conn.Close()
	io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\necho")
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 101") || !strings.HasSuffix(string(answer), "echo") {
		t.Errorf("%v %q", err, answer)
	}
	w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {})
	w.send(w.client(false), "anna", "bob")
	w.next()
	if n := w.used("chat.calls"); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestWhoseCallItIsMayStandInASmallBody(t *testing.T) {
	rules := strings.Replace(chat, "account: [{bearer: true, secret: true}]", "account: [{form: token, secret: true}]", 1) + counting
	for size, want := range map[int]int64{10: 1, 100 << 10: 0} {
		l := newLab(t, rules)
		body := "token=anna&more=" + strings.Repeat("x", size)
		for range 4 {
			l.post("/read", body, "Content-Type: application/x-www-form-urlencoded")
		}
		sent := l.sent()
		for _, a := range sent {
			if a.body != body {
				t.Errorf("the service got %d bytes of %d", len(a.body), len(body))
			}
		}
		if refused := 4 - len(sent); int64(refused) != want {
			t.Errorf("a body of %d: %d refused, want %d", size, refused, want)
		}
	}
}

func TestACallIsOnItsWayUntilItsAnswerWasReadToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, chat+"limits: [{name: chat.once, on: chat.request, concurrent: 1, wait: 10s}, {name: chat.sends, on: chat.message, concurrent: 1}]\n")
		for _, how := range []string{"read", "closed"} {
			l.begin = time.Now()
			body, write := io.Pipe()
			l.answer = func(*http.Request) *http.Response {
				r := answerOf(200, "")
				r.Body, r.ContentLength = body, -1
				return r
			}
			resp, err := l.RoundTrip(request(context.Background(), t, "GET", "/read", ""))
			if err != nil {
				t.Fatal(err)
			}
			l.answer = func(*http.Request) *http.Response { return answerOf(200, "done") }
			second := make(chan time.Duration, 1)
			go func() {
				l.do(request(context.Background(), t, "GET", "/read", ""))
				second <- time.Since(l.begin)
			}()
			go func() {
				pass(3 * time.Second)
				write.Close()
			}()
			if how == "read" {
				io.ReadAll(resp.Body)
			} else {
				pass(3 * time.Second)
				resp.Body.Close()
			}
			if after := <-second; after < 3*time.Second || after > 3*time.Second+200*time.Millisecond {
				t.Errorf("%s: the second went after %s", how, after)
			}
			resp.Body.Close()
		}
	})
}

func TestALongAnswerKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, chat+"limits: [{name: chat.once, on: chat.request, concurrent: 1}]\n")
		body, write := io.Pipe()
		l.answer = func(*http.Request) *http.Response {
			pass(4 * time.Minute) // until its first byte (it may take 5), and then until its last
			r := answerOf(200, "")
			r.Body, r.ContentLength = body, -1
			return r
		}
		first := make(chan *http.Response, 1)
		go func() {
			resp, _ := l.RoundTrip(request(context.Background(), t, "GET", "/read", ""))
			first <- resp
		}()
		synctest.Wait()
		l.answer = saying(200)
		refused := func() {
			t.Helper()
			if resp, _ := l.do(request(context.Background(), t, "GET", "/read", "")); resp.StatusCode != 429 || resp.Header.Get("Quotagate-Limit") != "chat.once" {
				t.Errorf("after %s: %d %v", time.Since(l.begin), resp.StatusCode, resp.Header)
			}
		}
		pass(3 * time.Minute)
		refused()
		resp := <-first
		pass(4 * time.Minute)
		refused()
		write.Close()
		io.ReadAll(resp.Body)
		if resp, _ := l.do(request(context.Background(), t, "GET", "/read", "")); resp.StatusCode != 200 {
			t.Errorf("at the end: %d", resp.StatusCode)
		}
	})
}

func TestThePlaceOfAnAnswerOfKnownLengthIsFreeWithItsLastByte(t *testing.T) {
	l := newLab(t, chat+"limits: [{name: chat.once, on: chat.message, concurrent: 1}]\n")
	l.answer = func(*http.Request) *http.Response { return answerOf(200, `{"ok":true}`) }
	for i := range 3 { // each right after the answer of the one before
		resp, err := l.RoundTrip(request(context.Background(), t, "POST", "/send", fmt.Sprintf(`{"to":"%d"}`, i)))
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 200 {
			t.Errorf("the %d.: %d", i+1, resp.StatusCode)
		}
		io.ReadFull(resp.Body, make([]byte, resp.ContentLength)) // and does not look for the end
		defer resp.Body.Close()
	}
}
