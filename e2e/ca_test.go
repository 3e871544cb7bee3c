package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// ruled are rules that name the hosts.
func ruled(hosts string) string {
	return strings.Replace(trustRules, "api.example.com, '*.wild.example', bücher.example", hosts, 1)
}

// caGate is a proxy whose services answer for all of the hosts.
func caGate(t *testing.T, rules string, env ...string) *gate {
	t.Helper()
	s := newService(t)
	secure := s.serve(t, &tls.Config{Certificates: []tls.Certificate{s.authority.leaf(t, "*.wild.example", exactHost, "new.example")}})
	var to []string
	for _, h := range []string{exactHost, wildHost, "new.example"} {
		to = append(to, h+":443="+secure)
	}
	return start(t, s, setup{rules: rules, connectTo: strings.Join(to, ","), env: env})
}

// connects opens a host through the proxy with Go's client, which trusts the
// certificates in PEM, and returns the error.
func (g *gate) connects(t *testing.T, host string, trusted string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trusted.pem")
	writeFile(t, file, trusted)
	return visitGo(t, "http://"+g.listen, file, "https://"+host+"/")
}

// TestOneCAFollowsAnotherWhileTheProxyRuns: who trusts both never notices, and
// the proxy needs no word.
func TestOneCAFollowsAnotherWhileTheProxyRuns(t *testing.T) {
	g := caGate(t, ruled("api.example.com"))
	old := g.verb(t, "ca", "export")
	g.verb(t, "ca", "rotate")
	both := g.verb(t, "ca", "export")
	next := strings.TrimPrefix(both, old)
	if next == both || strings.Count(both, "BEGIN CERTIFICATE") != 2 {
		t.Fatalf("export while both are trusted:\n%s", both)
	}
	for name, want := range map[string]int{"ca.pem": 2, "bundle.pem": strings.Count(g.verb(t, "ca", "export", "--bundle"), "BEGIN")} {
		if page := g.internal(t, name); strings.Count(page, "BEGIN CERTIFICATE") != want || !strings.Contains(page, next) {
			t.Errorf("the proxy's %s holds %d certificates, want %d", name, strings.Count(page, "BEGIN CERTIFICATE"), want)
		}
		if file, err := os.ReadFile(filepath.Join(g.data, name)); err != nil || !strings.Contains(string(file), next) {
			t.Errorf("%s in the data directory does not hold the next CA, %v", name, err)
		}
	}
	wantTrust := func(when string, trusts map[string]bool) {
		t.Helper()
		for pem, want := range trusts {
			if err := g.connects(t, exactHost, pem); (err == nil) != want {
				t.Errorf("%s: with %d certificates, the first %.40q: %v", when, strings.Count(pem, "BEGIN"), pem[40:], err)
			}
		}
	}
	wantTrust("before", map[string]bool{old: true, next: false, both: true})
	g.verb(t, "ca", "rotate", "--finish")
	wantTrust("after", map[string]bool{old: false, next: true, both: true})
	if now := g.verb(t, "ca", "export"); now != next {
		t.Errorf("export afterwards:\n%s", now)
	}
	eventually(t, 10*time.Second, "the log says that the CA changed", func() bool {
		return strings.Contains(g.out.String(), "the CA's files changed")
	})
}

// TestAHostOutsideTheCAIsRefusedAloud: the rules come to name a host that the
// CA may not sign for. Nothing goes there uncounted until another CA may.
func TestAHostOutsideTheCAIsRefusedAloud(t *testing.T) {
	g := caGate(t, ruled("api.example.com"))
	if err := g.connects(t, "new.example", poolText(t, g.service.authority.file)); err != nil {
		t.Fatalf("before any rule names it: %v", err)
	}
	writeFile(t, g.rulesFile, ruled("api.example.com, new.example"))
	const said = "the CA's name constraints leave out new.example"
	eventually(t, 20*time.Second, "the reload says which host is left out", func() bool {
		return strings.Contains(g.out.String(), said) && strings.Contains(g.out.String(), "quotagate ca rotate")
	})
	if check := g.verb(t, "check", g.rulesFile); !strings.Contains(check, said) || !strings.Contains(check, "quotagate ca rotate") {
		t.Errorf("check: %s", check)
	}
	status, word := g.connect(t, "new.example")
	if status != http.StatusServiceUnavailable || word != "authority" {
		t.Errorf("CONNECT: %d %q, want 503 authority", status, word)
	}
	g.verb(t, "ca", "rotate")
	if check := g.verb(t, "check", g.rulesFile); !strings.Contains(check, said) || !strings.Contains(check, "quotagate ca rotate --finish") {
		t.Errorf("check, while the next CA waits: %s", check)
	}
	g.verb(t, "ca", "rotate", "--cancel")
	g.verb(t, "ca", "rotate", "--now")
	if err := g.connects(t, "new.example", g.verb(t, "ca", "export")); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	if check := g.verb(t, "check", g.rulesFile); strings.Contains(check, said) {
		t.Errorf("check afterwards: %s", check)
	}
}

// TestMintingIsBoundedAndTellsTheClient floods the names below a wildcard.
func TestMintingIsBoundedAndTellsTheClient(t *testing.T) {
	const bound = 30
	g := caGate(t, ruled("api.example.com, '*.wild.example'"), fmt.Sprintf("QUOTAGATE_MINT_PER_MINUTE=%d", bound))
	trusted := g.verb(t, "ca", "export")
	for range 2 {
		if err := g.connects(t, wildHost, trusted); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	for n := range 2 * bound {
		switch status, word := g.connect(t, fmt.Sprintf("flood-%d.wild.example", n)); {
		case status == http.StatusServiceUnavailable && word == "mint":
			refused++
		case status != http.StatusOK:
			t.Fatalf("CONNECT: %d %q", status, word)
		}
	}
	if refused < bound/2 {
		t.Errorf("%d of %d names were refused, want at least %d", refused, 2*bound, bound/2)
	}
	// What is in use stays, and what a rule writes out is not kept waiting.
	for _, host := range []string{wildHost, exactHost} {
		if err := g.connects(t, host, trusted); err != nil {
			t.Errorf("%s after the flood: %v", host, err)
		}
	}
	_, metrics := g.get("/metrics")
	if want := fmt.Sprintf("quotagate_refused_total{bound=\"mint\"} %d\n", refused); !strings.Contains(metrics, want) {
		t.Errorf("no %q among the metrics", want)
	}
	if n := strings.Count(g.out.String(), "a connection was refused"); n != 1 {
		t.Errorf("%d lines in the log, want 1 a minute", n)
	}
}

// TestTheInterceptedSideSpeaksStrongTLSOnly: TLS 1.2 and 1.3, and none of the
// suites that Go calls insecure.
func TestTheInterceptedSideSpeaksStrongTLSOnly(t *testing.T) {
	g := caGate(t, ruled("api.example.com"))
	roots := poolOf(t, g.ca)
	type offer struct {
		name    string
		version uint16
		suites  []uint16
		want    bool
	}
	offers := []offer{
		{"TLS 1.0", tls.VersionTLS10, nil, false}, {"TLS 1.1", tls.VersionTLS11, nil, false},
		{"TLS 1.2", tls.VersionTLS12, nil, true}, {"TLS 1.3", tls.VersionTLS13, nil, true},
		{"a good suite", tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, true},
	}
	for _, s := range tls.InsecureCipherSuites() {
		offers = append(offers, offer{s.Name, tls.VersionTLS12, []uint16{s.ID}, false})
	}
	for _, o := range offers {
		conn := g.tunnel(t, exactHost)
		err := tls.Client(conn, &tls.Config{ServerName: exactHost, RootCAs: roots, MinVersion: o.version, MaxVersion: o.version, CipherSuites: o.suites}).Handshake()
		if (err == nil) != o.want {
			t.Errorf("%s: %v", o.name, err)
		}
		conn.Close()
	}
}

// TestNoOutputHoldsAKey looks for the CA's keys in all that quotagate prints,
// serves and logs.
func TestNoOutputHoldsAKey(t *testing.T) {
	g := caGate(t, ruled("api.example.com"))
	keys := needles(t, filepath.Join(g.data, "ca-key.pem"))
	var all bytes.Buffer
	note := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), binary(t), args...)
		cmd.Env = cleanEnv(append(g.env(), "HOME="+t.TempDir())...)
		out, _ := cmd.CombinedOutput() // some of them are to fail
		all.Write(out)
	}
	for _, args := range [][]string{
		{"ca", "show"}, {"ca", "show", "--json"}, {"ca", "show", "--spki"}, {"ca", "export"}, {"ca", "export", "--der"}, {"ca", "export", "--bundle"},
		{"ca", "install", "--nss"}, {"ca", "uninstall", "--nss"}, {"ca", "install", "--dry-run"}, {"env"}, {"check"}, {"ca", "rotate"}, {"ca", "show"},
	} {
		note(args...)
	}
	keys = append(keys, needles(t, filepath.Join(g.data, "ca-next-key.pem"))...)
	note("ca", "rotate", "--finish")
	for _, name := range []string{"", "ca.pem", "bundle.pem", "ca-key.pem"} {
		all.WriteString(g.internal(t, name))
	}
	for _, path := range []string{"/", "/metrics", "/api/v1/status", "/ca-key.pem"} {
		_, body := g.get(path)
		all.WriteString(body)
	}
	// Files that are not what they should be are told of without what is in
	// them.
	for name, spoil := range map[string]func(string) string{
		"the certificate": func(key string) string { return key },
		"half a key":      func(key string) string { return key[:len(key)/2] },
	} {
		key, err := os.ReadFile(filepath.Join(g.data, "ca-key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "ca.pem"), spoil(string(key)))
		if err := os.WriteFile(filepath.Join(dir, "ca-key.pem"), []byte(spoil(string(key))), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Logf("with %s in place of both files", name)
		note("ca", "show", "--data", dir)
		note("run", "--data", dir)
	}
	all.WriteString(g.out.String())
	for _, n := range append(keys, []byte("PRIVATE KEY")) {
		if bytes.Contains(all.Bytes(), n) {
			t.Fatalf("a key was printed (%d bytes of it)", len(n))
		}
	}
}

// needles are the spellings of a key that must be found nowhere: its lines,
// its DER, and the secret number by itself. A line of the public key alone is
// none: it stands in the certificate, and sometimes at the same place of a line.
func needles(t *testing.T, file string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	all := [][]byte{block.Bytes, secret, []byte(hex.EncodeToString(secret)), []byte(base64.StdEncoding.EncodeToString(secret))}
	from := bytes.Index(block.Bytes, secret)
	if from < 0 {
		t.Fatal("the secret number is not in the key's DER")
	}
	const perLine = 48 // bytes of DER (RFC 7468, 2)
	lines := bytes.Split(text, []byte("\n"))[1:]
	for i := from / perLine; i <= (from+len(secret)-1)/perLine; i++ {
		all = append(all, bytes.TrimSpace(lines[i]))
	}
	return all
}

// internal is a file of the proxy's own host, fetched through it.
func (g *gate) internal(t *testing.T, name string) string {
	t.Helper()
	a := do(wiring{proxy: "http://" + g.listen, ca: g.ca}.client(t, true), encode(t, request{Method: "GET", URL: "http://quotagate.internal/" + name}))
	if a.Error != "" {
		t.Fatalf("%s: %s", name, a.Error)
	}
	return a.Body
}

// connect asks for a tunnel to a host and returns the answer.
func (g *gate) connect(t *testing.T, host string) (status int, word string) {
	t.Helper()
	conn, answer := g.dial(t, host)
	conn.Close()
	return answer.StatusCode, answer.Header.Get("Quotagate-Error")
}

// tunnel is a tunnel to a host.
func (g *gate) tunnel(t *testing.T, host string) net.Conn {
	t.Helper()
	conn, answer := g.dial(t, host)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("CONNECT %s: %s", host, answer.Status)
	}
	return conn
}

func poolText(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// dial sends a CONNECT.
func (g *gate) dial(t *testing.T, host string) (net.Conn, *http.Response) {
	t.Helper()
	var d net.Dialer
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", g.listen)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", host, host)
	answer, err := http.ReadResponse(oneByte(conn), &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatalf("CONNECT %s: %v", host, err)
	}
	return conn, answer
}

// oneByte reads no further than the answer to a CONNECT: what follows is the
// tunnel's.
func oneByte(conn net.Conn) *bufio.Reader { return bufio.NewReaderSize(iotest.OneByteReader(conn), 16) }
