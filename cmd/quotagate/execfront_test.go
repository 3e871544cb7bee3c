package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quotagate/certs"
)

// A frontCert is a certificate for the proxy's own port that no system trusts.
type frontCert struct {
	names    []string
	self     bool // signed by itself; else by an authority
	rootless bool // the file has not that authority
	ended    bool
}

// write makes the files.
func (f frontCert) write(t *testing.T) (cert, key string) {
	t.Helper()
	begin := time.Now().Add(-48 * time.Hour)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the house"}, NotBefore: begin, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "proxy"}, NotBefore: begin, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if f.ended {
		leaf.NotAfter = time.Now().Add(-24 * time.Hour)
	}
	for _, name := range f.names {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	keys := [2]*ecdsa.PrivateKey{}
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	sign := func(c, parent *x509.Certificate, of, by *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &of.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	var chain []byte
	if f.self {
		chain = sign(leaf, leaf, keys[0], keys[0])
	} else {
		chain = sign(leaf, root, keys[0], keys[1])
		if !f.rootless {
			chain = append(chain, sign(root, root, keys[1], keys[1])...)
		}
	}
	private, err := x509.MarshalPKCS8PrivateKey(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "front.pem"), filepath.Join(dir, "front-key.pem")
	if err := errors.Join(os.WriteFile(cert, chain, 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// Programs come through a port whose certificate the system does not trust.
func TestExecTrustsTheProxysOwnPort(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]frontCert{
		"signed by itself":          {names: []string{"127.0.0.1"}, self: true},
		"of an authority":           {names: []string{"127.0.0.1"}},
		"the authority is not told": {names: []string{"127.0.0.1"}, rootless: true},
		"by name":                   {names: []string{"localhost"}},
	} {
		for _, running := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, twoADay)
				cert, key := f.write(t)
				s.env = append(s.env, "QUOTAGATE_LISTEN_CERT="+cert, "QUOTAGATE_LISTEN_KEY="+key)
				if running {
					s.serve(t)
				}
				r := s.run(t, append([]string{"exec", "--"}, s.posting()...)...)
				if r.code != exitOK || s.slack.messages.Load() != 2 {
					t.Errorf("exit %d, %d messages arrived, want 0 and 2: %s%s", r.code, s.slack.messages.Load(), r.out, r.stderr)
				}
				host := "127.0.0.1"
				if f.names[0] == "localhost" {
					host = "localhost"
				}
				text, err := os.ReadFile(cert)
				if err != nil {
					t.Fatal(err)
				}
				leaf := certificatesIn(text)[0]
				for kind, want := range map[string]string{"sh": "/roots-", "curl": "--proxy-cacert '" + s.data + "/roots-", "chromium": certs.SPKI(leaf)} {
					r := s.run(t, "env", "--for", kind)
					wantContains(t, "env --for "+kind, r.out.String(), "https://"+host+":", want)
				}
			})
		}
	}
}

func TestNodeComesThroughAPortWithTLS(t *testing.T) {
	t.Parallel()
	needProgram(t, "node")
	s := newStage(t, "{name: many, on: slack.message, allow: 100, per: 24h}")
	cert, key := frontCert{names: []string{"127.0.0.1"}, self: true}.write(t)
	s.env = append(s.env, "QUOTAGATE_LISTEN_CERT="+cert, "QUOTAGATE_LISTEN_KEY="+key)
	r := s.run(t, "exec", "--", "node", "--input-type=module", "-e", `
		import https from 'node:https';
		const url = 'https://slack.com/api/chat.postMessage';
		const init = { method: 'POST', headers: { Authorization: 'Bearer xoxb-node', 'Content-Type': 'application/json' } };
		const body = JSON.stringify({ channel: 'C1', text: 'hi' });
		console.log('fetch', (await fetch(url, { ...init, body })).headers.get('quotagate-decision'));
		await new Promise((resolve, reject) => {
			https.request(url, { ...init, agent: new https.Agent() }, (answer) => {
				console.log('agent', answer.headers['quotagate-decision']);
				answer.resume().on('end', resolve);
			}).on('error', reject).end(body);
		});
	`)
	wantContains(t, "standard output", r.out.String(), "fetch forward\n", "agent forward\n")
	if got := s.slack.messages.Load(); r.code != exitOK || got != 2 {
		t.Errorf("exit %d, %d messages arrived, want 2: %s", r.code, got, r.stderr)
	}
}

// Where it cannot be trusted, a sentence says so, and what to do.
func TestWhyTheProxysOwnPortIsNotTrusted(t *testing.T) {
	for _, c := range []struct {
		name       string
		cert       frontCert
		told       bool // where its file is
		wantClient bool
		say, hint  string
	}{
		{"a stranger's", frontCert{names: []string{"127.0.0.1"}}, false, false, "is of an authority that this machine does not trust", "SSL_CERT_FILE"},
		{"for another name", frontCert{names: []string{"proxy.example", "192.0.2.1"}}, true, false, "is for proxy.example, 192.0.2.1, and not for 127.0.0.1", "--admin NAME:PORT"},
		{"ended", frontCert{names: []string{"127.0.0.1"}, ended: true}, true, false, "does not hold: x509: certificate has expired", "QUOTAGATE_LISTEN_CERT names its file"},
		{"a client needs one too", frontCert{names: []string{"127.0.0.1"}}, true, true, "wants a certificate from its clients", "--as NAME:PASSWORD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert, key := c.cert.write(t)
			pair, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ca") }))
			front.Config.ErrorLog = log.New(io.Discard, "", 0)
			front.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
			if c.wantClient {
				front.TLS.ClientAuth = tls.RequireAnyClientCert
			}
			front.StartTLS()
			defer front.Close()
			w, err := newWiring(front.Listener.Addr().String(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			w.proxy = &url.URL{Scheme: "https", Host: w.listen}
			if c.told {
				w.trustFront(cert)
			}
			_, err = w.fetch(t.Context(), "ca.pem")
			var h hintedError
			if !errors.As(err, &h) || !strings.Contains(err.Error(), c.say) || !strings.Contains(h.hint, c.hint) {
				t.Errorf("%v\nhint: %s", err, h.hint)
			}
		})
	}
}
