package certs

// This file makes leaves: who gets one, what is in it, how long it is used.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// Why there is no leaf for a host.
var (
	// ErrNotNamed says that Options.Allow, or the form of the name, forbids it.
	ErrNotNamed = errors.New("no rule names this host, so no certificate is made for it")
	// ErrTooMany says that leaves were made faster than Options.MintPerMinute.
	ErrTooMany = errors.New("too many certificates in a minute")
	// ErrOutside says that the name constraints of the CA do not permit it.
	ErrOutside = errors.New("the CA may not sign for this host, which its name constraints leave out")
)

// Counts are what an Authority has done.
type Counts struct {
	Minted  atomic.Uint64 // leaves made
	Refused atomic.Uint64 // leaves not made for Options.MintPerMinute
	Outside atomic.Uint64 // leaves not made for the CA's name constraints
}

// Counts are this Authority's.
func (a *Authority) Counts() *Counts { return &a.counts }

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

// A signer is a CA in force and the leaves it has made.
type signer struct {
	pair
	notBefore, notAfter time.Time
	leafKey             *ecdsa.PrivateKey
	leaves              *lru.TwoQueueCache[string, *leaf]
	minting             singleflight.Group
}

func newSigner(p pair, cache int) (*signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the leaves' key: %w", err)
	}
	// Two queues: what is asked for once, as in a flood of names, does not
	// push out what is asked for again and again.
	leaves, err := lru.New2Q[string, *leaf](cache)
	if err != nil {
		return nil, fmt.Errorf("make the cache of leaves: %w", err)
	}
	s := &signer{pair: p, notBefore: p.cas[0].NotBefore, notAfter: p.cas[0].NotAfter, leafKey: key, leaves: leaves}
	for _, ca := range p.cas[1:] {
		if ca.NotBefore.After(s.notBefore) {
			s.notBefore = ca.NotBefore
		}
		if ca.NotAfter.Before(s.notAfter) {
			s.notAfter = ca.NotAfter
		}
	}
	return s, nil
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
	s := a.current()
	if l, ok := s.leaves.Get(name); ok && l.fresh(a.now()) {
		return l.cert, nil
	}
	return a.minted(s, name, addr)
}

// minted makes the leaf for name, or waits for who is making it.
func (a *Authority) minted(s *signer, name string, addr netip.Addr) (*tls.Certificate, error) {
	if addr.IsValid() && !permitsAddr(s.cas, addr) || !addr.IsValid() && !permitsName(s.cas, name) {
		a.counts.Outside.Add(1)
		return nil, fmt.Errorf("certificate for %q: %w", name, ErrOutside)
	}
	v, err, _ := s.minting.Do(name, func() (any, error) {
		now := a.now()
		if l, ok := s.leaves.Peek(name); ok && l.fresh(now) { // made since we looked
			return l, nil
		}
		if !a.opts.WrittenOut(name) && !a.limiter.AllowN(now, 1) {
			a.counts.Refused.Add(1)
			return nil, ErrTooMany
		}
		l, err := s.mint(name, addr, now)
		if err != nil {
			return nil, err
		}
		a.counts.Minted.Add(1)
		s.leaves.Add(name, l)
		return l, nil
	})
	if err != nil {
		return nil, fmt.Errorf("certificate for %q: %w", name, err)
	}
	return v.(*leaf).cert, nil
}

// mint signs a leaf for name, or for addr if that is valid.
func (s *signer) mint(name string, addr netip.Addr, now time.Time) (*leaf, error) {
	if now.After(s.notAfter) {
		return nil, fmt.Errorf("the CA expired on %s", s.notAfter.UTC().Format(minute))
	}
	if now.Before(s.notBefore) {
		return nil, fmt.Errorf("the CA is not valid before %s; the machine's clock is behind", s.notBefore.UTC().Format(minute))
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	// A leaf outside its CA's time is refused by some verifiers at any time.
	notBefore := now.Add(-backdate)
	if notBefore.Before(s.notBefore) {
		notBefore = s.notBefore
	}
	notAfter := notBefore.Add(leafLife)
	until := notAfter.Add(-refreshBefore)
	if !notAfter.Before(s.notAfter) {
		notAfter = s.notAfter
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
	der, err := x509.CreateCertificate(rand.Reader, template, s.cas[0], s.leafKey.Public(), s.signer)
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
	chain := [][]byte{der}
	for _, ca := range s.cas {
		chain = append(chain, ca.Raw)
	}
	return &leaf{
		cert: &tls.Certificate{
			Certificate: chain,
			PrivateKey:  s.leafKey,
			Leaf:        parsed,
		},
		until: until,
	}, nil
}
