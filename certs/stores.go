package certs

// This file puts CAs where programs look for those they believe: the system's
// store, by smallstep/truststore, and the NSS databases of a user's browsers.

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/smallstep/truststore"
)

// A Store is a place where programs look for CAs.
type Store interface {
	Name() string
	// Has reports whether the store holds the CA.
	Has(*x509.Certificate) (bool, error)
	// Install and Uninstall change the store and look whether it took; an
	// error that a person can do something about is a *Refusal.
	Install(*x509.Certificate) error
	Uninstall(*x509.Certificate) error
}

var (
	_ Store = systemStore{}
	_ Store = nssStore{}
)

// Limited reports whether a CA by itself is kept to some hosts.
func Limited(c *x509.Certificate) bool { return len(c.PermittedDNSDomains) > 0 }

// nickname is how stores file a CA: the serial number is in it, so that one CA
// is not taken for another.
func nickname(c *x509.Certificate) string { return storePrefix + c.SerialNumber.String() }

const storePrefix = "quotagate-"

// systemStore is what the platform's own programs believe.
type systemStore struct{}

// SystemStore is the platform's store.
func SystemStore() Store { return systemStore{} }

// Name is "system".
func (systemStore) Name() string { return "system" }

// Has looks into the files of the platform's roots, or asks its verifier where
// it has none.
func (systemStore) Has(c *x509.Certificate) (bool, error) {
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		_, err := c.Verify(x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		return err == nil, nil
	}
	for _, place := range SystemRoots() {
		some := false
		for _, file := range filesOf(place) {
			data, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
				if bytes.Equal(block.Bytes, c.Raw) {
					return true, nil
				}
				some = true
			}
		}
		if some { // programs read the first place that holds any
			return false, nil
		}
	}
	return false, nil
}

// Install puts the CA among the platform's anchors.
func (s systemStore) Install(c *x509.Certificate) error { return s.change(c, truststore.Install, true) }

// Uninstall takes it away again.
func (s systemStore) Uninstall(c *x509.Certificate) error {
	return s.change(c, truststore.Uninstall, false)
}

func (s systemStore) change(c *x509.Certificate, do func(*x509.Certificate, ...truststore.Option) error, want bool) error {
	if runtime.GOOS != "windows" && os.Geteuid() != 0 {
		// truststore asks sudo, where there is one.
		if _, err := exec.LookPath("sudo"); err != nil {
			return &Refusal{
				Problem: "the system's store can be changed by root alone",
				Way:     "run this as root, with --data naming this user's data directory; or leave it at --nss, and use `quotagate exec`",
			}
		}
	}
	// The name of its file: by itself truststore takes the CA's, in which
	// anything may stand.
	if err := do(c, truststore.WithPrefix(storePrefix)); err != nil {
		var failed *truststore.CmdError
		if errors.As(err, &failed) {
			return fmt.Errorf("%w: %s", err, bytes.TrimSpace(failed.Out()))
		}
		return err
	}
	return changed(s, c, want)
}

// changed looks whether a store took what it was told.
func changed(s Store, c *x509.Certificate, want bool) error {
	switch has, err := s.Has(c); {
	case err != nil:
		return err
	case has && !want:
		return errors.New("it is there still")
	case !has && want:
		return errors.New("it is not there, although nothing failed")
	}
	return nil
}

// nssStore is a database of Mozilla's library, which Firefox has one of in
// every profile, and Chromium one for each user.
type nssStore struct {
	dir  string
	make bool // it is not there yet
}

// nssPlaces are where browsers have their databases below a home directory:
// mkcert's list (truststore_nss.go, v1.4.4) and the flatpaks'.
var nssPlaces = []string{
	".pki/nssdb",
	"snap/chromium/current/.pki/nssdb",
	".mozilla/firefox/*",
	"snap/firefox/common/.mozilla/firefox/*",
	".var/app/org.mozilla.firefox/.mozilla/firefox/*",
	".var/app/org.chromium.Chromium/data/pki/nssdb",
	"Library/Application Support/Firefox/Profiles/*",
}

// chromiums are browsers that read ~/.pki/nssdb, which they make when they
// first need it.
var chromiums = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "brave-browser"}

// NSSStores are the databases of the user whose home this is. Chromium's is
// among them also before it is there, if a Chromium is.
func NSSStores(home string) []Store {
	if home == "" || runtime.GOOS == "windows" { // browsers there ask the system
		return nil
	}
	var stores []Store
	for _, place := range nssPlaces {
		dirs, err := filepath.Glob(filepath.Join(home, place))
		if err != nil {
			continue // the home directory has a [ in its name
		}
		for _, dir := range dirs {
			if _, err := os.Stat(filepath.Join(dir, "cert9.db")); err == nil {
				stores = append(stores, nssStore{dir: dir})
			}
		}
	}
	own := nssStore{dir: filepath.Join(home, nssPlaces[0])}
	isChromium := func(name string) bool { _, err := exec.LookPath(name); return err == nil }
	if !slices.Contains(stores, Store(own)) && runtime.GOOS == "linux" && slices.ContainsFunc(chromiums, isChromium) {
		own.make = true
		stores = append(stores, own)
	}
	return stores
}

// Name is the directory of the database.
func (s nssStore) Name() string { return s.dir }

// Has reports whether the database holds the CA, as one that is believed.
func (s nssStore) Has(c *x509.Certificate) (bool, error) {
	if _, err := os.Stat(filepath.Join(s.dir, "cert9.db")); err != nil {
		return false, nil
	}
	out, err := s.certutil("-L", "-n", nickname(c), "-a")
	block, _ := pem.Decode(out)
	if missing := (*Refusal)(nil); errors.As(err, &missing) {
		return false, missing
	}
	if err != nil || block == nil || !bytes.Equal(block.Bytes, c.Raw) {
		return false, nil // certutil has one exit code for all it cannot find
	}
	_, err = s.certutil("-V", "-u", "L", "-n", nickname(c)) // L: a CA of servers
	return err == nil, nil
}

// Install makes the database if need be, and puts the CA into it.
func (s nssStore) Install(c *x509.Certificate) error {
	if s.make {
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return fmt.Errorf("make the database: %w", err)
		}
		if _, err := s.certutil("-N", "--empty-password"); err != nil {
			return err
		}
	}
	file, err := os.CreateTemp("", "quotagate-*.pem")
	if err != nil {
		return fmt.Errorf("write the certificate: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(encode(c))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write the certificate: %w", err)
	}
	// C: believed as a CA of servers, not of mail and not of code.
	if _, err := s.certutil("-A", "-t", "C,,", "-n", nickname(c), "-i", file.Name()); err != nil {
		return err
	}
	return changed(s, c, true)
}

// Uninstall takes the CA out of the database.
func (s nssStore) Uninstall(c *x509.Certificate) error {
	if _, err := s.certutil("-D", "-n", nickname(c)); err != nil {
		return err
	}
	return changed(s, c, false)
}

func (s nssStore) certutil(args ...string) ([]byte, error) {
	path, err := exec.LookPath("certutil")
	if err != nil {
		return nil, &Refusal{
			Problem: "certutil, which changes the databases of browsers, is not installed",
			Way:     `install it (apt-get install libnss3-tools, dnf install nss-tools, brew install nss), and run this again`,
			Err:     err,
		}
	}
	cmd := exec.Command(path, append(args, "-d", "sql:"+s.dir)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("certutil %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
