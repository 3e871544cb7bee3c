package certs

// This file keeps the CA in the data directory, so that any number of
// processes that start at once, or die half-way, end up with one CA.
//
// A file appears under its name only whole and on the disk, and never
// replaces one that is there: it is written under another name, synced, and
// linked. The key comes first. Whoever finds a key without a certificate (its
// maker is just about to publish it, or died) makes a certificate for that
// key; the first link wins, and everyone reads what is there afterwards.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// loadOrMake returns the CA in dir, which it makes if there is none.
func loadOrMake(dir, host string, now time.Time) (pair, error) {
	certPath, keyPath := filepath.Join(dir, CertFile), filepath.Join(dir, KeyFile)

	if err := os.MkdirAll(dir, 0o700); err != nil {
		return pair{}, fmt.Errorf("make the data directory: %w", err)
	}
	// The certificate is looked for first: if it is there, its key, which was
	// published before it, has to be there too.
	_, statErr := os.Stat(certPath)
	keyPEM, err := readKey(keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		if statErr == nil {
			return pair{}, &Refusal{
				Problem: fmt.Sprintf("the CA in %s has no key: %s is missing", certPath, keyPath),
				Way:     fmt.Sprintf("put %s back, or move %s away to have a new CA made", keyPath, certPath),
				Err:     err,
			}
		}
		if keyPEM, err = newKey(); err != nil {
			return pair{}, err
		}
		if err := publish(keyPath, keyPEM, 0o600); err != nil {
			return pair{}, err
		}
		keyPEM, err = readKey(keyPath) // ours, or that of another process
	}
	if err != nil {
		return pair{}, err
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return pair{}, unreadable(keyPath, certPath, err)
	}

	certPEM, err := os.ReadFile(certPath)
	if errors.Is(err, fs.ErrNotExist) {
		if certPEM, err = newCA(key, host, now); err != nil {
			return pair{}, err
		}
		if err := publish(certPath, certPEM, 0o644); err != nil {
			return pair{}, err
		}
		certPEM, err = os.ReadFile(certPath)
	}
	if err != nil {
		return pair{}, fmt.Errorf("read the CA: %w", err)
	}
	cert, chain, err := parseChain(certPEM)
	if err != nil {
		return pair{}, unreadable(certPath, keyPath, err)
	}
	if refusal := judge(cert, key, certPath, keyPath, now); refusal != nil {
		return pair{}, refusal
	}
	return pair{cert: cert, chain: chain, signer: key}, nil
}

// readKey reads a key that only its owner can read. Windows has no such bits;
// there the profile folder's access list protects it.
func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the CA's key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of the open file, not of what has the name by then
	if err != nil {
		return nil, fmt.Errorf("read the CA's key: %w", err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, &Refusal{
			Problem: fmt.Sprintf("the CA's key %s can be read by others (mode %04o): with it anyone can pose as the hosts in the rules", path, mode),
			Way:     "chmod 600 " + path + " if nobody else has read it; if somebody may have, move it away to have a new CA made",
		}
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read the CA's key: %w", err)
	}
	return data, nil
}

// publish puts data under path unless something is there.
func publish(path string, data []byte, mode fs.FileMode) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	switch err := os.Link(tmp.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, syscall.EPERM), errors.Is(err, errors.ErrUnsupported):
		// A file system without links (exFAT, some network drives): there the
		// last of two processes wins, and the other's leaves are not trusted
		// until it starts again.
		if err := os.Rename(tmp.Name(), path); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name survive a power failure.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // folders cannot be synced there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func unreadable(path, other string, err error) *Refusal {
	return &Refusal{
		Problem: fmt.Sprintf("%s cannot be read as PEM: %v", path, err),
		Way:     fmt.Sprintf("put the right file back, or move it and %s away to have a new CA made", other),
		Err:     err,
	}
}
