package proxy_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"quotagate/proxy"
)

func onlyAnna(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
	c.Authenticate = func(user, password string) bool { return user == "anna" && password == "s3cret" }
}

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

// dials notes what is dialled, by tunnels and by the transport.
type dials struct {
	mu    sync.Mutex
	addrs []string
}

func (d *dials) watch(w *world, c *proxy.Config, e *proxy.Enforcer) {
	inner := c.Dial
	noted := func(ctx context.Context, network, addr string) (net.Conn, error) {
		d.mu.Lock()
		d.addrs = append(d.addrs, addr)
		d.mu.Unlock()
		return inner(ctx, network, addr)
	}
	c.Dial = noted
	e.Next.(*http.Transport).DialContext = noted
}

func (d *dials) taken() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.addrs = nil }()
	return d.addrs
}

// rawKept is raw on a connection that is kept, with the answer's body read.
func (w *world) rawKept(t *testing.T, conn net.Conn, br *bufio.Reader, request string) *http.Response {
	t.Helper()
	io.WriteString(conn, request)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.ContentLength > 0 {
		if _, err := io.CopyN(io.Discard, resp.Body, resp.ContentLength); err != nil {
			t.Fatal(err)
		}
	}
	return resp
}

func (w *world) dial(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn, bufio.NewReader(conn)
}

func TestOnlyRightCredentialsOpenTheProxy(t *testing.T) {
	var d dials
	w := newWorld(t, five, onlyAnna, d.watch)
	for name, credentials := range map[string]string{
		"none":               "",
		"a wrong password":   basic("anna:wrong"),
		"no password":        basic("anna"),
		"an empty password":  basic("anna:"),
		"an unknown user":    basic("bert:s3cret"),
		"nobody":             basic(":"),
		"another scheme":     "Bearer s3cret",
		"no base64":          "Basic anna:s3cret",
		"the scheme alone":   "Basic",
		"a bearer token":     "Bearer " + base64.StdEncoding.EncodeToString([]byte("anna:s3cret")),
		"more behind it":     basic("anna:s3cret:"),
		"two in one, unused": basic("anna:wrong") + ", " + basic("anna:s3cret"),
	} {
		header := ""
		if credentials != "" {
			header = "Proxy-Authorization: " + credentials + "\r\n"
		}
		for _, line := range []string{
			"CONNECT chat.example:443", "CONNECT other.example:443", "CONNECT 127.0.0.1:22", "CONNECT nonsense",
			"GET http://chat.example/", "GET http://other.example/", "GET https://chat.example/", "GET http://quotagate.internal/", "GET ftp://chat.example/",
		} {
			resp := w.raw(t, line+" HTTP/1.1\r\nHost: chat.example\r\n"+header+"\r\n")
			if resp.StatusCode != http.StatusProxyAuthRequired || !strings.HasPrefix(resp.Header.Get("Proxy-Authenticate"), "Basic ") {
				t.Errorf("%s, %s: %s %v", line, name, resp.Status, resp.Header)
			}
		}
	}
	if n := w.server.Counts.Requests.Load() + w.server.Counts.Intercepted.Load() + w.server.Counts.Tunnels.Load(); n != 0 {
		t.Errorf("%d requests and connections were let in", n)
	}
	if got := d.taken(); len(got) > 0 {
		t.Errorf("dialled %q", got)
	}
	for _, credentials := range []string{basic("anna:s3cret"), "bAsIc   " + base64.StdEncoding.EncodeToString([]byte("anna:s3cret")) + " "} {
		for _, line := range []string{"CONNECT chat.example:443", "CONNECT other.example:443", "GET https://chat.example/"} {
			if resp := w.raw(t, line+" HTTP/1.1\r\nHost: chat.example\r\nProxy-Authorization: "+credentials+"\r\n\r\n"); resp.StatusCode != 200 {
				t.Errorf("%s, %s: %s", line, credentials, resp.Status)
			}
		}
	}
}

// Whoever checks passwords need not think of clients that give none.
func TestNobodyIsNotAsked(t *testing.T) {
	w := newWorld(t, five, func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Authenticate = func(user, password string) bool {
			if user == "" && password == "" {
				t.Error("nobody's password was checked")
			}
			return true
		}
	})
	for _, credentials := range []string{"", "Proxy-Authorization: Bearer abc\r\n", "Proxy-Authorization: Basic !\r\n"} {
		for _, line := range []string{"CONNECT chat.example:443", "GET https://chat.example/"} {
			if resp := w.raw(t, line+" HTTP/1.1\r\nHost: chat.example\r\n"+credentials+"\r\n"); resp.StatusCode != 407 {
				t.Errorf("%s %q: %s", line, credentials, resp.Status)
			}
		}
	}
}

func TestEachRequestOfAConnectionIsAskedForCredentials(t *testing.T) {
	w := newWorld(t, five, onlyAnna)
	conn, br := w.dial(t)
	get := "GET https://chat.example/ HTTP/1.1\r\nHost: chat.example\r\n"
	if resp := w.rawKept(t, conn, br, get+"Proxy-Authorization: "+basic("anna:s3cret")+"\r\n\r\n"); resp.StatusCode != 200 {
		t.Errorf("with credentials: %s", resp.Status)
	}
	if resp := w.rawKept(t, conn, br, get+"\r\n"); resp.StatusCode != 407 {
		t.Errorf("without, on the same connection: %s", resp.Status)
	}
}

func TestTheProxysCredentialsAreNeverPassedOn(t *testing.T) {
	for name, check := range map[string]option{"asked for": onlyAnna, "not asked for": func(*world, *proxy.Config, *proxy.Enforcer) {}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, five, check, http1Upstream)
			newPlainService(t, w)
			var got []http.Header
			w.service.respond(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Header) })
			credentials := "Proxy-Authorization: " + basic("anna:s3cret") + "\r\n"
			for _, path := range []string{"/read", "/send"} {
				body := `{"to":"bob"}`
				rest := fmt.Sprintf(" HTTP/1.1\r\nHost: chat.example\r\n%sAuthorization: Bearer token\r\nContent-Length: %d\r\n\r\n%s", credentials, len(body), body)
				if resp := w.raw(t, "POST https://chat.example"+path+rest); resp.StatusCode != 200 {
					t.Errorf("absolute form: %s", resp.Status)
				}
				// A client that gives them to the service as well, by mistake.
				if name == "not asked for" {
					if resp := w.exchange(t, "POST "+path+rest); resp.StatusCode != 200 {
						t.Errorf("inside a tunnel: %s", resp.Status)
					}
				}
			}
			if len(got) < 2 {
				t.Errorf("the service was asked %d times", len(got))
			}
			for _, h := range got {
				if v, ok := h["Proxy-Authorization"]; ok {
					t.Errorf("the service got Proxy-Authorization: %q", v)
				}
				if h.Get("Authorization") != "Bearer token" {
					t.Errorf("the service did not get what is its own: %v", h)
				}
			}
		})
	}
}

func TestTheProxyAnswersUnderItsOwnNameOnly(t *testing.T) {
	var d dials
	var asked []string
	w := newWorld(t, five, d.watch, func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Internal = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Method+" "+r.URL.Path)
			if v, ok := r.Header["Proxy-Authorization"]; ok {
				t.Errorf("the page is given %q", v)
			}
			io.WriteString(rw, "internal")
		})
	})
	for line, internal := range map[string]bool{
		"GET http://quotagate.internal/":          true,
		"GET http://QUOTAGATE.internal./ca.pem":   true,
		"GET http://quotagate.internal:80/":       true,
		"GET http://quotagate.internal.example/":  false,
		"GET http://x.quotagate.internal/":        false,
		"GET http://chat.example/?quotagate":      false,
		"GET http://user@chat.example/":           false,
		"GET http://quotagate.internal@10.0.0.1/": false,
	} {
		asked = nil
		resp := w.raw(t, line+" HTTP/1.1\r\nHost: quotagate.internal\r\nProxy-Authorization: "+basic("anna:s3cret")+"\r\nConnection: close\r\n\r\n")
		body, _ := io.ReadAll(resp.Body)
		if (string(body) == "internal") != internal || (len(asked) == 1) != internal {
			t.Errorf("%s: %s %s, asked %q", line, resp.Status, body, asked)
		}
		if got := d.taken(); internal && len(got) > 0 {
			t.Errorf("%s: dialled %q", line, got)
		}
	}
	if resp := w.raw(t, "GET / HTTP/1.1\r\nHost: quotagate.internal\r\n\r\n"); resp.StatusCode != 400 {
		t.Errorf("not in the form of a proxy's request: %s", resp.Status)
	}
}

func TestWithoutAPageOfItsOwnTheProxyHasNone(t *testing.T) {
	var d dials
	w := newWorld(t, five, d.watch)
	if resp := w.raw(t, "GET http://quotagate.internal/ HTTP/1.1\r\nHost: quotagate.internal\r\n\r\n"); resp.StatusCode != 404 {
		t.Errorf("%s", resp.Status)
	}
	if got := d.taken(); len(got) > 0 {
		t.Errorf("dialled %q", got)
	}
}

func TestMethodsThatAreNotProxied(t *testing.T) {
	w := newWorld(t, five, http1Upstream)
	reached := ""
	w.service.respond(func(_ http.ResponseWriter, r *http.Request) { reached = r.Method })
	for _, request := range []string{
		"CONNECT chat.example:443 HTTP/1.1\r\nHost: chat.example:443\r\n\r\n",
		"CONNECT /send HTTP/1.1\r\nHost: chat.example\r\n\r\n",
		"TRACE / HTTP/1.1\r\nHost: chat.example\r\n\r\n",
	} {
		if resp := w.exchange(t, request); resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("inside a tunnel: %q: %s", request, resp.Status)
		}
	}
	if resp := w.raw(t, "TRACE https://chat.example/ HTTP/1.1\r\nHost: chat.example\r\n\r\n"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("TRACE in absolute form: %s", resp.Status)
	}
	req, err := http.NewRequest("TRACE", "https://chat.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.client(true).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("TRACE by HTTP/2: %s", resp.Status)
	}
	if reached != "" {
		t.Errorf("%s reached the service", reached)
	}
}

func TestTargetsThatCannotBeReadAreNotDialled(t *testing.T) {
	var d dials
	w := newWorld(t, five, d.watch)
	for target, status := range map[string]int{
		"chat.example":                  400,
		"chat.example:":                 400,
		"chat.example:0":                400,
		"chat.example:65536":            400,
		"chat.example:-443":             400,
		"chat.example:+443":             400,
		"chat.example:https":            400,
		"chat.example:443:443":          400,
		":443":                          400,
		"[]:443":                        400,
		"user@chat.example:443":         400,
		"user:pw@chat.example:443":      400,
		"chat.example:443/send":         400,
		"chat.example:443?a":            400,
		"chat.example%00:443":           400,
		"chat..example:443":             0, // whatever it is, it is not chat.example
		"other.example:25":              403,
		"other.example:8443":            403,
		"chat.example:22":               403,
		"127.0.0.1:6379":                403,
		"[::1]:25":                      403,
		"http://other.example:443":      400,
		"https://chat.example:443/send": 400,
	} {
		conn, br := w.dial(t)
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: chat.example\r\n\r\n", target)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		if status != 0 && resp.StatusCode != status || resp.StatusCode == 200 {
			t.Errorf("CONNECT %s: %s, want %d", target, resp.Status, status)
		}
		if got := d.taken(); status != 0 && len(got) > 0 {
			t.Errorf("CONNECT %s: dialled %q", target, got)
		}
		conn.Close()
	}
	for target, status := range map[string]int{
		"http://chat.example:0/":      400,
		"http://chat.example:65536/":  400,
		"http://chat.example:x/":      400,
		"http:///":                    400,
		"http://:80/":                 400,
		"ftp://chat.example/":         400,
		"ws://chat.example/":          400,
		"file:///etc/passwd":          400,
		"http://other.example:25/":    403,
		"https://other.example:8443/": 403,
	} {
		if resp := w.raw(t, "GET "+target+" HTTP/1.1\r\nHost: chat.example\r\n\r\n"); resp.StatusCode != status {
			t.Errorf("GET %s: %s, want %d", target, resp.Status, status)
		}
		if got := d.taken(); len(got) > 0 {
			t.Errorf("GET %s: dialled %q", target, got)
		}
	}
	if n := w.service.messages.Load(); n != 0 {
		t.Errorf("the service saw %d messages", n)
	}
}

func TestTheProxyDoesNotReachItself(t *testing.T) {
	w := newWorld(t, five, func(w *world, c *proxy.Config, e *proxy.Enforcer) {
		own := func() []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort(w.addr)} }
		d := &proxy.Dialer{AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, ConnectTo: w.dialTo, Own: own}
		c.Dial = d.DialContext
		e.Next.(*http.Transport).DialContext = d.DialContext
	})
	// Whoever rules the name of a host can let it lead here.
	for _, name := range []string{"chat.example:443", "chat.example:80", "other.example:443", "other.example:80"} {
		w.dialTo[name] = w.addr
	}
	for _, line := range []string{"CONNECT other.example:443", "GET https://chat.example/", "GET http://chat.example/", "GET http://other.example/"} {
		resp := w.raw(t, line+" HTTP/1.1\r\nHost: "+strings.Split(strings.TrimPrefix(strings.Fields(line)[1], "https://"), "/")[0]+"\r\n\r\n")
		if resp.StatusCode != 403 || resp.Header.Get("Quotagate-Error") != "address" {
			t.Errorf("%s: %s %v", line, resp.Status, resp.Header)
		}
	}
	if resp, _ := w.send(w.client(true), "anna", "bob"); resp.StatusCode != 403 || resp.Header.Get("Quotagate-Error") != "address" {
		t.Errorf("a message: %s %v", resp.Status, resp.Header)
	}
	if n := w.server.Counts.Tunnels.Load(); n != 0 {
		t.Errorf("%d tunnels", n)
	}
}
