package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"quotagate/proxy"
)

// A wall is a proxy that may reach 127.0.0.2, which stands for the Internet,
// and must not reach 127.0.0.1 and ::1, at the same port.
type wall struct {
	*world
	port    string
	inside  atomic.Int64 // connections to what must not be reached
	outside atomic.Int64 // requests to what may be
	names   *nameServer
}

func newWall(t *testing.T, answers map[string][]string) *wall {
	t.Helper()
	l := &wall{names: newNameServer(t, answers)}
	secret, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, l.port, _ = net.SplitHostPort(secret.Addr().String())
	listeners := []net.Listener{secret}
	for _, host := range []string{"::1", "127.0.0.2"} {
		other, err := net.Listen("tcp", net.JoinHostPort(host, l.port))
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, other)
	}
	for _, inside := range listeners[:2] {
		t.Cleanup(func() { inside.Close() })
		go func() {
			for {
				c, err := inside.Accept()
				if err != nil {
					return
				}
				l.inside.Add(1)
				c.Close()
			}
		}()
	}
	public := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		l.outside.Add(1)
		if r.URL.Path == "/redirect" {
			http.Redirect(rw, r, "http://127.0.0.1:"+l.port+"/", http.StatusFound)
		}
	})}
	go public.Serve(listeners[2])
	t.Cleanup(func() { public.Close() })

	l.world = newWorld(t, five, func(_ *world, c *proxy.Config, e *proxy.Enforcer) {
		var port int
		fmt.Sscan(l.port, &port)
		d := &proxy.Dialer{
			AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")},
			AllowPorts:     []int{port, 80, 443},
			Resolver:       l.names.resolver(),
		}
		c.Dial, c.PortAllowed = d.DialContext, d.PortAllowed
		e.Next.(*http.Transport).DialContext = d.DialContext
	})
	return l
}

// TestNoWayOfNamingAnInternalAddressReachesIt is the list of what SSRF filters
// were passed with: by CONNECT, in absolute form, and as what a governed host
// resolves to.
func TestNoWayOfNamingAnInternalAddressReachesIt(t *testing.T) {
	inside := map[string][]string{
		"127.1": {"127.0.0.1"}, "0x7f.1": {"127.0.0.1"}, "2130706433": {"127.0.0.1"}, "0": {"0.0.0.0"},
		"0177.0.0.1": {"127.0.0.1"}, "017700000001": {"127.0.0.1"}, "0x7f000001": {"127.0.0.1"},
		"private.example": {"127.0.0.1"}, "v6.example": {"::1"}, "both.example": {"127.0.0.1 ::1"},
		"mapped.example": {"::ffff:127.0.0.1"}, "nat64.example": {"64:ff9b::7f00:1"},
		"cname.example": {"→inner.example 127.0.0.1"}, "inner.example": {"127.0.0.1"},
		"metadata.google.internal": {"169.254.169.254"}, "localhost": {"127.0.0.1 ::1"},
	}
	l := newWall(t, inside)
	for _, host := range []string{
		"127.0.0.1", "127.1", "0", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "127.0.0.1.", "127.000.000.001",
		"[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]",
		"[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1%25lo]", "[fe80::1%lo]", "[::1%25lo]", "[::1%lo]",
		"[[::1]]", "[[127.0.0.1]]", "[127.0.0.1]", "[localhost]", "::1",
		"localhost", "localhost.", "LOCALHOST", "LocalHost.", "private.example", "private.example.", "PRIVATE.example", "v6.example", "both.example",
		"mapped.example", "nat64.example", "cname.example", "metadata.google.internal", "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16",
		"１２７.０.０.１", "127。0。0。1", "ｌocalhost", "①②⑦.0.0.1",
		"user@127.0.0.1", "user:password@127.0.0.1", "127.0.0.2@127.0.0.1", "127.0.0.1%00.example", "127.0.0.1#.example", "127.0.0.1?.example",
		"127.0.0.1\\.example", "127.0.0.1\t", "", ".", "..", "*", "-",
	} {
		for _, target := range []string{
			"CONNECT " + host + ":" + l.port,
			"GET http://" + host + ":" + l.port + "/",
			"GET https://" + host + ":" + l.port + "/",
			"POST http://" + host + ":" + l.port + "/send",
		} {
			// The Host says something harmless: what counts is the target.
			resp := l.raw(t, target+" HTTP/1.1\r\nHost: private.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			body, _ := io.ReadAll(resp.Body)
			word := resp.Header.Get("Quotagate-Error")
			if resp.StatusCode != 400 && !(resp.StatusCode == 403 && word == "address") && !(resp.StatusCode == 502 && word == "dns") {
				t.Errorf("%q: %s %q %s", target, resp.Status, word, body)
			}
			// A name does not tell what it leads to.
			if strings.HasPrefix(host, "private") && strings.Contains(string(body), "127.") ||
				resp.StatusCode == 403 && !strings.Contains(string(body), "must not be reached") {
				t.Errorf("%q: it says %s", target, body)
			}
		}
	}
	if n := l.inside.Load(); n != 0 {
		t.Errorf("%d connections to what must not be reached", n)
	}
	if l.server.Counts.AddressRefused.Load() == 0 {
		t.Error("what was refused is not counted")
	}

	// Inside an intercepted connection, what the host resolves to counts, and
	// no header leads elsewhere.
	for _, to := range []string{"127.0.0.1", "::1", "0.0.0.0", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "10.0.0.1 169.254.169.254", "→inner.example 127.0.0.1"} {
		l.names.mu.Lock()
		l.names.answers["chat.example"] = []string{to}
		l.names.mu.Unlock()
		for _, h2 := range []bool{false, true} {
			resp, body := l.send(l.client(h2), "anna", "bob")
			if resp.StatusCode != 403 || resp.Header.Get("Quotagate-Error") != "address" || strings.Contains(body, strings.Fields(to)[0]) {
				t.Errorf("chat.example at %s: %s %s", to, resp.Status, body)
			}
			l.next()
		}
	}
	if n := l.used("chat.day"); n != 0 {
		t.Errorf("%d counted", n)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "private.example", "127.0.0.1:" + l.port} {
		conn := l.connect(t, "chat.example")
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		if line := firstLine(t, conn); !strings.Contains(line, " 421 ") {
			t.Errorf("Host %s inside: %s", host, line)
		}
	}
	if n := l.inside.Load(); n != 0 {
		t.Errorf("%d connections to what must not be reached", n)
	}
}

func firstLine(t *testing.T, r io.Reader) string {
	t.Helper()
	b := make([]byte, 64)
	n, err := io.ReadAtLeast(r, b, 16)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b[:n]), "\r\n")
	return line
}

func TestOnlyPortsThatAreAllowedAreNamed(t *testing.T) {
	l := newWall(t, nil)
	for port, status := range map[string]int{"0": 400, "65536": 400, "25": 403, "6379": 403, "22": 403, "-1": 400, "+80": 400, "http": 400, "": 400, "080": 200} {
		resp := l.raw(t, "CONNECT 127.0.0.2:"+port+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if port == "080" { // 80 by another spelling: nobody listens there
			status = 502
		}
		if resp.StatusCode != status {
			t.Errorf("port %q: %s, want %d", port, resp.Status, status)
		}
		if status == 403 && resp.Header.Get("Quotagate-Error") != "port" {
			t.Errorf("port %q: Quotagate-Error %q", port, resp.Header.Get("Quotagate-Error"))
		}
	}
}

func TestOfSeveralAnswersOnlyThePublicOnesAreDialled(t *testing.T) {
	l := newWall(t, map[string][]string{"mixed.example": {"127.0.0.1 127.0.0.2 ::1 10.0.0.1"}})
	for range 5 {
		resp := l.raw(t, "GET http://mixed.example:"+l.port+"/ HTTP/1.1\r\nHost: mixed.example\r\nConnection: close\r\n\r\n")
		if resp.StatusCode != 200 {
			t.Errorf("%s", resp.Status)
		}
		l.open(t, "mixed.example:"+l.port).Close()
	}
	if l.outside.Load() != 5 || l.inside.Load() != 0 {
		t.Errorf("%d requests went out, %d connections went in", l.outside.Load(), l.inside.Load())
	}
}

// TestANameThatMovesInsideGainsNothing: what is dialled is what was checked,
// a kept connection leads where it was checked to lead, and the next is checked.
func TestANameThatMovesInsideGainsNothing(t *testing.T) {
	l := newWall(t, map[string][]string{"rebinding.example": {"127.0.0.2", "127.0.0.1"}})
	ask := func() *http.Response {
		return l.raw(t, "GET http://rebinding.example:"+l.port+"/ HTTP/1.1\r\nHost: rebinding.example\r\n\r\n")
	}
	for i := range 3 { // the second and the third by the first one's connection
		if resp := ask(); resp.StatusCode != 200 {
			t.Errorf("request %d: %s", i+1, resp.Status)
		}
	}
	l.enforcer.Next.(*http.Transport).CloseIdleConnections()
	if resp := ask(); resp.StatusCode != 403 {
		t.Errorf("on a new connection: %s", resp.Status)
	}
	if resp := l.raw(t, "CONNECT rebinding.example:"+l.port+" HTTP/1.1\r\nHost: x\r\n\r\n"); resp.StatusCode != 403 {
		t.Errorf("CONNECT: %s", resp.Status)
	}
	if l.outside.Load() != 3 || l.inside.Load() != 0 {
		t.Errorf("%d requests went out, %d connections went in", l.outside.Load(), l.inside.Load())
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	l := newWall(t, map[string][]string{"public.example": {"127.0.0.2"}})
	resp := l.raw(t, "GET http://public.example:"+l.port+"/redirect HTTP/1.1\r\nHost: public.example\r\n\r\n")
	if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "http://127.0.0.1:"+l.port+"/" {
		t.Errorf("%s, Location %q", resp.Status, resp.Header.Get("Location"))
	}
	if n := l.inside.Load(); n != 0 {
		t.Errorf("%d connections to what must not be reached", n)
	}
}
