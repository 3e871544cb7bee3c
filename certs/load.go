package certs

// This file reads a CA: which of the certificates in its file signs, and
// whether the files have changed since.

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// A pair is a CA, its issuers and its key.
type pair struct {
	cas    []*x509.Certificate // the CA that signs, its issuer, and so on
	others []*x509.Certificate // what else the file tells clients to trust
	signer crypto.Signer
	seen   mark // the files as they were read
}

// load returns the CA in the files. The certificate is the one that belongs to
// the key: there may be another beside it while one CA follows another.
//
// It reads two files, which may be replaced in between; then it reads again.
func load(f files, now time.Time) (pair, error) {
	for tries := 0; ; tries++ {
		seen := look(f)
		p, err := read(f, now)
		if same := seen.same(look(f)); err != nil && !same && tries < 10 {
			continue
		}
		p.seen = seen
		return p, err
	}
}

func read(f files, now time.Time) (pair, error) {
	keyPEM, err := f.readKey()
	if errors.Is(err, fs.ErrNotExist) {
		if _, statErr := os.Stat(f.cert); statErr != nil || f.brought {
			return pair{}, err
		}
		return pair{}, &Refusal{
			Problem: fmt.Sprintf("the CA in %s has no key: %s is missing", f.cert, f.key),
			Way:     fmt.Sprintf("put %s back, or move %s away to have a new CA made", f.key, f.cert),
			Err:     err,
		}
	}
	if err != nil {
		return pair{}, err
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return pair{}, f.unreadable(f.key, f.cert, err)
	}
	certPEM, err := os.ReadFile(f.cert)
	if err != nil {
		return pair{}, fmt.Errorf("read the CA: %w", err)
	}
	certs, err := parseCerts(certPEM)
	if err != nil {
		return pair{}, f.unreadable(f.cert, f.key, err)
	}
	p := chainOf(certs, key)
	if p.cas == nil {
		// goproxy's and other keyless ones are told by what they are.
		p.cas = certs[:1]
		if refusal := judge(p, f, now); refusal != nil {
			return pair{}, refusal
		}
		return pair{}, &Refusal{
			Problem: fmt.Sprintf("the key in %s is not the key of the CA in %s", f.key, f.cert),
			Way:     "put the pair back that belongs together, or " + f.again(),
		}
	}
	if refusal := judge(p, f, now); refusal != nil {
		return pair{}, refusal
	}
	return p, nil
}

// chainOf finds the certificate that belongs to a key, and its issuers, among
// some certificates.
func chainOf(certs []*x509.Certificate, key crypto.Signer) pair {
	p := pair{signer: key}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return p
	}
	left := slices.Clone(certs)
	take := func(is func(*x509.Certificate) bool) bool {
		i := slices.IndexFunc(left, is)
		if i < 0 {
			return false
		}
		p.cas = append(p.cas, left[i])
		left = slices.Delete(left, i, i+1)
		return true
	}
	for more := take(func(c *x509.Certificate) bool { return public.Equal(c.PublicKey) }); more; {
		last := p.cas[len(p.cas)-1]
		if bytes.Equal(last.RawIssuer, last.RawSubject) {
			break
		}
		more = take(func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
	}
	p.others = left
	return p
}

// A mark tells whether files are still the same, cheaply: it is looked at on
// every handshake.
type mark [2]os.FileInfo

// look marks the files of a CA; one that cannot be read is nil.
func look(f files) (m mark) {
	for i, path := range []string{f.key, f.cert} {
		if info, err := os.Stat(path); err == nil {
			m[i] = info
		}
	}
	return m
}

func (m mark) same(other mark) bool {
	for i, a := range m {
		b := other[i]
		if a == nil || b == nil {
			if a != b {
				return false
			}
			continue
		}
		if !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) {
			return false
		}
	}
	return true
}
