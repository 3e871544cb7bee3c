package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root writes the certificate of a CA of its own and returns it.
func root(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	a := open(t, t.TempDir(), Options{Host: filepath.Base(path)})
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, "# a comment\n"+string(a.PEM()), 0o644)
	return a.current().cas[0]
}

func certsIn(t *testing.T, data []byte) (all []*x509.Certificate) {
	t.Helper()
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func TestTheBundleIsTheFirstRootsFoundAndTheCA(t *testing.T) {
	dir := t.TempDir()
	file := root(t, filepath.Join(dir, "file.pem"))
	one, two := root(t, filepath.Join(dir, "folder/1.pem")), root(t, filepath.Join(dir, "folder/2.pem"))
	writeFile(t, filepath.Join(dir, "folder/readme"), "no certificate", 0o644)
	writeFile(t, filepath.Join(dir, "empty.pem"), "", 0o644)
	copyFile(t, filepath.Join(dir, "folder/1.pem"), filepath.Join(dir, "folder/3.pem"))

	for _, c := range []struct {
		name   string
		places []string
		want   []*x509.Certificate
	}{
		{"a file", []string{"missing.pem", "empty.pem", "file.pem", "folder"}, []*x509.Certificate{file}},
		{"a folder, nothing twice", []string{"missing", "folder", "file.pem"}, []*x509.Certificate{one, two}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, p := range c.places {
				c.places[i] = filepath.Join(dir, p)
			}
			a := open(t, t.TempDir(), Options{SystemRoots: c.places})
			bundle, err := a.Bundle()
			if err != nil {
				t.Fatal(err)
			}
			got := certsIn(t, bundle)
			want := append(c.want, a.current().cas[0])
			if len(got) != len(want) {
				t.Fatalf("%d certificates, want %d", len(got), len(want))
			}
			for i := range got {
				if !got[i].Equal(want[i]) {
					t.Errorf("certificate %d is %s", i, got[i].Subject)
				}
			}
		})
	}
}

func TestABundleOfABundleHoldsTheCAOnce(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	root(t, filepath.Join(dir, "roots.pem"))
	first, err := open(t, data, Options{SystemRoots: []string{filepath.Join(dir, "roots.pem")}}).Bundle()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "bundle.pem"), string(first), 0o644)
	second, err := open(t, data, Options{SystemRoots: []string{filepath.Join(dir, "bundle.pem")}}).Bundle()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("it grew")
	}
}

func TestNoRootsOfTheSystemIsSaid(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.pem")
	_, err := open(t, t.TempDir(), Options{SystemRoots: []string{missing}}).Bundle()
	var refusal *Refusal
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Problem, missing) || !strings.Contains(refusal.Way, "SSL_CERT_FILE") {
		t.Errorf("got %v", err)
	}
}

func TestTheBundleOfThisMachineIsASCIIAndWhole(t *testing.T) {
	bundle, err := open(t, t.TempDir(), Options{}).Bundle()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(certsIn(t, bundle)); n < 50 {
		t.Errorf("only %d certificates", n)
	}
	for _, c := range bundle {
		if c > '~' {
			t.Fatal("not ASCII")
		}
	}
}
