package proxy_test

import (
	"bufio"
	"context"
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

func TestOnlyGovernedHostsAreReachedWhereTheRulesSaySo(t *testing.T) {
	w := newWorld(t, five+"egress: governed-only\n", func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Internal = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "set-up") })
	})
	plain := newPlainService(t, w)
	w.dialTo["other.example:80"] = w.dialTo["chat.example:80"]
	for _, target := range []string{"CONNECT other.example:443", "CONNECT 8.8.8.8:443", "CONNECT chat.example.other.example:443",
		"GET http://other.example/", "GET https://other.example/"} {
		host := strings.TrimSuffix(target[strings.LastIndexByte(strings.TrimSuffix(target, "/"), '/')+1:], "/")
		host = strings.TrimPrefix(host, "CONNECT ")
		resp := w.raw(t, target+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 403 || resp.Header.Get("Quotagate-Error") != "egress" || !strings.Contains(string(body), "QUOTAGATE_EGRESS") {
			t.Errorf("%s: %s %s", target, resp.Status, body)
		}
	}
	if n := w.server.Counts.EgressRefused.Load(); n != 5 {
		t.Errorf("%d counted as refused", n)
	}
	if n := w.server.Counts.Tunnels.Load() + plain.Load(); n != 0 {
		t.Errorf("%d tunnels and requests went out", n)
	}
	if resp, _ := w.send(w.client(true), "anna", "bob"); resp.StatusCode != 200 {
		t.Errorf("a governed host: %s", resp.Status)
	}
	if resp := w.raw(t, "GET http://chat.example/x HTTP/1.1\r\nHost: chat.example\r\n\r\n"); resp.StatusCode != 200 {
		t.Errorf("a governed host, plainly: %s", resp.Status)
	}
	if resp := w.raw(t, "GET http://quotagate.internal/ HTTP/1.1\r\nHost: quotagate.internal\r\n\r\n"); resp.StatusCode != 200 {
		t.Errorf("the set-up page: %s", resp.Status)
	}
}

func TestRulesThatCloseTheEgressEndTheTunnels(t *testing.T) {
	w := newWorld(t, five)
	tunnel := w.open(t, "other.example:443")
	governed := w.connect(t, "chat.example")
	w.set.Store(loadRules(t, five+"egress: governed-only\n"))
	w.server.CloseNamedTunnels()
	if _, err := tunnel.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the tunnel still stands: %v", err)
	}
	fmt.Fprintf(governed, "GET /x HTTP/1.1\r\nHost: chat.example\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(governed), nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("a governed connection was closed too: %v", err)
	}

	// What the rules stop to name is closed at its next request.
	w.set.Store(mustLoad(t, strings.ReplaceAll(chat, "chat.example", "news.example")+"egress: governed-only\n"))
	fmt.Fprintf(governed, "GET /x HTTP/1.1\r\nHost: chat.example\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(governed), nil); err != nil || resp.StatusCode != 403 {
		t.Errorf("a host that no rule names any more: %v %v", resp, err)
	}
}

// A tunnel that was granted before the rules closed the egress, and was not yet
// among those that CloseNamedTunnels looks at.
func TestATunnelThatIsBeingOpenedMeetsTheNewRules(t *testing.T) {
	var closes closing
	w := newWorld(t, five, guarded(9, func(g *proxy.Guard) { g.Rates = &closes }))
	closes.do = func() { w.set.Store(loadRules(t, five+"egress: governed-only\n")) }
	resp := w.raw(t, "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n")
	if resp.StatusCode != 403 || resp.Header.Get("Quotagate-Error") != "egress" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if n := w.server.Counts.Tunnels.Load(); n != 0 {
		t.Errorf("%d tunnels", n)
	}
}

// closing rates do something when they are asked.
type closing struct{ do func() }

func (c *closing) Take(context.Context, ratelimit.Rate, int64) (time.Duration, bool, error) {
	c.do()
	return 0, false, nil
}

// open opens a tunnel.
func (w *world) open(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", addr, addr)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("CONNECT %s: %v %v", addr, resp, err)
	}
	return conn
}
