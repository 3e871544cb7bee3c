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
)

// files are where a CA lies.
type files struct {
	cert, key string
	// brought says that they are somebody else's: they are read and nothing
	// else, and a group may read the key, as orchestrators mount secrets.
	brought bool
}

// own are the files of the CA in a data directory.
func own(dir string) files {
	return files{cert: filepath.Join(dir, CertFile), key: filepath.Join(dir, KeyFile)}
}

// again says how to do without these files.
func (f files) again() string {
	if f.brought {
		return "give quotagate another pair, or none, to have one made"
	}
	return fmt.Sprintf("move %s and %s away to have a new CA made, and let the clients trust that one", f.cert, f.key)
}

// loadOrMake returns the CA in the files, which it makes if there is none.
func loadOrMake(f files, r recipe) (pair, error) {
	if err := os.MkdirAll(filepath.Dir(f.key), 0o700); err != nil {
		return pair{}, fmt.Errorf("make the data directory: %w", err)
	}
	// The certificate is looked for first: if it is there, its key, which was
	// published before it, has to be there too.
	_, statErr := os.Stat(f.cert)
	keyPEM, err := f.readKey()
	if errors.Is(err, fs.ErrNotExist) && statErr != nil {
		if keyPEM, err = newKey(); err != nil {
			return pair{}, err
		}
		// A CA that cannot be made leaves no key behind.
		if _, err := f.newCert(keyPEM, r); err != nil {
			return pair{}, err
		}
		if err := publish(f.key, keyPEM, 0o600); err != nil {
			return pair{}, err
		}
		keyPEM, err = f.readKey() // ours, or that of another process
	}
	if err == nil && errors.Is(statErr, fs.ErrNotExist) {
		certPEM, err := f.newCert(keyPEM, r)
		if err != nil {
			return pair{}, err
		}
		if err := publish(f.cert, certPEM, 0o644); err != nil {
			return pair{}, err
		}
	}
	return load(f, r.now)
}

// newCert is a certificate for the CA whose key this is.
func (f files) newCert(keyPEM []byte, r recipe) ([]byte, error) {
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, f.unreadable(f.key, f.cert, err)
	}
	return newCA(key, r)
}

// readKey reads a key that only its owner can read. Windows has no such bits;
// there the profile folder's access list protects it.
func (at files) readKey() ([]byte, error) {
	path, others := at.key, os.FileMode(0o077)
	if at.brought {
		others = 0o037
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the CA's key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of the open file, not of what has the name by then
	if err != nil {
		return nil, fmt.Errorf("read the CA's key: %w", err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&others != 0 {
		return nil, &Refusal{
			Problem: fmt.Sprintf("the CA's key %s can be read by others (mode %04o): with it anyone can pose as the hosts in the rules", path, mode),
			Way:     "chmod 600 " + path + " if nobody else has read it; if somebody may have, " + at.again(),
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
	tmp, err := written(path, data, mode)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	switch err := os.Link(tmp, path); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, syscall.EPERM), errors.Is(err, errors.ErrUnsupported):
		// A file system without links (exFAT, some network drives): there the
		// last of two processes wins, and the other's leaves are not trusted
		// until it starts again.
		if err := os.Rename(tmp, path); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	return syncDir(filepath.Dir(path))
}

// written puts data, whole and on the disk, into a file beside path.
func written(path string, data []byte, mode fs.FileMode) (string, error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		os.Remove(tmp.Name())
	}
	return tmp.Name(), err
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

func (f files) unreadable(path, other string, err error) *Refusal {
	way := fmt.Sprintf("put the right file back, or move it and %s away to have a new CA made", other)
	if f.brought {
		way = "put the right file there"
	}
	return &Refusal{Problem: fmt.Sprintf("%s cannot be read as PEM: %v", path, err), Way: way, Err: err}
}
