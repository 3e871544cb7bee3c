package proxy_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"quotagate/proxy"
)

// An issued is a certificate with its key and what it was issued by.
type issued struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// A recipe changes a template of a certificate.
type recipe func(*x509.Certificate)

// sign makes a certificate for key, or for a new P-256 one.
func sign(t *testing.T, by *issued, key crypto.Signer, changes ...recipe) *issued {
	t.Helper()
	if key == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "chat.example"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		DNSNames: []string{"chat.example"}, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, change := range changes {
		change(template)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, key}
}

func authority(name string, changes ...recipe) []recipe {
	return append([]recipe{func(c *x509.Certificate) {
		c.Subject, c.DNSNames, c.ExtKeyUsage = pkix.Name{CommonName: name}, nil, nil
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	}}, changes...)
}

func (i *issued) serving(chain ...*issued) *tls.Config {
	c := tls.Certificate{PrivateKey: i.key, Certificate: [][]byte{i.cert.Raw}}
	for _, above := range chain {
		c.Certificate = append(c.Certificate, above.cert.Raw)
	}
	return &tls.Config{Certificates: []tls.Certificate{c}}
}

// TestAServiceIsAlwaysVerified is badssl.com's list (domains/cert, protocol,
// cipher-suite, upstream-tls as of 2026-11): what is wrong with a service is
// told, and nobody is charged. Revoked is not on it: that is not looked up.
func TestAServiceIsAlwaysVerified(t *testing.T) {
	root := sign(t, nil, nil, authority("root")...)
	middle := sign(t, root, nil, authority("middle")...)
	rsaKey := func(bits int) crypto.Signer {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	strong := rsaKey(2048)
	names := func(names ...string) recipe { return func(c *x509.Certificate) { c.DNSNames = names } }
	many := func(c *x509.Certificate) {
		c.DNSNames = nil
		for i := range 999 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("host%d.example", i))
		}
		c.DNSNames = append(c.DNSNames, "chat.example")
	}
	with := func(c *tls.Config, change func(*tls.Config)) *tls.Config { change(c); return c }

	for _, c := range []struct {
		name  string
		serve *tls.Config
		word  string // of the 502; "" for what is good
		says  string
	}{
		// cert
		{"good", sign(t, middle, nil).serving(middle), "", ""},
		{"expired", sign(t, middle, nil, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = c.NotBefore.AddDate(0, 0, -30), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			c.NotBefore = c.NotAfter.AddDate(0, -1, 0)
		}).serving(middle), "certificate-expired", "expired on 2026-01-02"},
		{"not yet valid", sign(t, middle, nil, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = c.NotBefore.AddDate(1, 0, 0), c.NotAfter.AddDate(2, 0, 0)
		}).serving(middle), "certificate-not-yet-valid", "is not valid before 20"},
		{"wrong.host", sign(t, middle, nil, names("badssl.com", "www.badssl.com")).serving(middle), "certificate-name", "is for other hosts"},
		{"a wildcard one level too high", sign(t, middle, nil, names("*.example.chat", "*.chat.example")).serving(middle), "certificate-name", "is for other hosts"},
		{"an IP address", sign(t, middle, nil, func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv4(127, 0, 0, 1)}
		}).serving(middle), "certificate-name", "is for other hosts"},
		{"self-signed", sign(t, nil, nil).serving(), "certificate-unknown-authority", "authority that is trusted"},
		{"untrusted-root", sign(t, sign(t, nil, nil, authority("stranger")...), nil).serving(), "certificate-unknown-authority", "authority that is trusted"},
		{"a stranger with the root's name", sign(t, sign(t, nil, nil, authority("root")...), nil).serving(), "certificate-unknown-authority", ""},
		{"incomplete-chain", sign(t, middle, nil).serving(), "certificate-unknown-authority", "does not send the whole chain"},
		{"no-common-name", sign(t, middle, nil, func(c *x509.Certificate) { c.Subject = pkix.Name{Organization: []string{"chat"}} }).serving(middle), "", ""},
		{"no-subject", sign(t, middle, nil, func(c *x509.Certificate) { c.Subject = pkix.Name{} }).serving(middle), "", ""},
		{"1000-sans", sign(t, middle, nil, many).serving(middle), "", ""},
		{"common name only", sign(t, middle, nil, names()).serving(middle), "certificate-name", "the common name does not count"},
		{"sha1", sign(t, middle, nil, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }).serving(middle), "certificate-weak", "SHA-1"},
		{"sha1-intermediate", func() *tls.Config {
			old := sign(t, root, nil, authority("old", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 })...)
			return sign(t, old, nil).serving(old)
		}(), "certificate-weak", "SHA-1"},
		{"rsa2048", sign(t, middle, strong).serving(middle), "", ""},
		{"rsa1024", sign(t, middle, rsaKey(1024)).serving(middle), "certificate-weak", "RSA key of 1024 bits"},
		{"rsa1024-intermediate", func() *tls.Config {
			weak := sign(t, root, rsaKey(1024), authority("weak")...)
			return sign(t, weak, nil).serving(weak)
		}(), "certificate-weak", "RSA key of 1024 bits"},
		{"rsa512", with(sign(t, middle, shortKey(t)).serving(middle), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), "certificate-weak", "RSA key of 512 bits"},
		{"for clients", sign(t, middle, nil, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }).serving(middle), "certificate-use", "not meant for servers"},
		{"an authority for e-mail", func() *tls.Config {
			mail := sign(t, root, nil, authority("mail", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} })...)
			return sign(t, mail, nil).serving(mail)
		}(), "certificate-use", "not meant for servers"},
		{"a name that its authority may not vouch for", func() *tls.Config {
			bound := sign(t, root, nil, authority("bound", func(c *x509.Certificate) {
				c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"other.example"}
			})...)
			return sign(t, bound, nil).serving(bound)
		}(), "certificate-constraints", "may not vouch for"},
		{"an authority below one that allows none", func() *tls.Config {
			last := sign(t, root, nil, authority("last", func(c *x509.Certificate) { c.MaxPathLenZero = true })...)
			below := sign(t, last, nil, authority("below")...)
			return sign(t, below, nil).serving(below, last)
		}(), "certificate-chain", "may not issue"},
		{"issued by one that is no authority", func() *tls.Config {
			leaf := sign(t, middle, nil)
			return sign(t, leaf, nil).serving(leaf, middle)
		}(), "certificate-unknown-authority", ""},
		{"a critical extension that nobody knows", sign(t, middle, nil, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}}}
		}).serving(middle), "certificate", "could not be verified"},
		// client certificates
		{"client", with(sign(t, middle, nil).serving(middle), func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }), "tls-client-certificate", "wants a certificate from its clients"},
		{"client, TLS 1.2", with(sign(t, middle, nil).serving(middle), func(c *tls.Config) {
			c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
		}), "tls-client-certificate", "wants a certificate from its clients"},
		{"client, if it has one", with(sign(t, middle, nil).serving(middle), func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }), "", ""},
		// protocol
		{"tls-v1-0", with(sign(t, middle, nil).serving(middle), only(tls.VersionTLS10)), "tls-version", "no version of TLS"},
		{"tls-v1-1", with(sign(t, middle, nil).serving(middle), only(tls.VersionTLS11)), "tls-version", "no version of TLS"},
		{"tls-v1-2", with(sign(t, middle, nil).serving(middle), only(tls.VersionTLS12)), "", ""},
		{"tls-v1-3", with(sign(t, middle, nil).serving(middle), only(tls.VersionTLS13)), "", ""},
		// cipher-suite
		{"rc4", with(sign(t, middle, strong).serving(middle), suites(tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA)), "tls-cipher", "no cipher that is safe"},
		{"3des", with(sign(t, middle, strong).serving(middle), suites(tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA)), "tls-cipher", "no cipher that is safe"},
		{"static-rsa", with(sign(t, middle, strong).serving(middle), suites(tls.TLS_RSA_WITH_AES_128_CBC_SHA)), "tls-cipher", "no cipher that is safe"},
		{"cbc", with(with(sign(t, middle, strong).serving(middle), suites(tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA)), func(c *tls.Config) {
			c.NextProtos = []string{"http/1.1"} // HTTP/2 forbids it (RFC 9113, 9.2.2)
		}), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var seen atomic.Int64
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				seen.Add(1)
				io.WriteString(rw, `{"ok":true}`)
			}))
			s.TLS, s.EnableHTTP2 = c.serve, c.serve.NextProtos == nil
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.StartTLS()
			defer s.Close()
			judge(t, root, s.Listener.Addr().String(), c.word, c.says, &seen)
		})
	}
	t.Run("null", func(t *testing.T) {
		judge(t, root, nullCipher(t), "tls-cipher", "no cipher that is safe", new(atomic.Int64))
	})
	t.Run("no TLS", func(t *testing.T) {
		s := httptest.NewServer(http.NotFoundHandler())
		defer s.Close()
		judge(t, root, s.Listener.Addr().String(), "tls", "does not speak TLS", new(atomic.Int64))
	})
}

// judge sends one message with HTTP/1.1 and one with HTTP/2, over a connection
// of its own each, to a service at addr.
func judge(t *testing.T, root *issued, addr, word, says string, seen *atomic.Int64) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	for _, h2 := range []bool{false, true} {
		w := newWorld(t, five, func(w *world, _ *proxy.Config, e *proxy.Enforcer) {
			e.Next.(*http.Transport).TLSClientConfig = proxy.UpstreamTLS(pool)
		})
		w.dialTo["chat.example:443"] = addr
		seen.Store(0)
		resp, body := w.send(w.client(h2), "anna", "bob")
		if (resp.ProtoMajor == 2) != h2 {
			t.Errorf("the client was answered by %s", resp.Proto)
		}
		got := resp.Header.Get("Quotagate-Error")
		w.next()
		used := w.used("chat.day")
		if word == "" {
			if resp.StatusCode != 200 || seen.Load() != 1 || used != 1 {
				t.Errorf("%s, Quotagate-Error %q, %s; the service saw %d, %d counted", resp.Status, got, body, seen.Load(), used)
			}
			continue
		}
		if resp.StatusCode != http.StatusBadGateway || got != word || !strings.Contains(body, says) || strings.Contains(body, addr) {
			t.Errorf("%s, Quotagate-Error %q, %s\nlog: %s", resp.Status, got, body, w.log)
		}
		if seen.Load() != 0 || used != 0 {
			t.Errorf("the service saw %d, %d counted", seen.Load(), used)
		}
	}
}

func only(version uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }
}

func suites(ids ...uint16) func(*tls.Config) {
	return func(c *tls.Config) {
		c.MinVersion, c.MaxVersion, c.CipherSuites = tls.VersionTLS10, tls.VersionTLS12, ids
	}
}

// A textbookRSA signs with a key that crypto/rsa would not touch.
type textbookRSA struct{ n, d *big.Int }

func (k textbookRSA) Public() crypto.PublicKey { return &rsa.PublicKey{N: k.n, E: 65537} }

// Sign is RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2.1).
func (k textbookRSA) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 {
		return nil, fmt.Errorf("sign with %v", opts.HashFunc())
	}
	prefix := []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}
	size := (k.n.BitLen() + 7) / 8
	block := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-3-len(prefix)-len(digest))...)
	block = append(append(append(block, 0), prefix...), digest...)
	return new(big.Int).Exp(new(big.Int).SetBytes(block), k.d, k.n).FillBytes(make([]byte, size)), nil
}

// shortKey is one of 512 bits.
func shortKey(t *testing.T) crypto.Signer {
	t.Helper()
	e, one := big.NewInt(65537), big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, 256)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, 256)
		if err != nil {
			t.Fatal(err)
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		n := new(big.Int).Mul(p, q)
		if d := new(big.Int).ModInverse(e, phi); d != nil && n.BitLen() == 512 {
			return textbookRSA{n, d}
		}
	}
}

// nullCipher is a service that chooses TLS_RSA_WITH_NULL_SHA whatever it was
// offered (RFC 5246, 7.4.1.3 and A.5); no server here would.
func nullCipher(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	body := append([]byte{3, 3}, make([]byte, 32)...) // version, random
	body = append(body, 0, 0, 2, 0)                   // no session, cipher, no compression
	hello := append([]byte{2, 0, 0, byte(len(body))}, body...)
	record := append([]byte{0x16, 3, 3, 0, byte(len(hello))}, hello...)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 4096)
				if _, err := conn.Read(buf); err != nil {
					return
				}
				conn.Write(record)
				io.Copy(io.Discard, conn) // until the other side is done
			}()
		}
	}()
	return l.Addr().String()
}
