package certs

// This file joins the CA with the roots that the platform trusts, for clients
// that read one file and forget the platform's roots when they are given it
// (SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, ...).

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// SystemRoots lists where the platforms keep their roots, as crypto/x509 looks
// for them (root_linux.go, root_bsd.go, Go 1.26). The file of macOS is
// LibreSSL's copy of the system's roots.
func SystemRoots() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Gentoo, Arch
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
		"/etc/pki/tls/certs/ca-bundle.crt",                  // older Fedora, RHEL
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/pki/tls/cacert.pem",                           // OpenELEC
		"/etc/ssl/cert.pem",                                 // Alpine, macOS, OpenBSD
		"/usr/local/etc/ssl/cert.pem",                       // FreeBSD
		"/usr/local/share/certs/ca-root-nss.crt",            // DragonFly
		"/etc/openssl/certs/ca-certificates.crt",            // NetBSD
		"/etc/ssl/certs",
		"/etc/pki/tls/certs",
		"/system/etc/security/cacerts", // Android
	}
}

// Bundle is the platform's roots and the CA, in PEM. Without roots of the
// platform it is a *Refusal: a bundle of the CA alone would break every host
// that is not intercepted.
func (a *Authority) Bundle() ([]byte, error) {
	own := map[[32]byte]bool{}
	for _, c := range a.Trusted() {
		own[sha256.Sum256(c.Raw)] = true
	}
	for _, place := range a.opts.SystemRoots {
		var out bytes.Buffer
		seen := maps.Clone(own)
		roots := 0
		for _, file := range filesOf(place) {
			data, err := os.ReadFile(file)
			if err != nil {
				continue // one unreadable file of a folder is no reason to stop
			}
			roots += appendCerts(&out, data, seen)
		}
		if roots > 0 {
			out.Write(a.PEM())
			return out.Bytes(), nil
		}
	}
	return nil, &Refusal{
		Problem: "no root certificates of the system were found, in " + strings.Join(a.opts.SystemRoots, ", "),
		Way:     "install them (on Debian: apt-get install ca-certificates), or set SSL_CERT_FILE to a PEM file of roots",
	}
}

// filesOf is place itself, or the files in it if it is a folder.
func filesOf(place string) []string {
	entries, err := os.ReadDir(place)
	if err != nil {
		return []string{place}
	}
	files := make([]string, len(entries))
	for i, e := range entries {
		files[i] = filepath.Join(place, e.Name())
	}
	return files
}

// appendCerts writes the certificates in data that were not seen yet, each
// under its name, and returns how many there were. What no parser accepts is
// left out, since a strict client would refuse the whole file.
func appendCerts(out *bytes.Buffer, data []byte, seen map[[32]byte]bool) int {
	n := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		sum := sha256.Sum256(block.Bytes)
		if err != nil || seen[sum] {
			continue
		}
		seen[sum] = true
		n++
		fmt.Fprintf(out, "# %s\n", strings.Map(printable, cert.Subject.String()))
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}))
	}
	return n
}

// printable keeps comments of the bundle to ASCII: Python's ssl reads it as
// such where the locale is C.
func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}
