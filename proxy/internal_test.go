package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"quotagate/certs"
	"quotagate/proxy"
)

// asInternal answers with who asks and how.
func asInternal(w *world, c *proxy.Config, _ *proxy.Enforcer) {
	authority, err := certs.Open(w.t.TempDir(), certs.Options{Allow: func(h string) bool { return h == proxy.InternalHost || w.set.Load().Names(h) }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.roots.AppendCertsFromPEM(authority.PEM())
	c.Certificates = authority
	c.Internal = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "%s tls=%t addr=%t", r.URL.Path, r.TLS != nil, proxy.ClientOf(r.Context()).Addr == r.RemoteAddr)
	})
}

// TestTheProxysOwnHostAnswersByTLSToo: a client that trusts the authority gets
// an answer, and one that does not is no news for the log.
func TestTheProxysOwnHostAnswersByTLSToo(t *testing.T) {
	w := newWorld(t, five, asInternal)
	for _, h2 := range []bool{false, true} {
		resp, err := w.client(h2).Get("https://quotagate.internal/ok")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != "/ok tls=true addr=true" || (resp.ProtoMajor == 2) != h2 {
			t.Errorf("HTTP/2 %t: %s %q, %v", h2, resp.Proto, body, err)
		}
	}
	// Node's undici opens a tunnel for http too.
	conn, br := w.dial(t)
	if resp := w.rawKept(t, conn, br, "CONNECT quotagate.internal:80 HTTP/1.1\r\nHost: quotagate.internal:80\r\n\r\n"); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	io.WriteString(conn, "GET /plain HTTP/1.1\r\nHost: quotagate.internal\r\n\r\n")
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "/plain tls=false addr=true" {
		t.Errorf("by CONNECT to port 80: %q, %v", body, err)
	}
	c := w.client(false)
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
	if _, err := c.Get("https://quotagate.internal/ok"); err == nil {
		t.Error("a client that trusts nobody got an answer")
	}
	if _, err := c.Do(w.message(context.Background(), "a", "b")); err == nil {
		t.Error("a message went through")
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(10 * time.Second); !strings.Contains(w.log.String(), "host=chat.example"); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the log does not say who trusts nobody: %s", w.log)
		}
	}
	if strings.Contains(w.log.String(), proxy.InternalHost) {
		t.Errorf("the log has news of the proxy's own host: %s", w.log)
	}
}

// TestVisitsAreWhatIsNoMessage: requests and failed handshakes at hosts that
// the rules name, and nothing of which there is a record.
func TestVisitsAreWhatIsNoMessage(t *testing.T) {
	visits := make(chan proxy.Visit, 10)
	w := newWorld(t, five, func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Visited = func(v proxy.Visit) { visits <- v }
	})
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			rw.WriteHeader(http.StatusNotFound)
		}
	})
	wantVisit := func(status int) {
		t.Helper()
		select {
		case v := <-visits:
			if v.Host != "chat.example" || v.Status != status || v.Client.Addr == "" {
				t.Errorf("visit %+v, want one with status %d", v, status)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no visit with status %d", status)
		}
	}
	c := w.client(false)
	if resp, _ := w.send(c, "a", "b"); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	tunnelled := w.client(false) // no rule names it
	tunnelled.Transport.(*http.Transport).TLSClientConfig.RootCAs = w.upstreamRoots
	w.get(tunnelled, "https://other.example/")
	w.get(c, "http://other.example/")
	w.get(c, "https://chat.example/none")
	wantVisit(http.StatusNotFound)
	w.service.CloseClientConnections()
	w.service.Listener.Close()
	w.get(w.client(false), "https://chat.example/")
	wantVisit(http.StatusBadGateway)
	c.CloseIdleConnections()
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = x509.NewCertPool()
	if _, err := c.Do(w.message(context.Background(), "a", "b")); err == nil {
		t.Fatal("it went through")
	}
	wantVisit(0)
	if len(visits) > 0 {
		t.Errorf("one more visit: %+v", <-visits)
	}
}

func (w *world) get(c *http.Client, url string) {
	w.t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
}
