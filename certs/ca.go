package certs

// This file makes CAs, and reads them from PEM.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
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

// A recipe is what a CA that has to be made is made of.
type recipe struct {
	host string // of the machine, in the subject
	// hosts are the patterns of the hosts that it may sign for; nil makes one
	// without name constraints. It is asked when a CA is made and not before.
	hosts func() ([]string, error)
	now   time.Time
}

// newCA is the certificate of a CA for key, in PEM.
func newCA(key crypto.Signer, r recipe) ([]byte, error) {
	host, now := r.host, r.now
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	if host == "" {
		host = "unnamed machine"
	}
	// RFC 5280, appendix A: a common name has at most 64 characters.
	// A piece of the serial number tells two of one day apart in the lists of
	// systems and browsers, which show nothing else.
	made := now.UTC().Format("2006-01-02") + " " + shorten(serial.Text(16), 6)
	room := 64 - len("quotagate ") - len(" ") - len(made)
	name := "quotagate " + shorten(host, room) + " " + made

	// All of it is in the subject too: NSS files CAs of one subject under one
	// name, and takes one for the other.
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name, Organization: []string{"quotagate"}, SerialNumber: serial.Text(16)},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		// Not for mail, code or clients, whatever trusts it. mitmproxy has had
		// the same in its CA for years (mitmproxy/certs.py, 2026-11).
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if r.hosts != nil {
		patterns, err := r.hosts()
		if err != nil {
			return nil, err
		}
		permitted, _ := Domains(patterns)
		constrain(template, permitted)
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

// parseCerts reads the certificates of a PEM file.
func parseCerts(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in it")
	}
	return certs, nil
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
