package proxy_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/elazarl/goproxy"

	"quotagate/certs"
)

// countingSigner tells how often a key was used.
type countingSigner struct {
	crypto.Signer
	used atomic.Int64
}

func (s *countingSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.used.Add(1)
	return s.Signer.Sign(rand, digest, opts)
}

// goproxy's authority is public and its leaves' keys can be derived: nothing
// that clients see may come from either.
func TestGoproxysAuthorityAndSignerAreNeverUsed(t *testing.T) {
	ca := newTestCA(t)
	spy := &countingSigner{Signer: ca.key}
	published := goproxy.GoproxyCa
	goproxy.GoproxyCa = tls.Certificate{Certificate: [][]byte{ca.cert.Raw}, PrivateKey: spy, Leaf: ca.cert}
	t.Cleanup(func() { goproxy.GoproxyCa = published })

	// The spy must see goproxy's own signing, or this test proves nothing.
	if _, err := goproxy.TLSConfigFromCA(&goproxy.GoproxyCa)("chat.example:443", &goproxy.ProxyCtx{Proxy: goproxy.NewProxyHttpServer()}); err != nil {
		t.Fatal(err)
	}
	if spy.used.Load() == 0 {
		t.Fatal("the spy did not see goproxy sign")
	}
	spy.used.Store(0)

	w := newWorld(t, five)
	for _, h2 := range []bool{false, true} {
		resp, _ := w.send(w.client(h2), "anna", "bob")
		leaf := resp.TLS.PeerCertificates[0]
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: w.roots, DNSName: "chat.example"}); err != nil {
			t.Errorf("the leaf is not of our authority: %v", err)
		}
		if leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(ca.key.Public()) {
			t.Error("the leaf's key is the authority's")
		}
	}
	w.raw(t, "GET https://chat.example/ HTTP/1.1\r\nHost: chat.example\r\n\r\n")
	c := w.client(false)
	c.Get("https://other.example/") // fails for want of trust, after the tunnel stood
	if n := spy.used.Load(); n != 0 {
		t.Errorf("goproxy's authority signed %d times", n)
	}
}

func TestThePublishedAuthorityOfGoproxyIsRefused(t *testing.T) {
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(goproxy.GoproxyCa.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		certs.CertFile: {Type: "CERTIFICATE", Bytes: goproxy.GoproxyCa.Certificate[0]},
		certs.KeyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := certs.Open(dir, certs.Options{}); err == nil || !strings.Contains(err.Error(), "goproxy publishes") {
		t.Errorf("open: %v", err)
	}
}
