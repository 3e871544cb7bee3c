package certs

// This file makes the CA and judges one that it is given.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	// caLife is two years. The key lies in a file on somebody's machine, so
	// a copy of it should not be worth anything for ten years, as mkcert's
	// is; and everyone who trusts the CA has to do so again when it ends, so
	// it should not be months either.
	caLife = 2 * 365 * 24 * time.Hour

	// backdate lets clients whose clock is behind accept what was just made.
	backdate = 24 * time.Hour
)

// goproxySPKI is the SHA-256 of the public key of the CA that
// elazarl/goproxy publishes together with its private key (certs.go,
// GoproxyCa, v1.9.2): whoever trusts it trusts everybody.
const goproxySPKI = "c012de113a81789eb5c392c0580156bbc281f9f93e07f08cafa3329672e6993b"

// A pair is a CA's certificate and its key.
type pair struct {
	cert   *x509.Certificate
	chain  [][]byte
	signer crypto.Signer
}

// newCA is the certificate of a CA for key, in PEM.
func newCA(key crypto.Signer, host string, now time.Time) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	if host == "" {
		host = "unnamed machine"
	}
	// RFC 5280, appendix A: a common name has at most 64 characters.
	date := now.UTC().Format("2006-01-02")
	room := 64 - len("quotagate ") - len(" ") - len(date)
	name := "quotagate " + shorten(host, room) + " " + date

	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name, Organization: []string{"quotagate"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the CA: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// newKey is a key for a CA, in PEM.
func newKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the CA's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make the CA's key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// newSerial is 128 random bits: unguessable, and never the same twice
// although nothing is remembered.
func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	// RFC 5280, 4.1.2.2: positive.
	return serial.Add(serial, big.NewInt(1)), nil
}

// parseKey reads the key of a CA in any of the PEM forms that openssl writes.
func parseKey(data []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("a %T cannot sign", key)
		}
		return signer, nil
	}
	return nil, errors.New("no private key in it")
}

// parseChain reads the CA's certificate and the issuers after it.
func parseChain(data []byte) (*x509.Certificate, [][]byte, error) {
	var first *x509.Certificate
	var chain [][]byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, err
		}
		if first == nil {
			first = cert
		}
		chain = append(chain, cert.Raw)
	}
	if first == nil {
		return nil, nil, errors.New("no certificate in it")
	}
	return first, chain, nil
}

// judge says why a CA must not be used, or nil.
func judge(cert *x509.Certificate, key crypto.Signer, certPath, keyPath string, now time.Time) *Refusal {
	again := fmt.Sprintf("move %s and %s away to have a new CA made, and let the clients trust that one", certPath, keyPath)

	spki := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	switch {
	case hex.EncodeToString(spki[:]) == goproxySPKI:
		return &Refusal{
			Problem: fmt.Sprintf("the CA in %s is the one that goproxy publishes with its private key: anyone can sign for it", certPath),
			Way:     again + "; remove this one wherever it is trusted",
		}
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return &Refusal{
			Problem: fmt.Sprintf("the certificate in %s is not a CA, so it cannot sign for hosts", certPath),
			Way:     again,
		}
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return &Refusal{
			Problem: fmt.Sprintf("the CA in %s may not sign certificates (its key usage lacks certSign)", certPath),
			Way:     again,
		}
	case now.After(cert.NotAfter):
		return &Refusal{
			Problem: fmt.Sprintf("the CA in %s expired on %s", certPath, cert.NotAfter.UTC().Format("2006-01-02 15:04 UTC")),
			Way:     again,
		}
	case now.Before(cert.NotBefore):
		return &Refusal{
			Problem: fmt.Sprintf("the CA in %s is not valid before %s, and the clock says %s", certPath,
				cert.NotBefore.UTC().Format("2006-01-02 15:04 UTC"), now.UTC().Format("2006-01-02 15:04 UTC")),
			Way: "set the machine's clock",
		}
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return &Refusal{
			Problem: fmt.Sprintf("the key in %s is not the key of the CA in %s", keyPath, certPath),
			Way:     "put the pair back that belongs together, or " + again,
		}
	}
	return nil
}

// shorten keeps the first n bytes of a name, never half of a character.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := 0
	for i := range s {
		if i > n {
			break
		}
		cut = i
	}
	return s[:cut]
}
