package certs

// This file makes leaves: who gets one, what is in it, how long it is used.

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// ErrNotNamed says that Options.Allow, or the form of the name, forbids a
// leaf for this host.
var ErrNotNamed = errors.New("no rule names this host, so no certificate is made for it")

// ErrTooMany says that leaves were made faster than Options.MintPerMinute.
var ErrTooMany = errors.New("too many certificates in a minute")

const (
	// leafLife is the time from NotBefore to NotAfter. Leaves cost nothing to
	// make, and their key dies with the process; a week outlives clocks that
	// are days off.
	leafLife = 7 * 24 * time.Hour

	// refreshBefore is when a leaf is replaced: connections are long, and
	// some clients check the certificate only when they open one.
	refreshBefore = 48 * time.Hour
)

// A leaf is a certificate as the TLS server wants it, and until when it is
// handed out.
type leaf struct {
	cert  *tls.Certificate
	until time.Time
}

func (l *leaf) fresh(now time.Time) bool {
	return now.Before(l.until) && !now.Before(l.cert.Leaf.NotBefore)
}

// Certificate is the certificate for host, a DNS name in any case, with or
// without a trailing dot. It is made if need be; callers who ask for the same
// host at once share one. The caller must not change it.
func (a *Authority) Certificate(host string) (*tls.Certificate, error) {
	name, addr, err := canonical(host)
	if err != nil {
		return nil, fmt.Errorf("certificate for %.80q: %w", host, err)
	}
	if addr.IsValid() && !a.opts.AllowIPs || !a.opts.Allow(name) {
		return nil, fmt.Errorf("certificate for %q: %w", name, ErrNotNamed)
	}
	if l, ok := a.leaves.Get(name); ok && l.fresh(a.now()) {
		return l.cert, nil
	}
	return a.minted(name, addr)
}

// minted makes the leaf for name, or waits for who is making it.
func (a *Authority) minted(name string, addr netip.Addr) (*tls.Certificate, error) {
	v, err, _ := a.minting.Do(name, func() (any, error) {
		now := a.now()
		if l, ok := a.leaves.Get(name); ok && l.fresh(now) { // made since we looked
			return l, nil
		}
		if !a.limiter.AllowN(now, 1) {
			return nil, ErrTooMany
		}
		l, err := a.mint(name, addr, now)
		if err != nil {
			return nil, err
		}
		a.leaves.Add(name, l)
		return l, nil
	})
	if err != nil {
		return nil, fmt.Errorf("certificate for %q: %w", name, err)
	}
	return v.(*leaf).cert, nil
}

// mint signs a leaf for name, or for addr if that is valid.
func (a *Authority) mint(name string, addr netip.Addr, now time.Time) (*leaf, error) {
	if now.After(a.cert.NotAfter) {
		return nil, fmt.Errorf("the CA expired on %s", a.cert.NotAfter.UTC().Format("2006-01-02 15:04 UTC"))
	}
	if now.Before(a.cert.NotBefore) {
		return nil, fmt.Errorf("the CA is not valid before %s; the machine's clock is behind", a.cert.NotBefore.UTC().Format("2006-01-02 15:04 UTC"))
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	// A leaf outside its CA's time is refused by some verifiers at any time.
	notBefore := now.Add(-backdate)
	if notBefore.Before(a.cert.NotBefore) {
		notBefore = a.cert.NotBefore
	}
	notAfter := notBefore.Add(leafLife)
	until := notAfter.Add(-refreshBefore)
	if !notAfter.Before(a.cert.NotAfter) {
		notAfter = a.cert.NotAfter
		until = notAfter // a new one would end at the same moment
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	// RFC 5280, appendix A: a common name has at most 64 characters. Without
	// one the subject is empty, and the SAN is marked critical.
	if len(name) <= 64 {
		template.Subject = pkix.Name{CommonName: name}
	}
	if addr.IsValid() {
		template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
	} else {
		template.DNSNames = []string{name}
	}
	// The authority key id is the CA's subject key id: CreateCertificate
	// copies it from the parent.
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.leafKey.Public(), a.signer)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	// The CA goes along although clients that trust it have it: it lets
	// Chromium find its SPKI, and turns "unable to get issuer" into an error
	// that names quotagate.
	return &leaf{
		cert: &tls.Certificate{
			Certificate: append([][]byte{der}, a.chain...),
			PrivateKey:  a.leafKey,
			Leaf:        parsed,
		},
		until: until,
	}, nil
}

// canonical is the one spelling under which a host is allowed, cached and
// certified. IDNA names have to come in their ASCII form, as in an SNI.
func canonical(host string) (string, netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return "", netip.Addr{}, ErrNotNamed
		}
		addr = addr.Unmap()
		return addr.String(), addr, nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if !isDNSName(name) {
		return "", netip.Addr{}, ErrNotNamed
	}
	return name, netip.Addr{}, nil
}

// isDNSName accepts letters, digits, hyphens and, as real hosts have them,
// underscores.
func isDNSName(name string) bool {
	if name == "" || len(name) > 253 { // RFC 1035, 2.3.4
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
