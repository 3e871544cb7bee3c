// Package certs is the proxy's certificate authority: one CA made once and
// kept in the data directory, and a short-lived leaf for each host that the
// rules name.
//
//	ca, err := certs.Open(dir, certs.Options{Allow: named})
//	conf := &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
//		return ca.Certificate(h.ServerName)
//	}}
//
// The CA's key never leaves its file, and the key of the leaves never leaves
// the process. Every key, serial and signature comes from crypto/rand.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// The files of the CA in the data directory.
const (
	CertFile = "ca.pem"
	KeyFile  = "ca-key.pem"
)

// Options says for whom an Authority signs. The zero value signs for nobody.
type Options struct {
	// Allow reports whether a leaf may be made for host: a lower-case DNS
	// name without trailing dot, or an IP address. It is asked on every call
	// of Certificate, so that a reload of the rules takes effect at once; it
	// must be quick and safe for concurrent use.
	Allow func(host string) bool

	// AllowIPs lets Allow be asked about IP addresses at all.
	AllowIPs bool

	// CacheSize is the number of leaves kept; 0 means 1024.
	CacheSize int

	// MintPerMinute caps how many leaves are made; 0 means 600. A leaf costs
	// about 0.1 ms of CPU: wildcard rules let a client ask for any number.
	MintPerMinute int

	// Host names this machine in the subject of a CA that is made; "" asks
	// the operating system.
	Host string

	// SystemRoots is where Bundle looks for the platform's roots: the first
	// of these PEM files or folders that holds a certificate. nil means the
	// usual places of the platform (see SystemRoots).
	SystemRoots []string

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// An Authority is an opened CA. It is safe for concurrent use.
type Authority struct {
	opts Options
	now  func() time.Time

	cert   *x509.Certificate
	chain  [][]byte // DER: the CA and, if it is not a root, its issuers
	signer crypto.Signer

	leafKey *ecdsa.PrivateKey
	leaves  *lru.Cache[string, *leaf]
	minting singleflight.Group
	limiter *rate.Limiter
}

// Open loads the CA in dir, or makes one if there is none. Of two processes
// that make one at the same time, both get the same.
//
// What it refuses (a key that others can read, a CA that has expired, ...) is
// a *Refusal.
func Open(dir string, o Options) (*Authority, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Allow == nil {
		o.Allow = func(string) bool { return false }
	}
	if o.CacheSize <= 0 {
		o.CacheSize = 1024
	}
	if o.MintPerMinute <= 0 {
		o.MintPerMinute = 600
	}
	if o.SystemRoots == nil {
		o.SystemRoots = SystemRoots()
	}
	if o.Host == "" {
		// A machine without a name gets a CA all the same.
		o.Host, _ = os.Hostname()
	}

	pair, err := loadOrMake(dir, o.Host, o.Now())
	if err != nil {
		return nil, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the leaves' key: %w", err)
	}
	leaves, err := lru.New[string, *leaf](o.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("make the cache of leaves: %w", err)
	}
	return &Authority{
		opts:    o,
		now:     o.Now,
		cert:    pair.cert,
		chain:   pair.chain,
		signer:  pair.signer,
		leafKey: leafKey,
		leaves:  leaves,
		limiter: rate.NewLimiter(rate.Limit(o.MintPerMinute)/60, o.MintPerMinute),
	}, nil
}

// PEM is the CA's certificate, without its key: what clients have to trust.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// NotAfter is the last moment at which the CA is valid.
func (a *Authority) NotAfter() time.Time { return a.cert.NotAfter }

// Subject is the CA's name as trust stores show it.
func (a *Authority) Subject() string { return a.cert.Subject.CommonName }

// Fingerprint is the SHA-256 of the certificate as openssl and the trust
// stores of the platforms print it: upper-case pairs joined by colons.
func (a *Authority) Fingerprint() string {
	sum := sha256.Sum256(a.cert.Raw)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

// SPKI is the base64 SHA-256 of the CA's public key, as Chromium's
// --ignore-certificate-errors-spki-list wants it. It finds the CA because
// every leaf is served with the CA behind it.
func (a *Authority) SPKI() string {
	sum := sha256.Sum256(a.cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
