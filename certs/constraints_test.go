package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// hosts gives patterns as Options.Hosts wants them.
func hosts(patterns ...string) func() ([]string, error) {
	return func() ([]string, error) { return patterns, nil }
}

func TestDomainsAreTheNarrowestThatHoldThePatterns(t *testing.T) {
	for _, c := range []struct {
		patterns, permitted, beyond string
	}{
		{"", Internal, ""},
		{"api.slack.com", "api.slack.com " + Internal, ""},
		{"api.slack.com:8443", "api.slack.com " + Internal, ""},
		{"*.slack.com", Internal + " slack.com", ""},
		{"**.slack.com:443", Internal + " slack.com", ""},
		{"slack.com *.slack.com api.slack.com", Internal + " slack.com", ""},
		{"a.slack.com bslack.com", "a.slack.com bslack.com " + Internal, ""},
		{"api.*.example.com", "example.com " + Internal, ""},
		{"*.com", "com " + Internal, ""},
		{"xn--mnchen-3ya.example", Internal + " xn--mnchen-3ya.example", ""},
		{"my_host.example", "my_host.example " + Internal, ""},
		{"192.0.2.1 2001:db8::1 192.0.2.1:8443", Internal, ""},
		{"* slack.com", "", "*"},
		{"api.* *.*:8443", "", "api.* *.*:8443"},
	} {
		permitted, beyond := Domains(strings.Fields(c.patterns))
		if !slices.Equal(permitted, strings.Fields(c.permitted)) || !slices.Equal(beyond, strings.Fields(c.beyond)) {
			t.Errorf("%s: permitted %v, beyond %v", c.patterns, permitted, beyond)
		}
	}
	var many []string
	for n := range maxPermitted {
		many = append(many, fmt.Sprintf("h%d.example", n))
	}
	if permitted, beyond := Domains(many); permitted != nil || len(beyond) != 1 {
		t.Errorf("%d hosts: %d permitted, %d beyond", len(many), len(permitted), len(beyond))
	}
}

// TestTheConstraintsAreCriticalAndOfEveryKind: RFC 5280, 4.2.1.10.
func TestTheConstraintsAreCriticalAndOfEveryKind(t *testing.T) {
	a := open(t, t.TempDir(), Options{Hosts: hosts("*.slack.com")})
	c := a.Trusted()[0]
	critical := false
	for _, e := range c.Extensions {
		critical = critical || e.Critical && e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 30})
	}
	var excluded []string
	for _, n := range c.ExcludedIPRanges {
		excluded = append(excluded, n.String())
	}
	if !critical || !slices.Equal(excluded, []string{"0.0.0.0/0", "::/0"}) ||
		!slices.Equal(c.PermittedURIDomains, []string{Internal}) || !slices.Equal(c.PermittedEmailAddresses, []string{Internal}) {
		t.Errorf("critical %v, excluded %v, URIs %v, mail %v", critical, excluded, c.PermittedURIDomains, c.PermittedEmailAddresses)
	}
	if permitted, limited := a.Limits(); !limited || !slices.Equal(permitted, []string{Internal, "slack.com"}) {
		t.Errorf("permitted %v", permitted)
	}
	wide := open(t, t.TempDir(), Options{Hosts: hosts("*")})
	if permitted, limited := wide.Limits(); limited || len(wide.Trusted()[0].ExcludedIPRanges) != 2 {
		t.Errorf("a CA for any name: permitted %v", permitted)
	}
	if _, limited := open(t, t.TempDir(), Options{}).Limits(); limited {
		t.Error("a CA with constraints although none were asked for")
	}
}

// TestWhatIsPermittedIsWhatCryptoX509Accepts signs a leaf for each name with
// the CA's key and lets a verifier judge.
func TestWhatIsPermittedIsWhatCryptoX509Accepts(t *testing.T) {
	for _, ca := range []struct{ patterns, excluded string }{
		{"api.slack.com *.linkedin.com", ""},
		{"slack.com", "files.slack.com"},
		{"*", ""},
		{"*", "slack.com"},
	} {
		key, err := newKey()
		if err != nil {
			t.Fatal(err)
		}
		signer, err := parseKey(key)
		if err != nil {
			t.Fatal(err)
		}
		permitted, _ := Domains(strings.Fields(ca.patterns))
		template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
			NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(time.Hour)}
		constrain(template, permitted)
		template.ExcludedDNSDomains = strings.Fields(ca.excluded)
		root := selfSigned(t, template, signer)
		roots := x509.NewCertPool()
		roots.AddCert(root)
		for _, name := range []string{
			"slack.com", "api.slack.com", "x.api.slack.com", "xapi.slack.com", "api.slack.com.evil.example", "slack.com.evil.example",
			"linkedin.com", "www.linkedin.com", "a.b.linkedin.com", "notlinkedin.com", "com", "files.slack.com", "a.files.slack.com",
			"xfiles.slack.com", "example.com", Internal,
		} {
			der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name},
				NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(time.Hour)}, root, signer.Public(), signer)
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: testNow})
			if got := permitsName([]*x509.Certificate{root}, name); got != (err == nil) {
				t.Errorf("CA for %q without %q: %s permitted %v, and Go says %v", ca.patterns, ca.excluded, name, got, err)
			}
		}
	}
}

func TestHostsOutsideAreSaidAndGetNoLeaf(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, Options{Hosts: hosts("api.slack.com", "*.linkedin.com")})
	// The rules changed; the CA stays.
	a := open(t, dir, Options{Hosts: hosts("anything.example")})
	got := a.Outside([]string{"api.slack.com", "x.api.slack.com", "slack.com", "*.slack.com", "*.api.slack.com", "www.linkedin.com",
		"**.linkedin.com", "*.com", "*", "192.0.2.1", "telegram.org"})
	if want := []string{"slack.com", "*.slack.com", "*.com", "*", "telegram.org"}; !slices.Equal(got, want) {
		t.Errorf("outside %v, want %v", got, want)
	}
	leafOf(t, a, "www.linkedin.com")
	if _, err := a.Certificate("telegram.org"); !errors.Is(err, ErrOutside) {
		t.Errorf("got %v, want ErrOutside", err)
	}
	if n := a.Counts().Outside.Load(); n != 1 {
		t.Errorf("%d counted", n)
	}
	ips := open(t, dir, Options{AllowIPs: true})
	if _, err := ips.Certificate("192.0.2.1"); !errors.Is(err, ErrOutside) {
		t.Errorf("an IP address: got %v, want ErrOutside", err)
	}
}

func TestACAIsNotMadeWithoutItsHosts(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("the rules do not load")
	if _, err := Open(dir, Options{Hosts: func() ([]string, error) { return nil, broken }}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(dir, Options{Existing: true}); !errors.Is(err, ErrNone) {
		t.Errorf("something was left behind: %v", err)
	}
	open(t, dir, Options{Hosts: hosts("slack.com")})
	if _, err := Open(dir, Options{Existing: true, Now: func() time.Time { return testNow }}); err != nil {
		t.Errorf("got %v", err)
	}
}

func selfSigned(t *testing.T, template *x509.Certificate, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
