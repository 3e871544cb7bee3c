package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quotagate/proxy"
)

const five = "limits: [{name: chat.day, on: chat.message, allow: 5, per: day}]\n"

func TestWhatIsOverTheLimitDoesNotLeave(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", h2), func(t *testing.T) {
			w := newWorld(t, five)
			c := w.client(h2)
			for i := range 5 {
				resp, body := w.send(c, "anna", "bob")
				if resp.StatusCode != 200 || body != `{"ok":true}` {
					t.Fatalf("message %d: %s %s", i+1, resp.Status, body)
				}
				if got := resp.Header.Get("Quotagate-Decision"); got != "forward" {
					t.Errorf("message %d: Quotagate-Decision %q", i+1, got)
				}
				if got, want := resp.Header.Get("RateLimit"), fmt.Sprintf(`"chat.day";r=%d;t=`, 4-i); !strings.HasPrefix(got, want) {
					t.Errorf("message %d: RateLimit %q, want %q…", i+1, got, want)
				}
				if (resp.ProtoMajor == 2) != h2 {
					t.Errorf("message %d went by %s", i+1, resp.Proto)
				}
			}
			resp, body := w.send(c, "anna", "bob")
			if resp.StatusCode != 429 || resp.Header.Get("Quotagate-Decision") != "reject" || resp.Header.Get("Quotagate-Limit") != "chat.day" {
				t.Errorf("the sixth: %s %v %s", resp.Status, resp.Header, body)
			}
			if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || s < 1 || s > 86400+3600 {
				t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
			}
			if resp, _ := w.send(c, "bert", "bob"); resp.StatusCode != 200 {
				t.Errorf("another account: %s", resp.Status)
			}
			if n := w.service.messages.Load(); n != 6 {
				t.Errorf("the service saw %d messages, want 6", n)
			}
		})
	}
}

func TestTwoHundredClientsShareFiftyPlaces(t *testing.T) {
	w := newWorld(t, "limits: [{name: chat.day, on: chat.message, allow: 50, per: day}]\n")
	c := w.client(false)
	var wg sync.WaitGroup
	var sent, refused atomic.Int64
	for range 200 {
		wg.Go(func() {
			resp, err := c.Do(w.message(context.Background(), "anna", "bob"))
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			switch resp.StatusCode {
			case 200:
				sent.Add(1)
			case 429:
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if n := w.service.messages.Load(); n != 50 || sent.Load() != 50 || refused.Load() != 150 {
		t.Errorf("the service saw %d, clients were told %d sent and %d refused; want 50, 50, 150", n, sent.Load(), refused.Load())
	}
}

func TestAbsoluteFormIsGovernedAsConnectIs(t *testing.T) {
	w := newWorld(t, five)
	plain := newPlainService(t, w)
	for _, target := range []string{"https://chat.example/send", "http://chat.example/send"} {
		before := w.service.messages.Load() + plain.Load()
		resp := w.raw(t, "POST "+target+" HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer "+target+"\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"to\":\"anna\"}")
		if resp.StatusCode != 200 || resp.Header.Get("Quotagate-Decision") != "forward" {
			t.Errorf("%s: %s %v", target, resp.Status, resp.Header)
		}
		if n := w.service.messages.Load() + plain.Load() - before; n != 1 {
			t.Errorf("%s: the service saw %d messages", target, n)
		}
	}
}

// newPlainService answers for http://chat.example.
func newPlainService(t *testing.T, w *world) *atomic.Int64 {
	var n atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { n.Add(1) })}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	w.dialTo["chat.example:80"] = l.Addr().String()
	return &n
}

// raw writes bytes to the proxy and reads one answer.
func (w *world) raw(t *testing.T, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, request)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestHostsThatNoRuleNamesAreTunnelledUntouched(t *testing.T) {
	w := newWorld(t, five)
	c := w.client(false)
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = nil
	var seen *x509.Certificate
	_, err := c.Get("https://other.example/")
	var unknown *tls.CertificateVerificationError
	if err == nil {
		t.Fatal("a client without the service's authority got through: somebody else answered")
	}
	if !asError(err, &unknown) {
		t.Fatalf("not a matter of certificates: %v", err)
	}
	seen = unknown.UnverifiedCertificates[0]
	if seen.Issuer.CommonName != "test services" {
		t.Errorf("the certificate is from %q, so the connection was opened", seen.Issuer.CommonName)
	}
	if n := w.server.Counts.Tunnels.Load(); n != 1 {
		t.Errorf("%d tunnels", n)
	}
}

func TestAGovernedNameInsideAForeignTunnelIsClosed(t *testing.T) {
	w := newWorld(t, five)
	for _, name := range []string{"other.example:443", "127.0.0.1:443"} {
		w.dialTo["127.0.0.1:443"] = w.service.Listener.Addr().String()
		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", name, name)
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %v %v", name, resp, err)
		}
		err = tls.Client(conn, &tls.Config{ServerName: "chat.example", RootCAs: w.roots}).Handshake()
		if err == nil {
			t.Errorf("%s: the handshake for chat.example went through", name)
		}
	}
	if !strings.Contains(w.log.String(), "governed host inside") {
		t.Errorf("the log does not say why: %s", w.log)
	}
}

func TestHostThatIsNotTheConnectHostIs421(t *testing.T) {
	w := newWorld(t, five)
	conn := w.connect(t, "chat.example")
	io.WriteString(conn, "POST /send HTTP/1.1\r\nHost: other.example\r\nContent-Length: 0\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("%v %v", resp, err)
	}
	if n := w.service.messages.Load(); n != 0 {
		t.Errorf("the service saw %d messages", n)
	}
}

// connect opens an intercepted connection to host.
func (w *world) connect(t *testing.T, host string) *tls.Conn {
	t.Helper()
	raw, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(raw, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", host, host)
	line := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
	if _, err := io.ReadFull(raw, line); err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{ServerName: host, RootCAs: w.roots})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	return conn
}

// A writer that holds the first write back sends it together with the second.
type joinedWrites struct {
	net.Conn
	first []byte
}

func (j *joinedWrites) Write(p []byte) (int, error) {
	if j.first != nil {
		_, err := j.Conn.Write(append(j.first, p...))
		j.first = nil
		return len(p), err
	}
	return j.Conn.Write(p)
}

func TestAHelloInTheSegmentOfItsConnectIsNotLost(t *testing.T) {
	for _, host := range []string{"chat.example", "other.example"} {
		t.Run(host, func(t *testing.T) {
			w := newWorld(t, five)
			raw, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			raw.SetDeadline(time.Now().Add(10 * time.Second))
			joined := &joinedWrites{Conn: skipAnswer{raw, new(sync.Once)}, first: []byte("CONNECT " + host + ":443 HTTP/1.1\r\nHost: " + host + "\r\n\r\n")}
			pool := w.roots
			if host == "other.example" {
				pool = nil
			}
			err = tls.Client(joined, &tls.Config{ServerName: host, RootCAs: pool}).Handshake()
			var verify *tls.CertificateVerificationError
			if host == "chat.example" && err != nil || host == "other.example" && !asError(err, &verify) {
				t.Errorf("%s: %v", host, err)
			}
		})
	}
}

// skipAnswer reads past the proxy's answer to CONNECT.
type skipAnswer struct {
	net.Conn
	once *sync.Once
}

func (s skipAnswer) Read(p []byte) (n int, err error) {
	s.once.Do(func() {
		line := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
		_, err = io.ReadFull(s.Conn, line)
	})
	if err != nil {
		return 0, err
	}
	return s.Conn.Read(p)
}

func TestCredentialsAreAskedForAndNeverPassedOn(t *testing.T) {
	w := newWorld(t, five, func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Authenticate = func(user, password string) bool { return user == "anna" && password == "s3cret" }
	})
	var leaked atomic.Bool
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" {
			leaked.Store(true)
		}
	})
	c := w.client(false)
	if _, err := c.Do(w.message(context.Background(), "a", "b")); err == nil || !strings.Contains(err.Error(), "Proxy Authentication Required") {
		t.Errorf("without credentials: %v", err)
	}
	if resp := w.raw(t, "GET http://chat.example/ HTTP/1.1\r\nHost: chat.example\r\n\r\n"); resp.StatusCode != 407 || resp.Header.Get("Proxy-Authenticate") == "" {
		t.Errorf("absolute form without credentials: %s", resp.Status)
	}
	c.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: w.addr, User: url.UserPassword("anna", "s3cret")})
	if resp, _ := w.send(c, "a", "b"); resp.StatusCode != 200 {
		t.Errorf("with credentials: %s", resp.Status)
	}
	if r := w.next(); r.ProxyUser != "anna" {
		t.Errorf("the record names %q", r.ProxyUser)
	}
	if leaked.Load() {
		t.Error("the service saw the proxy's credentials")
	}
}

func TestAClientThatDoesNotTrustUsIsToldOf(t *testing.T) {
	w := newWorld(t, five)
	c := w.client(false)
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = x509.NewCertPool()
	if _, err := c.Do(w.message(context.Background(), "a", "b")); err == nil {
		t.Fatal("it went through")
	}
	eventually(t, "the log does not say so", func() bool {
		return strings.Contains(w.log.String(), "a client does not trust quotagate's certificate\" host=chat.example")
	})
	if !strings.Contains(w.log.String(), "quotagate exec") {
		t.Errorf("no way out in %s", w.log)
	}
}

func TestStreamsArriveAtOnce(t *testing.T) {
	w := newWorld(t, five)
	release := make(chan struct{})
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/x-ndjson")
		io.WriteString(rw, "one\n")
		rw.(http.Flusher).Flush()
		<-release
		io.WriteString(rw, "two\n")
	})
	for _, h2 := range []bool{false, true} {
		resp, err := w.client(h2).Get("https://chat.example/events")
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(resp.Body)
		if line, err := lines.ReadString('\n'); line != "one\n" || err != nil {
			t.Errorf("%q %v", line, err)
		}
		release <- struct{}{}
		if line, err := lines.ReadString('\n'); line != "two\n" || err != nil {
			t.Errorf("%q %v", line, err)
		}
		resp.Body.Close()
	}
}

func TestAWebSocketKeepsWhatCameWithItsRequest(t *testing.T) {
	w := newWorld(t, five)
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Connection", "Upgrade")
		rw.Header().Set("Upgrade", "websocket")
		rw.WriteHeader(http.StatusSwitchingProtocols)
		conn, brw, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		word := make([]byte, 5)
		io.ReadFull(brw, word)
		conn.Write(append([]byte("echo "), word...))
	})
	conn := w.connect(t, "chat.example")
	io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	if got, err := io.ReadAll(br); string(got) != "echo early" {
		t.Errorf("%q %v", got, err)
	}
}

func TestRulesThatNowNameAHostEndItsTunnels(t *testing.T) {
	w := newWorld(t, five)
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	w.set.Store(loadRulesWith(t, "other.example"))
	w.server.CloseNamedTunnels()
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the tunnel still stands: %v", err)
	}
}
