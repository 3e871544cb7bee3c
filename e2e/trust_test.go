package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// This file shows the certificates to the clients that people use: they take
// every leaf that the proxy makes, and none that somebody else makes with its
// stolen key for a host that the rules do not name.

// The hosts of the table: one written out, below a wildcard, one with an IDNA
// name, and one too long for a common name.
var (
	exactHost   = "api.example.com"
	wildHost    = "team.wild.example"
	idnaHost    = "xn--bcher-kva.example"
	longHost    = strings.Repeat("a", 60) + ".wild.example"
	insideHosts = []string{exactHost, wildHost, idnaHost, longHost}
)

const trustRules = `
version: 1
services:
  acme:
    hosts: [api.example.com, '*.wild.example', bücher.example]
messages:
  - name: acme.message
    match: {method: POST, path: /send}
    account: {bearer: true, secret: true}
`

// A visitor is a client that opens a URL through a proxy, trusting the CA in a
// file beside what it trusts anyhow. The error says what it did not like.
type visitor struct {
	name  string
	visit func(t *testing.T, proxy, ca, url string) error
	// says is in the error if the certificate was what it did not like.
	says string
	// slow ones are shown a part of the cases.
	slow bool
}

var visitors = []visitor{
	{"OpenSSL", visitOpenSSL, "permitted subtree violation|excluded subtree violation", false},
	{"curl", visitCurl, "permitted subtree violation|excluded subtree violation", false},
	{"Go", visitGo, "not permitted by any constraint|excluded by constraint", false},
	{"Node", visitNode, "permitted subtree violation|excluded subtree violation|PERMITTED_VIOLATION|EXCLUDED_VIOLATION", false},
	{"Python ssl", visitPython("ssl"), "permitted subtree violation|excluded subtree violation", false},
	{"Python requests", visitPython("requests"), "permitted subtree violation|excluded subtree violation", false},
	{"Python httpx", visitPython("httpx"), "permitted subtree violation|excluded subtree violation", false},
	{"Chromium", visitChromium, "ERR_CERT_", true},
}

func TestClientsTrustWhatTheProxySignsAndNothingElse(t *testing.T) {
	for _, constraints := range []string{"on", "off"} {
		t.Run("constraints "+constraints, func(t *testing.T) {
			s := newService(t)
			secure := s.serve(t, &tls.Config{Certificates: []tls.Certificate{s.authority.leaf(t, insideHosts...)}})
			var to []string
			for _, h := range insideHosts {
				to = append(to, h+":443="+secure)
			}
			g := start(t, s, setup{rules: trustRules, connectTo: strings.Join(to, ","), env: []string{"QUOTAGATE_NAME_CONSTRAINTS=" + constraints}})
			thief := newThief(t, g.data)
			for _, v := range visitors {
				t.Run(v.name, func(t *testing.T) {
					inside, outside := insideHosts, []string{"www.bank.example", "example.com", "wild.example.evil.test", "192.0.2.1"}
					if v.slow {
						inside, outside = []string{longHost}, []string{"example.com", "192.0.2.1"}
					}
					for _, host := range inside {
						if err := v.visit(t, "http://"+g.listen, g.ca, "https://"+host+"/"); err != nil {
							t.Errorf("%s, from the proxy: %v", host, err)
						}
					}
					for _, host := range outside {
						err := v.visit(t, "http://"+thief, g.ca, "https://"+host+"/")
						switch {
						case constraints == "off" && err != nil:
							// Without constraints it is taken, so it is the
							// constraints that are judged below.
							t.Errorf("%s, by the stolen key: %v", host, err)
						case constraints == "on" && err == nil:
							t.Errorf("%s, by the stolen key: taken", host)
						case constraints == "on" && !saysOneOf(err, v.says):
							t.Errorf("%s, by the stolen key: refused for another reason: %v", host, err)
						}
					}
					// The thief can do what the proxy can.
					if err := v.visit(t, "http://"+thief, g.ca, "https://"+exactHost+"/"); err != nil {
						t.Errorf("%s, by the stolen key: %v", exactHost, err)
					}
				})
			}
		})
	}
}

func saysOneOf(err error, words string) bool {
	return slices.ContainsFunc(strings.Split(words, "|"), func(w string) bool { return strings.Contains(err.Error(), w) })
}

// newThief is a proxy that answers for every host with the CA's key.
func newThief(t *testing.T, data string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(data, "ca.pem"), filepath.Join(data, "ca-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go steal(c, pair)
		}
	}()
	t.Cleanup(func() { l.Close(); <-served })
	return l.Addr().String()
}

// steal answers one CONNECT, and one request inside it.
func steal(c net.Conn, ca tls.Certificate) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil || r.Method != http.MethodConnect {
		return
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		return
	}
	io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	leaf, err := forge(ca, host)
	if err != nil {
		return
	}
	inside := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{leaf}})
	if _, err := http.ReadRequest(bufio.NewReader(inside)); err != nil {
		return
	}
	io.WriteString(inside, "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 18\r\nConnection: close\r\n\r\nthe service here\n\n")
	inside.Close()
}

// forge is a leaf as the proxy would make it, for any host.
func forge(ca tls.Certificate, host string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	n, err := rand.Int(rand.Reader, elliptic.P256().Params().N)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: n, Subject: pkix.Name{CommonName: host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(), ca.PrivateKey)
	return tls.Certificate{Certificate: append([][]byte{der}, ca.Certificate...), PrivateKey: key}, err
}

// says runs a client; it has visited if its output shows the service's answer.
func says(t *testing.T, ca string, env []string, input, name string, args ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Env = cleanEnv(env...)
	c.Stdin = strings.NewReader(input)
	c.WaitDelay = 5 * time.Second
	out, err := c.CombinedOutput()
	if bytes.Contains(out, []byte("the service here")) {
		return nil
	}
	return fmt.Errorf("%s: %v\n%s", name, err, out)
}

func visitOpenSSL(t *testing.T, proxy, ca, address string) error {
	need(t, "openssl")
	host := hostOf(t, address)
	args := []string{"s_client", "-proxy", strings.TrimPrefix(proxy, "http://"), "-connect", host + ":443", "-CAfile", ca,
		"-verify_return_error", "-x509_strict", "-quiet", "-ign_eof"}
	if net.ParseIP(host) != nil {
		args = append(args, "-verify_ip", host, "-noservername")
	} else {
		args = append(args, "-verify_hostname", host, "-servername", host)
	}
	return says(t, ca, nil, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n", "openssl", args...)
}

func visitCurl(t *testing.T, proxy, ca, address string) error {
	need(t, "curl")
	return says(t, ca, nil, "", "curl", "-q", "-sS", "-v", "--proxy", proxy, "--cacert", ca, address)
}

func visitGo(t *testing.T, proxy, ca, address string) error {
	client := wiring{proxy: proxy, ca: ca}.client(t, true)
	answer, err := client.Get(address)
	if err != nil {
		return err
	}
	answer.Body.Close()
	return nil
}

// nodeVisit is Node's own https, which knows no proxies, on a socket that a
// CONNECT has opened.
const nodeVisit = `
const [proxy, address] = process.argv.slice(1), url = new URL(address);
require('http').request({host: new URL(proxy).hostname, port: new URL(proxy).port, method: 'CONNECT', path: url.hostname + ':443'})
  .on('error', e => console.log(e)).on('connect', (_, socket) => {
    require('https').get(address, {socket, agent: false, servername: /^[0-9.]+$/.test(url.hostname) ? '' : url.hostname}, r => r.pipe(process.stdout))
      .on('error', e => { console.log(e); process.exit(1) });
  }).end();
`

func visitNode(t *testing.T, proxy, ca, address string) error {
	need(t, "node")
	return says(t, ca, []string{"NODE_EXTRA_CA_CERTS=" + ca}, "", "node", "-e", nodeVisit, proxy, address)
}

// pythonVisits are the three ways Python goes, each with its own defaults.
var pythonVisits = map[string]string{
	"ssl": `
import http.client, ssl, sys, urllib.parse
proxy, ca, url = sys.argv[1:]
p = urllib.parse.urlsplit(proxy)
context = ssl.create_default_context(cafile=ca)
context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
c = http.client.HTTPSConnection(p.hostname, p.port, context=context)
c.set_tunnel(urllib.parse.urlsplit(url).hostname, 443)
c.request("GET", "/")
print(c.getresponse().read().decode())
`,
	"requests": `
import requests, sys
proxy, ca, url = sys.argv[1:]
print(requests.get(url, proxies={"https": proxy}, verify=ca).text)
`,
	"httpx": `
import httpx, ssl, sys
proxy, ca, url = sys.argv[1:]
kind = "proxy" if "proxy" in httpx.Client.__init__.__kwdefaults__ else "proxies"
print(httpx.Client(verify=ssl.create_default_context(cafile=ca), **{kind: proxy}).get(url).text)
`,
}

func visitPython(module string) func(t *testing.T, proxy, ca, address string) error {
	return func(t *testing.T, proxy, ca, address string) error {
		return says(t, ca, nil, "", python(t, module), "-c", pythonVisits[module], proxy, ca, address)
	}
}

// visitChromium trusts the CA in a certificate database of a home directory
// that is made for the visit.
func visitChromium(t *testing.T, proxy, ca, address string) error {
	need(t, "chromium", "certutil")
	home := filepath.Join(t.TempDir(), "home")
	db := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(db, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-N", "--empty-password", "-d", "sql:" + db},
		{"-A", "-d", "sql:" + db, "-n", "quotagate", "-t", "C,,", "-i", ca},
	} {
		if out, err := exec.Command("certutil", args...).CombinedOutput(); err != nil {
			t.Fatalf("certutil %v: %v\n%s", args, err, out)
		}
	}
	return says(t, ca, []string{"HOME=" + home}, "", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-component-update", "--disable-background-networking", "--disable-sync",
		"--user-data-dir="+filepath.Join(home, "profile"), "--proxy-server="+proxy, "--dump-dom", address)
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Hostname()
}
