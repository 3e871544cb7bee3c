package proxy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quotagate/certs"
	"quotagate/proxy"
	"quotagate/ratelimit"
	"quotagate/rules"
)

// chat is a service with one kind of message, as a pack would describe it.
const chat = `
version: 1
services:
  chat:
    hosts: [chat.example]
    account: [{bearer: true, secret: true}]
messages:
  - name: chat.message
    match: {host: chat.example, method: POST, path: /send}
    recipients: [{json: $.to}]
    text: {json: $.text}
    outcome:
      sent: {status: 2xx}
      not_sent: {status: 422}
defaults: {wait: 0s}
`

// A world is a proxy, the services behind it, and what they saw.
type world struct {
	t        *testing.T
	server   *proxy.Server
	enforcer *proxy.Enforcer
	ledger   ratelimit.Store
	set      atomic.Pointer[rules.Set]
	addr     string // of the proxy
	roots    *x509.CertPool
	// upstreamRoots is what a client of the service itself would trust.
	upstreamRoots *x509.CertPool
	service       *service
	dialTo        map[string]string
	mu            sync.Mutex
	records       []proxy.Record
	recorded      chan proxy.Record
	log           *syncBuffer
	drain         chan struct{}
	prepare       func(*proxy.Server) // before it serves
}

// service is an upstream that counts what reaches it.
type service struct {
	*httptest.Server
	messages atomic.Int64
	handler  atomic.Pointer[http.HandlerFunc]
}

func (s *service) respond(f http.HandlerFunc) { s.handler.Store(&f) }

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type option func(*world, *proxy.Config, *proxy.Enforcer)

func hash(kind, value string) string { return "h(" + kind + "=" + value + ")" }

func loadRules(t *testing.T, limits string) *rules.Set {
	t.Helper()
	return mustLoad(t, chat+limits)
}

// newWorld starts a proxy with these limits in front of a counting service.
func newWorld(t *testing.T, limits string, options ...option) *world {
	t.Helper()
	checkLeaks(t)
	w := &world{t: t, dialTo: map[string]string{}, recorded: make(chan proxy.Record, 1000), log: &syncBuffer{}, drain: make(chan struct{})}
	w.set.Store(loadRules(t, limits))
	w.ledger = ratelimit.NewMemory(ratelimit.Options{})

	ca := newTestCA(t)
	w.upstreamRoots = ca.pool()
	w.service = &service{}
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, `{"ok":true}`) })
	w.service.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/send" {
			w.service.messages.Add(1)
		}
		(*w.service.handler.Load())(rw, r)
	}))
	w.service.EnableHTTP2 = true
	w.service.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "chat.example", "other.example")}}
	w.service.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that end handshakes are on purpose
	w.service.StartTLS()
	t.Cleanup(w.service.Close)
	w.dialTo["chat.example:443"] = w.service.Listener.Addr().String()
	w.dialTo["other.example:443"] = w.service.Listener.Addr().String()

	authority, err := certs.Open(t.TempDir(), certs.Options{Allow: func(h string) bool { return w.set.Load().Names(h) }})
	if err != nil {
		t.Fatal(err)
	}
	w.roots = x509.NewCertPool()
	w.roots.AppendCertsFromPEM(authority.PEM())

	dialer := &proxy.Dialer{AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, ConnectTo: w.dialTo}
	transport := &http.Transport{
		DialContext:        dialer.DialContext,
		TLSClientConfig:    &tls.Config{RootCAs: ca.pool()},
		ForceAttemptHTTP2:  true,
		DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	w.enforcer = &proxy.Enforcer{
		Rules: w.set.Load, Ledger: w.ledger, Next: transport, Draining: w.drain,
		Record: func(r *proxy.Record) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.records = append(w.records, *r)
			w.recorded <- *r
		},
	}
	cfg := proxy.Config{
		Rules: w.set.Load, Certificates: authority, Transport: w.enforcer,
		Dial: dialer.DialContext, PortAllowed: dialer.PortAllowed,
		Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	for _, o := range options {
		o(w, &cfg, w.enforcer)
	}
	w.server = proxy.New(cfg)
	if w.prepare != nil {
		w.prepare(w.server)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(ctx, l, time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := w.ledger.Close(); err != nil {
			t.Errorf("close the ledger: %v", err)
		}
	})
	return w
}

// client goes through the proxy and trusts its authority.
func (w *world) client(http2 bool) *http.Client {
	proxyURL := &url.URL{Scheme: "http", Host: w.addr}
	tr := &http.Transport{Proxy: http.ProxyURL(proxyURL), TLSClientConfig: &tls.Config{RootCAs: w.roots}, ForceAttemptHTTP2: http2}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// send posts one message as account, and returns the answer with its body read.
func (w *world) send(c *http.Client, account, to string) (*http.Response, string) {
	w.t.Helper()
	resp, err := c.Do(w.message(context.Background(), account, to))
	if err != nil {
		w.t.Fatalf("send: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("read the answer: %v", err)
	}
	return resp, string(body)
}

func (w *world) message(ctx context.Context, account, to string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, "POST", "https://chat.example/send", strings.NewReader(`{"to":"`+to+`","text":"hello"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+account)
	return req
}

// next waits for the next record.
func (w *world) next() proxy.Record {
	w.t.Helper()
	select {
	case r := <-w.recorded:
		return r
	case <-time.After(30 * time.Second):
		w.t.Fatal("no record came")
		panic("unreachable")
	}
}

// used asks the ledger what the account of the latest record has used.
func (w *world) used(limit string) int64 {
	w.t.Helper()
	ctx := context.Background()
	w.mu.Lock()
	name := w.records[len(w.records)-1].Account
	w.mu.Unlock()
	d, err := w.ledger.Reserve(ctx, ratelimit.Request{ID: "peek", Account: name, Claims: w.set.Load().AccountClaims(name, time.Now()), Dry: true})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, u := range d.Uses {
		if u.Limit == limit {
			return u.Used
		}
	}
	w.t.Fatalf("account %s has no limit %s: %+v", name, limit, d.Uses)
	return 0
}

// testCA signs for services, as a public authority would.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newTestCA(t *testing.T) *testCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test services"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &testCA{cert, key}
}

func (ca *testCA) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	return p
}

func (ca *testCA) issue(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	return ca.issueFor(t, x509.ExtKeyUsageServerAuth, names...)
}

func (ca *testCA) issueFor(t *testing.T, use x509.ExtKeyUsage, names ...string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{use},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &ca.key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: ca.key}
}

// checkLeaks fails the test if it leaves goroutines or descriptors behind. It
// must be the first to register a cleanup.
func checkLeaks(t *testing.T) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	t.Cleanup(func() {
		deadline := time.Now().Add(20 * time.Second)
		for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
			runtime.GC() // the runtime keeps the pipes of splices until then
			g, f := runtime.NumGoroutine(), openFiles(t)
			if g <= goroutines && f <= files {
				tick.Stop()
				return
			}
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<20)
				t.Errorf("left behind: %d goroutines (was %d), %d descriptors (was %d)\n%s",
					g, goroutines, f, files, buf[:runtime.Stack(buf, true)])
				return
			}
		}
	})
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) { // not Linux: goroutines alone are checked
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
