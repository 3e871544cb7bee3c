package proxy_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
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

// A parentProxy is somebody else's proxy of one of the three kinds. It leads
// every name to the services of a world, and notes what it was asked.
type parentProxy struct {
	addr    string // of the proxy
	leads   func(addr string) string
	user    string // "user:password" that it wants
	refuse  int    // a status to answer instead
	grant   string // the status by which it grants; "": 200
	mu      sync.Mutex
	asked   []string
	headers []http.Header
}

func newParentProxy(t *testing.T, kind string, ca *testCA, user string) *parentProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &parentProxy{user: user}
	p.addr = kind + "://" + l.Addr().String()
	if kind == "https" {
		cert := ca.issue(t, "parent.example")
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
		p.addr = strings.Replace(p.addr, "127.0.0.1", "parent.example", 1)
	}
	serve := p.http
	if kind == "socks5" {
		serve = p.socks
	}
	var running sync.WaitGroup
	t.Cleanup(func() { l.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	return p
}

func (p *parentProxy) note(addr string, h http.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked, p.headers = append(p.asked, addr), append(p.headers, h)
}

func (p *parentProxy) join(conn io.ReadWriter, to net.Conn) {
	defer to.Close()
	go func() {
		io.Copy(to, conn)
		to.Close()
	}()
	io.Copy(conn, to)
}

func (p *parentProxy) http(conn net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil || req.Method != http.MethodConnect {
		return
	}
	p.note(req.RequestURI, req.Header)
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.user))
	switch {
	case p.refuse != 0:
		fmt.Fprintf(conn, "HTTP/1.1 %d No\r\nContent-Length: 5\r\n\r\nno: x", p.refuse)
		return
	case p.user != "" && req.Header.Get("Proxy-Authorization") != want:
		io.WriteString(conn, "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
		return
	}
	to, err := net.Dial("tcp", p.leads(req.RequestURI))
	if err != nil {
		io.WriteString(conn, "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")
		return
	}
	io.WriteString(conn, "HTTP/1.1 "+cmp.Or(p.grant, "200 OK")+"\r\n\r\n")
	p.join(conn, to)
}

// socks is a server of SOCKS 5 (RFC 1928, RFC 1929).
func (p *parentProxy) socks(conn net.Conn) {
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(conn, b); err != nil {
			return make([]byte, n)
		}
		return b
	}
	methods := read(int(read(2)[1]))
	if p.user == "" {
		conn.Write([]byte{5, 0})
	} else {
		if !strings.Contains(string(methods), "\x02") {
			conn.Write([]byte{5, 0xff})
			return
		}
		conn.Write([]byte{5, 2})
		read(1)
		user := string(read(int(read(1)[0])))
		password := string(read(int(read(1)[0])))
		if user+":"+password != p.user {
			conn.Write([]byte{1, 1})
			return
		}
		conn.Write([]byte{1, 0})
	}
	head := read(4)
	var host string
	switch head[3] {
	case 1:
		host = netip.AddrFrom4([4]byte(read(4))).String()
	case 3:
		host = string(read(int(read(1)[0])))
	}
	addr := fmt.Sprintf("%s:%d", host, binary.BigEndian.Uint16(read(2)))
	p.note(addr, nil)
	answer := func(code byte) { conn.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0}) }
	if p.refuse != 0 {
		answer(2)
		return
	}
	to, err := net.Dial("tcp", p.leads(addr))
	if err != nil {
		answer(5)
		return
	}
	answer(0)
	p.join(conn, to)
}

// behind puts a world behind a parent at address.
func behind(t *testing.T, address string, ca *testCA, allow ...netip.Prefix) option {
	return func(w *world, c *proxy.Config, e *proxy.Enforcer) {
		parent, err := proxy.NewParent(address, ca.pool())
		if err != nil {
			t.Fatal(err)
		}
		d := &proxy.Dialer{Parent: parent, Pseudonym: "us", AllowAddresses: allow,
			Resolver: newNameServer(t, map[string][]string{"parent.example": {"127.0.0.1"}}).resolver()}
		c.Dial, c.PortAllowed, c.Pseudonym = d.DialContext, d.PortAllowed, "us"
		e.Next.(*http.Transport).DialContext = d.DialContext
	}
}

func withUser(address, user string) string { return strings.Replace(address, "://", "://"+user+"@", 1) }

func TestAParentMayGrantByAnyStatusOfSuccess(t *testing.T) {
	for grant, want := range map[string]int{"201 Created": 200, "204 No Content": 200, "299 Well": 200, "302 Found": 502} {
		t.Run(grant, func(t *testing.T) {
			ca := newTestCA(t)
			p := newParentProxy(t, "http", ca, "")
			p.grant = grant
			w := newWorld(t, five, behind(t, p.addr, ca))
			p.leads = func(addr string) string { return w.dialTo[addr] }
			if resp, body := w.send(w.client(false), "anna", "bob"); resp.StatusCode != want {
				t.Errorf("%s %s", resp.Status, body)
			}
		})
	}
}

func TestEverythingGoesThroughTheParent(t *testing.T) {
	for _, kind := range []string{"http", "https", "socks5"} {
		for _, user := range []string{"", "anna:s3cr:et/x"} {
			t.Run(kind+" "+user, func(t *testing.T) {
				ca := newTestCA(t)
				p := newParentProxy(t, kind, ca, user)
				address := p.addr
				if user != "" {
					address = withUser(p.addr, "anna:s3cr%3Aet%2Fx")
				}
				w := newWorld(t, five, behind(t, address, ca))
				plain := newPlainService(t, w)
				p.leads = func(addr string) string { return w.dialTo[addr] }

				if resp, body := w.send(w.client(true), "anna", "bob"); resp.StatusCode != 200 {
					t.Fatalf("a message: %s %s\n%s", resp.Status, body, w.log)
				}
				if resp := w.raw(t, "GET http://chat.example/ HTTP/1.1\r\nHost: chat.example\r\nVia: 1.0 someone\r\n\r\n"); resp.StatusCode != 200 || plain.Load() != 1 {
					t.Errorf("plain http: %s", resp.Status)
				}
				conn := tls.Client(w.open(t, "other.example:443"), &tls.Config{ServerName: "other.example", RootCAs: w.upstreamRoots})
				if err := conn.Handshake(); err != nil {
					t.Errorf("a tunnel: %v", err)
				}
				if got := strings.Join(p.asked, " "); got != "chat.example:443 chat.example:80 other.example:443" {
					t.Errorf("the parent was asked for %s", got)
				}
				for i, want := range []string{"1.1 us", "1.0 someone, 1.1 us", "1.1 us"} {
					if h := p.headers[i]; h != nil && (h.Get("Via") != want || len(h["User-Agent"]) > 0) {
						t.Errorf("the parent was told %v", h)
					}
				}
				if strings.Contains(w.log.String(), "s3cr") {
					t.Errorf("the log has the password: %s", w.log)
				}
			})
		}
	}
}

func TestAParentThatFailsIsToldOfAndNobodyIsCharged(t *testing.T) {
	closed := closedPort(t)
	for _, c := range []struct {
		name    string
		kind    string
		prepare func(p *parentProxy, address string) string
		status  int
		word    string
		says    string
	}{
		{"nobody listens", "http", func(_ *parentProxy, _ string) string { return "http://" + closed }, 502, "parent", "opened no connection"},
		{"nobody listens", "socks5", func(_ *parentProxy, _ string) string { return "socks5://" + closed }, 502, "parent", "opened no connection"},
		{"no such name", "http", func(_ *parentProxy, _ string) string { return "http://missing.example:8080" }, 502, "parent", "opened no connection"},
		{"it wants a password", "http", func(p *parentProxy, a string) string { p.user = "a:b"; return a }, 502, "parent", "wants a user and a password"},
		{"another password", "http", func(p *parentProxy, a string) string { p.user = "a:b"; return withUser(a, "a:hunter2") }, 502, "parent", "wants a user and a password"},
		{"another password", "socks5", func(p *parentProxy, a string) string { p.user = "a:b"; return withUser(a, "a:hunter2") }, 502, "parent", "opened no connection"},
		{"it refuses", "http", func(p *parentProxy, a string) string { p.refuse = 403; return a }, 502, "parent", "opened no connection"},
		{"it refuses", "socks5", func(p *parentProxy, a string) string { p.refuse = 403; return a }, 502, "parent", "opened no connection"},
		{"it sees a circle", "https", func(p *parentProxy, a string) string { p.refuse = 508; return a }, 508, "loop", "in a circle"},
		{"it cannot connect", "http", func(p *parentProxy, a string) string {
			p.leads = func(string) string { return closed }
			return a
		}, 502, "parent", "opened no connection"},
		{"its certificate is for another host", "https", func(_ *parentProxy, a string) string {
			return strings.Replace(a, "parent.example", "127.0.0.1", 1)
		}, 502, "parent", "opened no connection"},
	} {
		t.Run(c.name+", "+c.kind, func(t *testing.T) {
			ca := newTestCA(t)
			p := newParentProxy(t, c.kind, ca, "")
			w := newWorld(t, five, behind(t, c.prepare(p, p.addr), ca))
			resp, body := w.send(w.client(true), "anna", "bob")
			if resp.StatusCode != c.status || resp.Header.Get("Quotagate-Error") != c.word || !strings.Contains(body, c.says) {
				t.Errorf("%s %q %s", resp.Status, resp.Header.Get("Quotagate-Error"), body)
			}
			w.next()
			if n := w.used("chat.day"); n != 0 {
				t.Errorf("%d counted", n)
			}
			connect := w.raw(t, "CONNECT other.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
			said, _ := io.ReadAll(connect.Body)
			if connect.StatusCode != c.status || connect.Header.Get("Quotagate-Error") != c.word {
				t.Errorf("CONNECT: %s %s", connect.Status, said)
			}
			for _, secret := range []string{"hunter2", "127.0.0.1", "missing.example"} {
				if strings.Contains(body+string(said), secret) || secret == "hunter2" && strings.Contains(w.log.String(), secret) {
					t.Errorf("%s is told: %s %s\n%s", secret, body, said, w.log)
				}
			}
		})
	}
}

func TestWhatLeadsInsideByItsFormIsNotAskedOfTheParent(t *testing.T) {
	ca := newTestCA(t)
	p := newParentProxy(t, "http", ca, "")
	p.refuse = 403
	w := newWorld(t, five, behind(t, p.addr, ca, netip.MustParsePrefix("10.1.0.0/16")))
	for _, host := range []string{"127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254", "[64:ff9b::7f00:1]", "localhost", "localhost.", "x.localhost",
		"printer.local", "metadata.google.internal", "intranet", "router.home.arpa", "127.1", "0", "2130706433", "0x7f.1", "0177.0.0.1", "１２７.1"} {
		for _, target := range []string{"CONNECT " + host + ":443", "GET http://" + host + "/"} {
			resp := w.raw(t, target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if resp.StatusCode != 403 || resp.Header.Get("Quotagate-Error") != "address" {
				t.Errorf("%s: %s %v", target, resp.Status, resp.Header)
			}
		}
	}
	if len(p.asked) != 0 {
		t.Errorf("the parent was asked for %v", p.asked)
	}
	for _, host := range []string{"10.1.2.3", "8.8.8.8", "other.example", "xn--bcher-kva.example"} {
		w.raw(t, "CONNECT "+host+":443 HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	if got := strings.Join(p.asked, " "); got != "10.1.2.3:443 8.8.8.8:443 other.example:443 xn--bcher-kva.example:443" {
		t.Errorf("the parent was asked for %s", got)
	}
}

func TestOnlyAddressesOfProxiesAreParents(t *testing.T) {
	for address, want := range map[string]string{
		"http://proxy.example":           "http://proxy.example:80",
		"HTTP://proxy.example:3128/":     "http://proxy.example:3128",
		"https://u:p@proxy.example":      "https://proxy.example:443",
		"socks5://u:p@[fd00::1]":         "socks5://[fd00::1]:1080",
		"socks5h://proxy.example:9":      "socks5://proxy.example:9",
		"":                               "",
		"proxy.example:3128":             "",
		"http://":                        "",
		"ftp://proxy.example":            "",
		"socks4://proxy.example":         "",
		"http://proxy.example/pac":       "",
		"http://proxy.example:0":         "",
		"http://proxy.example:99999":     "",
		"http://u:sesame@proxy .example": "",
		"http://u:ses%zzame@p.example":   "",
	} {
		p, err := proxy.NewParent(address, nil)
		if (err != nil) != (want == "") || err == nil && p.String() != want {
			t.Errorf("%q: %v %v, want %q", address, p, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "ses") || strings.Contains(err.Error(), "example")) {
			t.Errorf("%q: the error repeats it: %v", address, err)
		}
	}
}

// TestTheEnvironmentNamesNoParent: HTTP_PROXY most likely names ourselves.
// A parent that takes the connection and says nothing has the dialer's time.
func TestAParentThatIsSilentIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, scheme := range []string{"http", "https", "socks5"} {
		parent, err := proxy.NewParent(scheme+"://"+l.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		d := &proxy.Dialer{Parent: parent, Timeout: soon}
		failed := make(chan error, 1)
		go func() {
			_, err := d.DialContext(context.Background(), "tcp", "chat.example.com:443")
			failed <- err
		}()
		var told *proxy.ParentError
		var late net.Error
		select {
		case err := <-failed:
			if !errors.As(err, &told) || !errors.As(err, &late) || !late.Timeout() {
				t.Errorf("%s: %v", scheme, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: it is still waited for", scheme)
		}
	}
}

func TestTheEnvironmentNamesNoParent(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, "http://"+closedPort(t))
	}
	w := newWorld(t, five)
	newPlainService(t, w)
	if resp, body := w.send(w.client(false), "anna", "bob"); resp.StatusCode != 200 {
		t.Errorf("%s %s", resp.Status, body)
	}
	if resp := w.raw(t, "GET http://chat.example/ HTTP/1.1\r\nHost: chat.example\r\n\r\n"); resp.StatusCode != 200 {
		t.Errorf("plain http: %s", resp.Status)
	}
	w.open(t, "other.example:443")
}
