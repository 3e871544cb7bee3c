package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

const none = "limits: [{name: chat.none, on: chat.message, allow: 0, per: day}]\n"

// Ways to write the one message; none of them may reach the service.
func TestNoSpellingOfTheTargetEscapes(t *testing.T) {
	w := newWorld(t, none, http1Upstream)
	body := `{"to":"bob","text":"hello"}`
	for name, head := range map[string]string{
		"an opaque target":            "POST x:https://chat.example/send HTTP/1.1\r\nHost: chat.example\r\n",
		"an opaque target, one slash": "POST https:/send HTTP/1.1\r\nHost: chat.example\r\n",
		"absolute form":               "POST https://chat.example/send HTTP/1.1\r\nHost: chat.example\r\n",
		"an absolute form of http":    "POST http://chat.example/send HTTP/1.1\r\nHost: chat.example\r\n",
		"two slashes":                 "POST //send HTTP/1.1\r\nHost: chat.example\r\n",
		"dots":                        "POST /a/../send HTTP/1.1\r\nHost: chat.example\r\n",
		"an encoded letter":           "POST /%73end HTTP/1.1\r\nHost: chat.example\r\n",
		"capitals in the host":        "POST /send HTTP/1.1\r\nHost: CHAT.Example\r\n",
		"a dot behind the host":       "POST /send HTTP/1.1\r\nHost: chat.example.\r\n",
		"a port":                      "POST /send HTTP/1.1\r\nHost: chat.example:443\r\n",
		"a port with zeros":           "POST /send HTTP/1.1\r\nHost: chat.example:0443\r\n",
		"a method override":           "GET /send HTTP/1.1\r\nHost: chat.example\r\nX-HTTP-Method-Override: POST\r\n",
		"an upgrade that is ignored":  "POST /send HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
	} {
		conn := w.connect(t, "chat.example")
		fmt.Fprintf(conn, "%sAuthorization: Bearer anna\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if resp.StatusCode < 400 {
			t.Errorf("%s: %s", name, resp.Status)
		}
		if n := w.service.messages.Swap(0); n != 0 {
			t.Errorf("%s: the service saw %d messages", name, n)
		}
	}
}

func TestOnlyWebSocketsAreUpgraded(t *testing.T) {
	w := newWorld(t, none, http1Upstream)
	var asked string
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) { asked = r.Header.Get("Upgrade") })
	conn := w.connect(t, "chat.example")
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 || asked != "" {
		t.Errorf("%v %v, and the service was asked for %q", resp, err, asked)
	}
}

func TestAMessageWithABodyIsSentOnceByAnyMethod(t *testing.T) {
	w := newWorld(t, five, http1Upstream)
	w.set.Store(mustLoad(t, strings.ReplaceAll(chat, "method: POST", "method: [GET, POST]")+five))
	seen := 0
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if seen++; seen == 1 {
			return // kept for the next
		}
		if conn, _, err := http.NewResponseController(rw).Hijack(); err == nil {
			conn.Close()
		}
	})
	c := w.client(false)
	for range 2 {
		req, err := http.NewRequest("GET", "https://chat.example/send", strings.NewReader(`{"to":"bob"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer anna")
		req.Header.Set("Idempotency-Key", "k")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if n := w.service.messages.Load(); n != 2 {
		t.Errorf("the service saw %d requests for 2 messages", n)
	}
}

func TestPlainRequestsInAForeignTunnelAreSeen(t *testing.T) {
	w := newWorld(t, none)
	plain := newPlainService(t, w)
	w.dialTo["other.example:80"] = w.dialTo["chat.example:80"]
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, "CONNECT other.example:80 HTTP/1.1\r\nHost: other.example\r\n\r\n")
	br := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	io.WriteString(conn, "POST /send HTTP/1.1\r\nHost: chat.example\r\nContent-Length: 0\r\n\r\n")
	if resp, err := http.ReadResponse(br, nil); err == nil {
		t.Errorf("an answer came: %s", resp.Status)
	}
	if n := plain.Load(); n != 0 {
		t.Errorf("the service saw %d requests", n)
	}
}

func TestATunnelEndsWhenTheRulesNameWhatItsHelloAskedFor(t *testing.T) {
	w := newWorld(t, five)
	w.set.Store(loadRulesWith(t, "nobody.example"))
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example\r\n\r\n")
	line := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
	if _, err := io.ReadFull(conn, line); err != nil {
		t.Fatal(err)
	}
	tc := tls.Client(conn, &tls.Config{ServerName: "chat.example", RootCAs: w.upstreamRoots})
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	w.set.Store(loadRules(t, five))
	w.server.CloseNamedTunnels()
	if _, err := tc.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the tunnel still stands: %v", err)
	}
}

func TestAClientThatLeavesBehindAStrayByteIsNoticed(t *testing.T) {
	w := newWorld(t, paced)
	c := w.client(false)
	w.send(c, "anna", "bob")
	w.next()
	conn := w.connect(t, "chat.example")
	body := `{"to":"bob"}`
	fmt.Fprintf(conn, "POST /send HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if r := w.next(); r.Decision != proxy.DecisionHold {
		t.Fatalf("%+v", r)
	}
	io.WriteString(conn, "\r\n")
	conn.NetConn().Close()
	if r := w.next(); r.Decision != proxy.DecisionCancel {
		t.Errorf("%+v", r)
	}
	if n := w.service.messages.Load(); n != 1 {
		t.Errorf("the service saw %d messages", n)
	}
}

func TestNothingThatTheServiceSaysIsLogged(t *testing.T) {
	w := newWorld(t, five, http1Upstream)
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		if conn, _, err := http.NewResponseController(rw).Hijack(); err == nil {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nSet-Cookie li_at=CANARY\r\n\r\n")
			conn.Close()
		}
	})
	resp, err := w.client(false).Do(w.message(context.Background(), "anna", "bob"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 502 || strings.Contains(string(body), "CANARY") {
		t.Errorf("%s %s", resp.Status, body)
	}
	if log := w.log.String(); strings.Contains(log, "CANARY") || !strings.Contains(log, "could not be answered") {
		t.Errorf("the log: %s", log)
	}
}

func TestTwoListedAccountsInOneRequestAreNobody(t *testing.T) {
	w := newWorld(t, five)
	w.set.Store(mustLoad(t, chat+five+`
accounts:
  anna: {identity: [{proxy_user: anna}]}
  bert: {identity: [{proxy_user: bert}]}
`))
	post := func(user string) *http.Response {
		req := w.message(proxy.WithClient(context.Background(), &proxy.Client{User: user}), "shared", "bob")
		resp, err := w.enforcer.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if resp := post("anna"); resp.StatusCode != 200 {
		t.Errorf("anna: %s", resp.Status)
	}
	if resp := post("bert"); resp.Header.Get("Quotagate-Limit") != "ambiguous-account" {
		t.Errorf("bert with the token that is anna's: %s %v", resp.Status, resp.Header)
	}
	accounts, err := w.ledger.Accounts(context.Background())
	if err != nil || len(accounts) != 1 || accounts[0] != "anna" {
		t.Errorf("accounts: %v %v", accounts, err)
	}
}

// A Go program's own client may be given such a URL, with no proxy before it.
func TestTheEnforcerSendsNoOpaqueURL(t *testing.T) {
	set := loadRules(t, none)
	sent := 0
	e := &proxy.Enforcer{
		Rules: constant(set), Ledger: ratelimit.NewMemory(ratelimit.Options{}),
		Next: transportFunc(func(req *http.Request) (*http.Response, error) {
			sent++
			return answering{}.RoundTrip(req)
		}),
	}
	w := &world{t: t}
	req := w.message(context.Background(), "anna", "bob")
	req.URL.Opaque, req.URL.Path = "//chat.example/send", ""
	if resp, err := e.RoundTrip(req); err == nil {
		resp.Body.Close()
		t.Error("it was answered")
	}
	if sent != 0 {
		t.Error("it was sent")
	}
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
