package proxy_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"quotagate/proxy"
)

// A client that goes to the address of a governed host, and names none in its
// TLS, would send uncounted.
func TestAGovernedHostIsNotReachedByItsAddress(t *testing.T) {
	var asked atomic.Int64
	w := newWorld(t, five, func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Addresses = func(_ context.Context, host string) []netip.AddrPort {
			asked.Add(1)
			if host == "chat.example" {
				return []netip.AddrPort{netip.MustParseAddrPort("192.0.2.7:443"), netip.MustParseAddrPort("[2001:db8::7]:0")}
			}
			return nil
		}
	})
	for _, to := range []string{"192.0.2.7:443", "[2001:db8::7]:443", "[::ffff:192.0.2.7]:443", "192.0.2.8:443"} {
		w.dialTo[to] = w.service.Listener.Addr().String()
	}
	w.dialTo["other.example:443"] = w.service.Listener.Addr().String()
	shake := func(to, name string) error {
		conn, br := w.dial(t)
		if resp := w.rawKept(t, conn, br, "CONNECT "+to+" HTTP/1.1\r\nHost: "+to+"\r\n\r\n"); resp.StatusCode != 200 {
			t.Fatalf("%s: %s", to, resp.Status)
		}
		return tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
	}
	for _, to := range []string{"192.0.2.7:443", "[2001:db8::7]:443", "[::ffff:192.0.2.7]:443"} {
		if shake(to, "") == nil {
			t.Errorf("%s: a handshake that names nobody went through", to)
		}
	}
	for _, c := range []struct{ to, name string }{{"192.0.2.8:443", ""}, {"192.0.2.7:443", "other.example"}, {"other.example:443", ""}} {
		if err := shake(c.to, c.name); err != nil {
			t.Errorf("%s as %q: %v", c.to, c.name, err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the host was looked up %d times", n)
	}
	if log := w.log.String(); !strings.Contains(log, "TLS named none") {
		t.Errorf("the log does not say why: %s", log)
	}
}

// Whoever has a name of their own can point it at a governed host's address.
func TestAGovernedHostIsNotReachedByAnAliasWithoutAName(t *testing.T) {
	w := newWorld(t, five, func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Addresses = func(context.Context, string) []netip.AddrPort {
			return []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
		}
	})
	w.dialTo["alias.example:443"] = w.service.Listener.Addr().String()
	for name, want := range map[string]bool{"": false, "alias.example": true} {
		conn, br := w.dial(t)
		if resp := w.rawKept(t, conn, br, "CONNECT alias.example:443 HTTP/1.1\r\nHost: alias.example:443\r\n\r\n"); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
		err := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
		if (err == nil) != want {
			t.Errorf("as %q: %v", name, err)
		}
	}
}

// Without TLS only the first request of a connection could be looked at.
func TestAGovernedHostIsNotReachedByAnAliasWithoutTLS(t *testing.T) {
	w := newWorld(t, five, func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Addresses = func(context.Context, string) []netip.AddrPort {
			return []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
		}
	})
	seen := newPlainService(t, w)
	w.dialTo["alias.example:80"] = w.dialTo["chat.example:80"]
	for _, first := range []string{
		"GET / HTTP/1.1\r\nHost: alias.example\r\n\r\nPOST /send HTTP/1.1\r\nHost: chat.example\r\nContent-Length: 0\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
	} {
		conn, br := w.dial(t)
		if resp := w.rawKept(t, conn, br, "CONNECT alias.example:80 HTTP/1.1\r\nHost: alias.example:80\r\n\r\n"); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
		io.WriteString(conn, first)
		if n, err := io.Copy(io.Discard, br); n > 0 {
			t.Errorf("%.20q was answered with %d bytes, %v", first, n, err)
		}
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}
