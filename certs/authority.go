// Package certs is the proxy's certificate authority: one CA made once and
// kept in the data directory, or brought along, and a short-lived leaf for
// each host that the rules name.
//
//	ca, err := certs.Open(dir, certs.Options{Allow: named, Hosts: patterns})
//	conf := &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
//		return ca.Certificate(h.ServerName)
//	}}
//
// The CA's key never leaves its file, and the key of the leaves never leaves
// the process. Every key, serial and signature comes from crypto/rand. A CA
// that is made is limited by name constraints to the hosts that it is made
// for, so that a stolen key is worth little elsewhere.
package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// The files of the CA in the data directory.
const (
	CertFile = "ca.pem"
	KeyFile  = "ca-key.pem"
)

// ErrNone says that there is no CA, and that none was to be made.
var ErrNone = errors.New("there is no CA yet")

// Options says for whom an Authority signs. The zero value signs for nobody.
type Options struct {
	// Allow reports whether a leaf may be made for host: a lower-case DNS
	// name without trailing dot, or an IP address. It is asked on every call
	// of Certificate, so that a reload of the rules takes effect at once; it
	// must be quick and safe for concurrent use.
	Allow func(host string) bool
	// AllowIPs lets Allow be asked about IP addresses at all.
	AllowIPs bool

	// Hosts gives the patterns of the hosts that a CA is limited to which has
	// to be made; its error is Open's. nil makes one that may sign for every
	// host. It is asked when a CA is made, and not before.
	Hosts func() ([]string, error)
	// Existing makes Open return ErrNone where there is no CA.
	Existing bool
	// CertFile and KeyFile, which go together, name a CA that was made
	// elsewhere: PEM, the CA that signs and the issuers it has. They are read,
	// and nothing is written beside them or in the data directory.
	CertFile, KeyFile string
	// Changed, if set, is called when the CA's files have changed and were
	// read again: with nil if the new CA is in force, else with why the old
	// one stays. It must not call the Authority.
	Changed func(error)

	// CacheSize is the number of leaves kept; 0 means 1024.
	CacheSize int
	// MintPerMinute caps how many leaves are made of names that no rule
	// writes out; 0 means 600. A leaf costs about 0.1 ms of CPU: wildcard
	// rules let a client ask for any number.
	MintPerMinute int
	// WrittenOut reports whether a rule names host in full. Such hosts are as
	// many as the rules have, so they are not capped, and a flood of names
	// below a wildcard does not keep them waiting. nil means none.
	WrittenOut func(host string) bool

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

// An Authority is an opened CA. It is safe for concurrent use. When the CA's
// files change it signs with what they hold from the next handshake on.
type Authority struct {
	opts    Options
	now     func() time.Time
	files   files
	inForce atomic.Pointer[signer]
	reading sync.Mutex
	failed  mark // the files that could not be read, under reading
	limiter *rate.Limiter
	counts  Counts
}

// Open loads the CA in dir, or makes one if there is none. Of two processes
// that make one at the same time, both get the same.
//
// What it refuses (a key that others can read, a CA that has expired, ...) is
// a *Refusal.
func Open(dir string, o Options) (*Authority, error) {
	o.fill()
	f := own(dir)
	if o.CertFile != "" || o.KeyFile != "" {
		f = files{cert: o.CertFile, key: o.KeyFile, brought: true}
	}
	read := loadOrMake
	if o.Existing || f.brought {
		read = func(f files, r recipe) (pair, error) { return load(f, r.now) }
	}
	p, err := read(f, o.recipe())
	if err != nil {
		if o.Existing && !f.brought && errors.Is(err, os.ErrNotExist) && !isRefusal(err) {
			return nil, ErrNone
		}
		return nil, err
	}
	a := &Authority{
		opts:    o,
		now:     o.Now,
		files:   f,
		limiter: rate.NewLimiter(rate.Limit(o.MintPerMinute)/60, o.MintPerMinute),
	}
	s, err := newSigner(p, o.CacheSize)
	if err != nil {
		return nil, err
	}
	a.inForce.Store(s)
	return a, nil
}

// fill puts the defaults where nothing is said.
func (o *Options) fill() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Allow == nil {
		o.Allow = func(string) bool { return false }
	}
	if o.WrittenOut == nil {
		o.WrittenOut = func(string) bool { return false }
	}
	if o.Changed == nil {
		o.Changed = func(error) {}
	}
	if o.CacheSize <= 0 {
		o.CacheSize = 1024
	}
	o.CacheSize = max(o.CacheSize, 2) // one for each of the two queues
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
}

func (o *Options) recipe() recipe { return recipe{host: o.Host, hosts: o.Hosts, now: o.Now()} }

func isRefusal(err error) bool {
	var r *Refusal
	return errors.As(err, &r)
}

// current is the CA in force, which is read again if its files have changed.
func (a *Authority) current() *signer {
	s := a.inForce.Load()
	if s.seen.same(look(a.files)) {
		return s
	}
	a.reading.Lock() // nobody is given a leaf of the old CA any more
	defer a.reading.Unlock()
	now := look(a.files)
	if now.same(a.inForce.Load().seen) || now.same(a.failed) {
		return a.inForce.Load()
	}
	p, err := load(a.files, a.now())
	if err == nil {
		if s, err = newSigner(p, a.opts.CacheSize); err == nil {
			a.inForce.Store(s)
		}
	}
	if err != nil {
		a.failed = now
	}
	a.opts.Changed(err)
	return a.inForce.Load()
}

// PEM is what clients have to trust, without any key: the CA, its issuers,
// and the CA that is to follow it, if one waits.
func (a *Authority) PEM() []byte {
	var out []byte
	for _, c := range a.Trusted() {
		out = append(out, encode(c)...)
	}
	return out
}

// Trusted is PEM as certificates; the first is the CA that signs.
func (a *Authority) Trusted() []*x509.Certificate {
	s := a.current()
	return slices.Concat(s.cas, s.others)
}

// Roots are those of Trusted that a trust store has to hold: the topmost
// issuer stands for those below it.
func (a *Authority) Roots() []*x509.Certificate {
	s := a.current()
	return append(s.cas[len(s.cas)-1:len(s.cas):len(s.cas)], s.others...)
}

// File is where the certificates lie.
func (a *Authority) File() string { return a.files.cert }

// Brought reports whether the CA was made elsewhere.
func (a *Authority) Brought() bool { return a.files.brought }

// NotAfter is the last moment at which the CA and its issuers are valid.
func (a *Authority) NotAfter() time.Time { return a.current().notAfter }

// Life is how long the CA is valid in all.
func (a *Authority) Life() time.Duration {
	s := a.current()
	return s.notAfter.Sub(s.notBefore)
}

// Subject is the CA's name as trust stores show it.
func (a *Authority) Subject() string { return a.current().cas[0].Subject.CommonName }

// Fingerprint is that of the CA that signs.
func (a *Authority) Fingerprint() string { return Fingerprint(a.current().cas[0]) }

// SPKI is that of the CA that signs. It finds the CA because every leaf is
// served with the CA behind it.
func (a *Authority) SPKI() string { return SPKI(a.current().cas[0]) }

// Limits are the domains that the CA, by itself or by an issuer, may sign for,
// and whether there are any limits.
func (a *Authority) Limits() (permitted []string, limited bool) {
	for _, ca := range a.current().cas {
		if len(ca.PermittedDNSDomains) > 0 {
			return ca.PermittedDNSDomains, true
		}
	}
	return nil, false
}

// Outside are those of the host patterns for which the CA cannot sign, or not
// for all of their hosts.
func (a *Authority) Outside(patterns []string) []string {
	cas := a.current().cas
	return slices.DeleteFunc(slices.Clone(patterns), func(p string) bool { return permitsPattern(cas, p) })
}

// NextOutside is Outside for the CA that waits to follow, if one does.
func (a *Authority) NextOutside(patterns []string) (outside []string, waits bool) {
	next := a.current().others
	if a.files.brought || len(next) == 0 {
		return nil, false
	}
	return slices.DeleteFunc(slices.Clone(patterns), func(p string) bool { return permitsPattern(next, p) }), true
}

// Fingerprint is the SHA-256 of a certificate as openssl and the trust stores
// of the platforms print it: upper-case pairs joined by colons.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

// SPKI is the base64 SHA-256 of a public key, as Chromium's
// --ignore-certificate-errors-spki-list wants it.
func SPKI(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
