package ratelimit

// Compaction: bbolt reuses the pages that it frees, and never gives them back.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// compactAtOnce is about how many bytes are copied in one transaction.
const compactAtOnce = 1 << 20

// Compact rewrites the file of an embedded store without the room that it no
// longer needs, and returns its size before and after. No process may have it
// open. The file is replaced in one step: whatever goes wrong, the old one is
// there, whole.
//
// The error wraps ErrLocked, ErrCorrupt or ErrStorage as OpenEmbedded's does.
func Compact(path string) (before, after int64, err error) {
	before, after, err = compact(path)
	if err != nil {
		return 0, 0, fmt.Errorf("compact ledger %s: %w", path, err)
	}
	return before, after, nil
}

func compact(path string) (before, after int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	from, err := openDisk(path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, from.db.Close()) }()
	// What is left in the journal is copied with the tree: after this it is in it.
	if err := from.rest(); err != nil {
		return 0, 0, errors.Join(err, from.journal.f.Close())
	}
	part := path + ".compacting"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, 0, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	if err := copyTo(part, from.db); err != nil {
		if isFull(err) {
			err = fmt.Errorf("%w: %w", err, ErrStorage)
		}
		return 0, 0, err
	}
	if err := verify(part); err != nil {
		return 0, 0, err
	}
	small, err := os.Stat(part)
	if err != nil {
		return 0, 0, err
	}
	// The old file is still ours: whoever waits for it finds that it is not
	// the one of that name any more.
	if err := os.Rename(part, path); err != nil {
		return 0, 0, err
	}
	syncDir(filepath.Dir(path))
	return info.Size(), small.Size(), nil
}

func copyTo(path string, from *bolt.DB) (err error) {
	to, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if err := bolt.Compact(to, from, compactAtOnce); err != nil {
		return err
	}
	return to.Sync()
}
