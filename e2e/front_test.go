package e2e

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pair writes a certificate for a name and its key as PEM files.
func (a *authority) pair(t *testing.T, usage x509.ExtKeyUsage, name string) (cert, key string) {
	t.Helper()
	leaf := a.leafFor(t, usage, name)
	der, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeFile(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]})))
	writeFile(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	return cert, key
}

// TestTheProxysPortSpeaksTLS: with a certificate on its own port, the proxy
// serves curl over https, and takes a certificate of a client or a password.
func TestTheProxysPortSpeaksTLS(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	s := newService(t)
	ours, strangers := newAuthority(t, "the house"), newAuthority(t, "a stranger")
	cert, key := ours.pair(t, x509.ExtKeyUsageServerAuth, "localhost")
	anna, annasKey := ours.pair(t, x509.ExtKeyUsageClientAuth, "anna")
	other, othersKey := strangers.pair(t, x509.ExtKeyUsageClientAuth, "anna")
	users := filepath.Join(t.TempDir(), "users")
	add := exec.Command(binary(t), "user", "add", "bert")
	add.Env = cleanEnv("QUOTAGATE_PROXY_USERS=" + users)
	add.Stdin = strings.NewReader("sesame\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("user add: %v\n%s", err, out)
	}
	g := start(t, s, setup{
		rules: rulesWith(listed("anna"), limits(`{name: two-a-day, on: linkedin.message, allow: 2, per: day}`)),
		env: []string{"QUOTAGATE_LISTEN_CERT=" + cert, "QUOTAGATE_LISTEN_KEY=" + key,
			"QUOTAGATE_CLIENT_CA=" + ours.file, "QUOTAGATE_PROXY_USERS=" + users},
	})
	port := g.listen[strings.LastIndexByte(g.listen, ':')+1:]
	r := encode(t, viaVoyager.nth("anna", 1))
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	send := func(extra ...string) string {
		t.Helper()
		args := []string{"-sS", "-q", "-o", os.DevNull, "-w", "%{http_connect} %{http_code}", "-X", r.Method, "--cacert", g.ca,
			"--proxy", "https://localhost:" + port, "--proxy-cacert", ours.file, "--data-binary", body.String()}
		for name := range r.Header {
			args = append(args, "-H", name+": "+r.Header.Get(name))
		}
		c := exec.Command("curl", append(append(args, extra...), r.URL.String())...)
		c.Env = cleanEnv()
		out, _ := c.Output() // its words tell
		return string(out)
	}
	for _, c := range []struct {
		name string
		args []string
		want string // the status of the CONNECT, and of the message
	}{
		{"nobody", nil, "407 000"},
		{"a certificate of ours", []string{"--proxy-cert", anna, "--proxy-key", annasKey}, "200 200"},
		{"a stranger's certificate", []string{"--proxy-cert", other, "--proxy-key", othersKey}, "000 000"},
		{"a wrong password", []string{"--proxy-user", "bert:simsim"}, "407 000"},
		{"a password", []string{"--proxy-user", "bert:sesame"}, "200 200"},
		{"the third message", []string{"--proxy-user", "bert:sesame"}, "200 429"},
	} {
		if got := send(c.args...); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if n := len(s.from("anna")); n != 2 {
		t.Errorf("%d messages arrived, want 2", n)
	}
	var by []string
	for _, d := range g.decisions(t) {
		by = append(by, d.ProxyUser)
	}
	if got := strings.Join(by, " "); got != "anna bert bert" {
		t.Errorf("the decision log names %s", got)
	}
	if out := g.out.String(); strings.Contains(out, "sesame") || strings.Contains(out, "simsim") {
		t.Errorf("a password was printed: %s", out)
	}
	// Plain HTTP on that port is no way in.
	if answer, err := http.Get("http://" + g.listen + "/"); err == nil {
		answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("plain HTTP: %s", answer.Status)
		}
	}
}
