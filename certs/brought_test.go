package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A company has a root, an issuing CA below it, and sometimes one between.
type company struct {
	certs []*x509.Certificate // the issuing CA first
	keys  []crypto.Signer
}

// newCompany makes a chain, the root first, each with its key; shape changes
// the template of the n-th.
func newCompany(t *testing.T, keys []crypto.Signer, shape func(n int, c *x509.Certificate)) company {
	t.Helper()
	var c company
	for n, key := range keys {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(n + 1)), Subject: pkix.Name{CommonName: "company CA " + string(rune('0'+n))},
			NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(90 * 24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		if shape != nil {
			shape(n, template)
		}
		parent, signs := template, key
		if n > 0 {
			parent, signs = c.certs[0], c.keys[0]
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signs)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		c.certs = append([]*x509.Certificate{cert}, c.certs...)
		c.keys = append([]crypto.Signer{key}, c.keys...)
	}
	return c
}

// files writes the chain and the issuing key; the certificates in any order.
func (c company) files(t *testing.T, order ...int) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if order == nil {
		for n := range c.certs {
			order = append(order, n)
		}
	}
	var text []byte
	for _, n := range order {
		text = append(text, encode(c.certs[n])...)
	}
	writeFile(t, cert, string(text), 0o444)
	der, err := x509.MarshalPKCS8PrivateKey(c.keys[0])
	if err != nil {
		t.Fatal(err)
	}
	writeBlock(t, key, "PRIVATE KEY", der)
	return cert, key
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestACAOfOnesOwnIsReadAndNothingIsWritten: whatever its key, its depth and
// the order of its file, OpenSSL takes the chain.
func TestACAOfOnesOwnIsReadAndNothingIsWritten(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is not installed; scripts/install-test-tools.sh installs it")
	}
	for name, c := range map[string]struct {
		company company
		order   []int
	}{
		"a root with an EC key":        {newCompany(t, []crypto.Signer{ecKey(t)}, nil), nil},
		"a root with an RSA key":       {newCompany(t, []crypto.Signer{rsaKey(t, 2048)}, nil), nil},
		"an issuing CA":                {newCompany(t, []crypto.Signer{rsaKey(t, 2048), ecKey(t)}, nil), nil},
		"three, the root first":        {newCompany(t, []crypto.Signer{ecKey(t), ecKey(t), ecKey(t)}, nil), []int{2, 1, 0}},
		"an issuing CA without issuer": {newCompany(t, []crypto.Signer{ecKey(t), ecKey(t)}, nil), []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			o := Options{Now: func() time.Time { return testNow }, Allow: anyHost}
			o.CertFile, o.KeyFile = c.company.files(t, c.order...)
			if err := os.Chmod(o.KeyFile, 0o440); err != nil { // as Kubernetes mounts it for a group
				t.Fatal(err)
			}
			a := open(t, data, o)
			leaf, err := a.Certificate("slack.com")
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{data, filepath.Dir(o.CertFile)} {
				entries, err := os.ReadDir(dir)
				if err != nil || dir == data && len(entries) != 0 || dir != data && len(entries) != 2 {
					t.Errorf("%s holds %v, %v", dir, entries, err)
				}
			}
			dir := t.TempDir()
			leafFile, between, roots := filepath.Join(dir, "leaf"), filepath.Join(dir, "between"), filepath.Join(dir, "roots")
			writePEM(t, leafFile, leaf.Certificate[0])
			var sent []byte
			for _, der := range leaf.Certificate[1:] {
				ca, err := x509.ParseCertificate(der)
				if err != nil {
					t.Fatal(err)
				}
				sent = append(sent, encode(ca)...)
			}
			writeFile(t, between, string(sent), 0o644)
			writeFile(t, roots, string(encode(a.Roots()[0])), 0o644)
			out, err := exec.Command(openssl, "verify", "-partial_chain", "-x509_strict", "-purpose", "sslserver", "-attime", "1795262400",
				"-CAfile", roots, "-untrusted", between, "-verify_hostname", "slack.com", leafFile).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			if strings.Contains(string(a.PEM()), "PRIVATE") {
				t.Error("PEM holds a key")
			}
		})
	}
}

func TestTheConstraintsOfOnesOwnCAAndItsIssuersAreKeptTo(t *testing.T) {
	c := newCompany(t, []crypto.Signer{ecKey(t), ecKey(t)}, func(n int, c *x509.Certificate) {
		if n == 0 {
			c.PermittedDNSDomains, c.ExcludedDNSDomains = []string{"slack.com", "linkedin.com"}, []string{"files.slack.com"}
		} else {
			c.PermittedDNSDomains = []string{".slack.com"}
		}
	})
	o := Options{}
	o.CertFile, o.KeyFile = c.files(t)
	a := open(t, t.TempDir(), o)
	leafOf(t, a, "api.slack.com")
	for _, host := range []string{"linkedin.com", "files.slack.com", "slack.com", "example.com"} {
		if _, err := a.Certificate(host); !errors.Is(err, ErrOutside) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if out := a.Outside([]string{"api.slack.com", "*.slack.com", "*.api.slack.com", "linkedin.com"}); !slices.Equal(out, []string{"*.slack.com", "linkedin.com"}) {
		t.Errorf("outside: %v", out)
	}
	if !a.NotAfter().Equal(c.certs[0].NotAfter) || !a.Brought() {
		t.Error("it does not end with the CA")
	}
}

func TestACAOfOnesOwnThatCannotWorkIsRefused(t *testing.T) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain := func(keys ...crypto.Signer) company { return newCompany(t, keys, nil) }
	for name, c := range map[string]struct {
		company company
		mode    os.FileMode
		problem string
	}{
		"a short RSA key":     {plain(rsaKey(t, 1024)), 0o600, "1024 bits"},
		"an Ed25519 key":      {plain(edKey), 0o600, "Ed25519"},
		"a key for everybody": {plain(ecKey(t)), 0o644, "can be read by others"},
		"a path that is too short": {newCompany(t, []crypto.Signer{ecKey(t), ecKey(t)}, func(n int, c *x509.Certificate) {
			c.MaxPathLenZero = n == 0
		}), 0o600, "cannot sign for servers"},
		"an issuer that has expired": {newCompany(t, []crypto.Signer{ecKey(t), ecKey(t)}, func(n int, c *x509.Certificate) {
			if n == 0 {
				c.NotAfter = testNow.Add(-time.Minute)
			}
		}), 0o600, "expired on"},
		"a CA for mail": {newCompany(t, []crypto.Signer{ecKey(t)}, func(_ int, c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
		}), 0o600, "cannot sign for servers"},
	} {
		o := Options{Now: func() time.Time { return testNow }}
		o.CertFile, o.KeyFile = c.company.files(t)
		if err := os.Chmod(o.KeyFile, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.TempDir(), o)
		var refusal *Refusal
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Problem, c.problem) {
			t.Errorf("%s: %v, want a refusal with %q", name, err, c.problem)
		} else if strings.Contains(refusal.Way, "move ") {
			t.Errorf("%s: somebody's own files are to be moved away: %s", name, refusal.Way)
		}
	}
	o := Options{CertFile: "/nowhere/tls.crt", KeyFile: "/nowhere/tls.key"}
	if _, err := Open(t.TempDir(), o); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/nowhere/tls.key") {
		t.Errorf("files that are not there: %v", err)
	}
}

// TestANewPairOfOnesOwnIsNoticed: both files are replaced, one after the
// other, while leaves are asked for.
func TestANewPairOfOnesOwnIsNoticed(t *testing.T) {
	first, second := newCompany(t, []crypto.Signer{ecKey(t)}, nil), newCompany(t, []crypto.Signer{ecKey(t)}, nil)
	told := 0
	o := Options{Changed: func(error) { told++ }}
	o.CertFile, o.KeyFile = first.files(t)
	a := open(t, t.TempDir(), o)
	newCert, newKey := second.files(t)
	for _, step := range []struct {
		from, to string
		signs    *x509.Certificate
	}{
		{newCert, o.CertFile, first.certs[0]}, // half-way the old pair signs on
		{newKey, o.KeyFile, second.certs[0]},
	} {
		if err := os.Rename(step.from, step.to); err != nil {
			t.Fatal(err)
		}
		if err := leafOf(t, a, "slack.com").CheckSignatureFrom(step.signs); err != nil {
			t.Errorf("after %s: %v", filepath.Base(step.to), err)
		}
	}
	if told != 2 {
		t.Errorf("told of %d changes, want 2", told)
	}
}
