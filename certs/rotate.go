package certs

// This file lets one CA follow another without a moment in which a client
// trusts neither.
//
// Rotate makes the next CA beside the one in force and adds its certificate to
// the file that clients trust; Finish puts its key in place of the old one.
// Since load signs with the certificate that belongs to the key, that one
// rename is the whole change: before it and after it every process finds a
// pair that fits, wherever somebody died. Who fails to rename or to remove the
// next key lost against another process, and touches nothing more.

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// The files of a CA that is to follow, and the certificates of those that
// went before, without keys.
const (
	NextCertFile = "ca-next.pem"
	NextKeyFile  = "ca-next-key.pem"
	OldCertFile  = "ca-old.pem"
)

var (
	// ErrWaiting says that a next CA is there already.
	ErrWaiting = errors.New("the next CA is there already")
	// ErrNothingNext says that no CA waits to follow.
	ErrNothingNext = errors.New("no next CA waits")
)

func nextOf(dir string) files {
	return files{cert: filepath.Join(dir, NextCertFile), key: filepath.Join(dir, NextKeyFile)}
}

// Next is the CA that waits in dir to follow, or ErrNothingNext.
func Next(dir string, o Options) (*x509.Certificate, error) {
	o.fill()
	p, err := load(nextOf(dir), o.Now())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNothingNext
	}
	if err != nil {
		return nil, err
	}
	return p.cas[0], nil
}

// Rotate makes the CA that is to follow the one in dir, limited as Options.Hosts
// says. The old one goes on signing. If one waits already it is returned with
// ErrWaiting.
func Rotate(dir string, o Options) (*x509.Certificate, error) {
	o.fill()
	current, err := load(own(dir), o.Now())
	if err != nil {
		return nil, err
	}
	if stuck(dir, current) {
		return nil, &Refusal{
			Problem: "the last `ca rotate --finish` in " + dir + " stopped half-way",
			Way:     "run `quotagate ca rotate --finish` again",
		}
	}
	next, err := Next(dir, o)
	if err == nil {
		return next, errors.Join(ErrWaiting, trust(dir, current.cas, next))
	}
	if !errors.Is(err, ErrNothingNext) {
		return nil, err
	}
	if _, err := os.Stat(nextOf(dir).key); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(nextOf(dir).cert); err == nil {
			return nil, &Refusal{
				Problem: "the last `ca rotate --cancel` in " + dir + " stopped half-way",
				Way:     "run `quotagate ca rotate --cancel` again",
			}
		}
	}
	p, err := loadOrMake(nextOf(dir), o.recipe())
	if err != nil {
		return nil, err
	}
	return p.cas[0], trust(dir, current.cas, p.cas[0])
}

// Finish lets the next CA sign, and ends the old one, whose key is gone then.
// It returns both.
func Finish(dir string, o Options) (next, old *x509.Certificate, err error) {
	o.fill()
	current, err := load(own(dir), o.Now())
	if err != nil {
		return nil, nil, err
	}
	if stuck(dir, current) {
		return current.cas[0], nil, tidy(dir, current.cas[0], current.others)
	}
	if next, err = Next(dir, o); err != nil {
		return nil, nil, err
	}
	// From here on every reader knows the next certificate, also where Rotate
	// stopped before it had told them.
	if err := trust(dir, current.cas, next); err != nil {
		return nil, nil, err
	}
	err = os.Rename(nextOf(dir).key, own(dir).key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, ErrNothingNext // another process was quicker
	}
	if err != nil {
		return nil, nil, fmt.Errorf("put the next key in place: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return nil, nil, fmt.Errorf("put the next key in place: %w", err)
	}
	return next, current.cas[0], tidy(dir, next, current.cas)
}

// Cancel removes the CA that waits.
func Cancel(dir string, o Options) error {
	o.fill()
	current, err := load(own(dir), o.Now())
	if err != nil {
		return err
	}
	next := nextOf(dir)
	err = os.Remove(next.key)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(next.cert); err != nil || stuck(dir, current) {
			return ErrNothingNext
		}
		err = nil // who cancelled before stopped half-way
	}
	if err != nil {
		return fmt.Errorf("remove the next CA: %w", err)
	}
	return errors.Join(trust(dir, current.cas), remove(next.cert))
}

// stuck reports whether the CA in force is the one that waits: Finish has put
// its key in place, and then stopped.
func stuck(dir string, current pair) bool {
	data, err := os.ReadFile(nextOf(dir).cert)
	if err != nil {
		return false
	}
	certs, err := parseCerts(data)
	return err == nil && certs[0].Equal(current.cas[0])
}

// tidy ends what Finish began. The certificate that waits goes last: as long
// as it is there, nobody can make another next CA.
func tidy(dir string, now *x509.Certificate, before []*x509.Certificate) error {
	old, err := os.ReadFile(filepath.Join(dir, OldCertFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the old certificates: %w", err)
	}
	for _, c := range before {
		if one := encode(c); !bytes.Contains(old, one) {
			old = append(old, one...)
		}
	}
	return errors.Join(
		replace(filepath.Join(dir, OldCertFile), old),
		trust(dir, []*x509.Certificate{now}),
		remove(nextOf(dir).cert),
	)
}

// Old are the certificates of the CAs that went before in dir.
func Old(dir string) []*x509.Certificate {
	data, err := os.ReadFile(filepath.Join(dir, OldCertFile))
	if err != nil {
		return nil
	}
	certs, err := parseCerts(data)
	if err != nil {
		return nil // nothing depends on it but tidying up
	}
	return certs
}

// trust writes the certificates that clients are given.
func trust(dir string, signs []*x509.Certificate, more ...*x509.Certificate) error {
	var out []byte
	for _, c := range slices.Concat(signs, more) {
		out = append(out, encode(c)...)
	}
	path := own(dir).cert
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, out) {
		return nil
	}
	return replace(path, out)
}

func encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// replace puts data under path in one step, whatever was there.
func replace(path string, data []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	tmp, err := written(path, data, 0o644)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}
