package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elazarl/goproxy"

	"quotagate/certs"
)

// goproxy's authority is public and its leaves' keys can be derived: nothing
// that clients see may come from either.
func TestGoproxysAuthorityAndSignerAreNeverUsed(t *testing.T) {
	ca := newTestCA(t)
	published := goproxy.GoproxyCa
	goproxy.GoproxyCa = tls.Certificate{Certificate: [][]byte{ca.cert.Raw}, PrivateKey: ca.key, Leaf: ca.cert}
	t.Cleanup(func() { goproxy.GoproxyCa = published })
	fromGoproxy := func(leaf *x509.Certificate) bool {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: ca.pool()})
		return err == nil
	}

	// What goproxy signs must be recognised, or this test proves nothing.
	cfg, err := goproxy.TLSConfigFromCA(&goproxy.GoproxyCa)("chat.example:443", &goproxy.ProxyCtx{Proxy: goproxy.NewProxyHttpServer()})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(cfg.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if !fromGoproxy(signed) {
		t.Fatal("a leaf that goproxy signed is not recognised")
	}

	w := newWorld(t, five)
	for _, h2 := range []bool{false, true} {
		resp, _ := w.send(w.client(h2), "anna", "bob")
		leaf := resp.TLS.PeerCertificates[0]
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: w.roots, DNSName: "chat.example"}); err != nil {
			t.Errorf("the leaf is not of our authority: %v", err)
		}
		for _, cert := range resp.TLS.PeerCertificates {
			if fromGoproxy(cert) {
				t.Errorf("%s is signed by goproxy's authority", cert.Subject)
			}
		}
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
