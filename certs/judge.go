package certs

// This file says of a CA whether it can be used.

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"
)

// goproxySPKI is the SHA-256 of the public key of the CA that
// elazarl/goproxy publishes together with its private key (its certs.go,
// v1.9.2): whoever trusts it trusts everybody.
const goproxySPKI = "c012de113a81789eb5c392c0580156bbc281f9f93e07f08cafa3329672e6993b"

// minRSA is the shortest RSA key that OpenSSL at its usual security level,
// Go and the browsers accept in a chain (CA/Browser Forum, Baseline
// Requirements 6.1.5, 2026-11).
const minRSA = 2048

// judge says why a pair must not be used, or nil.
func judge(p pair, f files, now time.Time) *Refusal {
	cert := p.cas[0]
	again := f.again()
	refuse := func(way, problem string, args ...any) *Refusal {
		return &Refusal{Problem: fmt.Sprintf(problem, args...), Way: way}
	}
	spki := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	key, isRSA := cert.PublicKey.(*rsa.PublicKey)
	switch {
	case hex.EncodeToString(spki[:]) == goproxySPKI:
		return refuse(again+"; remove this one wherever it is trusted",
			"the CA in %s is the one that goproxy publishes with its private key: anyone can sign for it", f.cert)
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return refuse(again, "the certificate in %s is not a CA, so it cannot sign for hosts", f.cert)
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return refuse(again, "the CA in %s may not sign certificates (its key usage lacks certSign)", f.cert)
	case isRSA && key.Size()*8 < minRSA:
		return refuse(again, "the CA in %s has an RSA key of %d bits, which clients do not accept", f.cert, key.Size()*8)
	case !isRSA && cert.PublicKeyAlgorithm != x509.ECDSA:
		return refuse(again, "the CA in %s has a key of type %s; browsers accept RSA and ECDSA", f.cert, cert.PublicKeyAlgorithm)
	}
	for below, ca := range p.cas {
		switch {
		case ca.BasicConstraintsValid && ca.MaxPathLen >= 0 && ca.MaxPathLen < below: // parsed, so -1 is none
			return refuse(again, "the CA in %s cannot sign for servers: %s permits %d CAs below it, and has %d", f.cert,
				ca.Subject.CommonName, ca.MaxPathLen, below)
		case now.After(ca.NotAfter):
			return refuse(again, "the CA in %s expired on %s", f.cert, ca.NotAfter.UTC().Format(minute))
		case now.Before(ca.NotBefore):
			return refuse("set the machine's clock", "the CA in %s is not valid before %s, and the clock says %s", f.cert,
				ca.NotBefore.UTC().Format(minute), now.UTC().Format(minute))
		}
	}
	// What is left is said of the whole chain: that its issuers are CAs, and
	// that it may be used for servers.
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(p.cas[len(p.cas)-1])
	for _, ca := range p.cas[1:] {
		between.AddCert(ca)
	}
	if _, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}); err != nil {
		return refuse(again, "the CA in %s cannot sign for servers: %v", f.cert, err)
	}
	return nil
}

// minute is how a moment is written in a sentence.
const minute = "2006-01-02 15:04 UTC"
