package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"quotagate/certs"
)

// keepRoots adds what the environment trusts already, a company's own CA most
// of the time, and the proxy's own port to what the clients are given: the
// variables that name it are about to be replaced. The joined files go to dir.
func (w *wiring) keepRoots(env map[string]string, dir string) error {
	known, err := os.ReadFile(w.bundle)
	if err != nil {
		return fmt.Errorf("read the certificates: %w", err)
	}
	seen := map[string]bool{}
	newRoots(known, seen)
	extra := newRoots(w.front, seen)
	for _, file := range w.foreignRoots(env, dir) {
		roots, err := os.ReadFile(file)
		if err != nil {
			continue // the client could not read it either
		}
		extra = append(extra, newRoots(roots, seen)...)
	}
	if len(extra) == 0 {
		return nil
	}
	for _, file := range []*string{&w.ca, &w.bundle} {
		own, err := os.ReadFile(*file)
		if err != nil {
			return fmt.Errorf("read the certificates: %w", err)
		}
		joined := slices.Concat(own, extra)
		// Named after what they hold, so that two that start at once do not
		// take each other's.
		sum := sha256.Sum256(joined)
		name := filepath.Join(dir, "roots-"+hex.EncodeToString(sum[:8])+".pem")
		if err := writeFile(name, joined, 0o644); err != nil {
			return fmt.Errorf("write the certificates: %w", err)
		}
		*file = name
	}
	return nil
}

// newRoots are the certificates in a PEM file that were not seen yet.
func newRoots(file []byte, seen map[string]bool) []byte {
	var out []byte
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" && !seen[string(block.Bytes)] {
			seen[string(block.Bytes)] = true
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
	return out
}

// foreignRoots are the files of certificates that env names and that are not
// quotagate's own.
func (w *wiring) foreignRoots(env map[string]string, dir string) []string {
	var files []string
	for _, s := range rootSettings {
		file := env[s.name]
		switch filepath.Dir(file) {
		case dir, filepath.Dir(w.ca), filepath.Dir(w.bundle):
			continue
		}
		if file != "" && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}

// spki is what Chromium wants of the certificates: the base64 SHA-256 of the
// public key of each, as there are two while one CA follows another.
func (w *wiring) spki() (string, error) {
	var all []string
	for block, rest := pem.Decode(w.caPEM); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", fmt.Errorf("read quotagate's certificate: %w", err)
		}
		all = append(all, certs.SPKI(cert))
	}
	if len(all) == 0 {
		return "", errors.New("read quotagate's certificate: no PEM")
	}
	if w.frontKey != "" {
		all = append(all, w.frontKey)
	}
	return strings.Join(all, ","), nil
}
