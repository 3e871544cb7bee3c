package proxy_test

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"quotagate/proxy"
)

// named gives a world's proxy a pseudonym, and a parent at address.
func named(t *testing.T, name, address string, own func() []netip.AddrPort) option {
	return func(w *world, c *proxy.Config, e *proxy.Enforcer) {
		parent, err := proxy.NewParent(address, nil)
		if err != nil {
			t.Fatal(err)
		}
		d := &proxy.Dialer{Parent: parent, Pseudonym: name, Own: own}
		c.Dial, c.PortAllowed, c.Pseudonym = d.DialContext, d.PortAllowed, name
		e.Next.(*http.Transport).DialContext = d.DialContext
	}
}

// A relay is a port that leads wherever it is told to.
type relay struct {
	addr  string
	to    atomic.Pointer[string]
	conns atomic.Int64
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &relay{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.conns.Add(1)
			go func() {
				defer c.Close()
				to, err := net.Dial("tcp", *r.to.Load())
				if err != nil {
					return
				}
				defer to.Close()
				go func() { io.Copy(to, c); to.Close() }()
				io.Copy(c, to)
			}()
		}
	}()
	return r
}

// ways are a message and requests of every form through a proxy.
func (w *world) ways(t *testing.T, want int, word string) {
	t.Helper()
	resp, body := w.send(w.client(true), "anna", "bob")
	if resp.StatusCode != want || resp.Header.Get("Quotagate-Error") != word {
		t.Errorf("a message: %s %q %s", resp.Status, resp.Header.Get("Quotagate-Error"), body)
	}
	for _, target := range []string{"CONNECT other.example:443", "GET http://other.example/", "GET http://chat.example/"} {
		if resp := w.raw(t, target+" HTTP/1.1\r\nHost: "+strings.Trim(strings.TrimPrefix(strings.Fields(target)[1], "http://"), "/")+"\r\n\r\n"); resp.StatusCode != want {
			t.Errorf("%s: %s", target, resp.Status)
		}
	}
	w.next()
	if n := w.used("chat.day"); n != 0 {
		t.Errorf("%d counted", n)
	}
}

func TestAParentThatLeadsBackIsNoticed(t *testing.T) {
	back := newRelay(t)
	w := newWorld(t, five, named(t, "us", "http://"+back.addr, nil))
	back.to.Store(&w.addr)
	w.ways(t, http.StatusLoopDetected, "loop")
	if n := w.server.Counts.Loops.Load(); n != 4 || back.conns.Load() != 4 {
		t.Errorf("%d noticed, %d connections came back, want 4", n, back.conns.Load())
	}
}

// running waits until a world's proxy serves, before another world counts what
// it must not leave behind.
func (w *world) running(t *testing.T) {
	t.Helper()
	w.raw(t, "GET http://quotagate.internal/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	w.connect(t, "chat.example").Close()
}

func TestACircleOfTwoProxiesEnds(t *testing.T) {
	back := newRelay(t)
	second := newWorld(t, five, named(t, "second", "http://"+back.addr, nil))
	second.running(t)
	first := newWorld(t, "limits: []\n", named(t, "first", "http://"+second.addr, nil), func(w *world, _ *proxy.Config, _ *proxy.Enforcer) {
		w.set.Store(mustLoad(t, strings.ReplaceAll(chat, "chat.example", "news.example"))) // the two govern different hosts
	})
	back.to.Store(&first.addr)
	for _, target := range []string{"CONNECT other.example:443", "GET http://other.example/"} {
		if resp := first.raw(t, target+" HTTP/1.1\r\nHost: other.example\r\n\r\n"); resp.StatusCode != http.StatusLoopDetected {
			t.Errorf("%s: %s", target, resp.Status)
		}
	}
	if n := back.conns.Load(); n != 2 {
		t.Errorf("%d connections came around, want 2", n)
	}
}

func TestAParentThatIsOurselvesIsNotDialled(t *testing.T) {
	front := newRelay(t) // stands for our listener
	w := newWorld(t, five, named(t, "us", "http://"+front.addr, func() []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort(front.addr)} }))
	w.ways(t, http.StatusLoopDetected, "loop")
	if n := front.conns.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestQuotagateBehindQuotagate(t *testing.T) {
	far := newWorld(t, five)
	far.running(t)
	near := newWorld(t, five, named(t, "near", "http://"+far.addr, nil), func(_ *world, _ *proxy.Config, e *proxy.Enforcer) {
		e.Next.(*http.Transport).TLSClientConfig = proxy.UpstreamTLS(far.roots)
	})
	t.Cleanup(far.enforcer.Next.(*http.Transport).CloseIdleConnections)
	if resp, body := near.send(near.client(true), "anna", "bob"); resp.StatusCode != 200 {
		t.Fatalf("%s %s\n%s%s", resp.Status, body, near.log, far.log)
	}
	near.next()
	far.next()
	if near.used("chat.day") != 1 || far.used("chat.day") != 1 || far.service.messages.Load() != 1 {
		t.Errorf("%d and %d counted, the service saw %d", near.used("chat.day"), far.used("chat.day"), far.service.messages.Load())
	}
}

func TestServicesAreSentNoVia(t *testing.T) {
	w := newWorld(t, five, func(_ *world, c *proxy.Config, _ *proxy.Enforcer) { c.Pseudonym = "us" })
	var seen atomic.Pointer[http.Header]
	w.service.respond(func(_ http.ResponseWriter, r *http.Request) { h := r.Header.Clone(); seen.Store(&h) })
	w.send(w.client(false), "anna", "bob")
	if h := *seen.Load(); h["Via"] != nil || h["X-Forwarded-For"] != nil || h["Forwarded"] != nil {
		t.Errorf("the service was sent %v", h)
	}
	for via, status := range map[string]int{
		"1.1 us": 508, "HTTP/2 us (quotagate)": 508, "1.0 fred, 1.1 us": 508, "1.0 us, 1.1 fred": 508,
		"1.1 usual": 200, "1.1 fred (us)": 200, "us": 200, "1.1": 200, ",": 200,
	} {
		conn := w.connect(t, "chat.example")
		io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: chat.example\r\nVia: "+via+"\r\n\r\n")
		if line := firstLine(t, conn); !strings.Contains(line, map[int]string{200: " 200 ", 508: " 508 "}[status]) {
			t.Errorf("Via: %s: %s, want %d", via, line, status)
		}
	}
}
