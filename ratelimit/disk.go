package ratelimit

// The file of the embedded store: a bbolt database with a tree of values, a
// journal in front of it (see journal.go), and a few words about itself. This,
// disk_walk.go and compact.go are the only files that know bbolt.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	youngImages = 8 << 10 // a generation is full with so many images
	youngBytes  = 4 << 20 // or with a journal of so many bytes
)

var (
	bucketTree     = []byte("tree")
	bucketMeta     = []byte("meta")
	bucketJournals = [2][]byte{[]byte("journal-0"), []byte("journal-1")}
	keyVersion     = []byte("version")
	keyClock       = []byte("clock")
)

// boltTx is what the commit of a disk ends.
type boltTx = bolt.Tx

type disk struct {
	db *bolt.DB
	// commit ends a transaction; a test makes it fail.
	commit func(*boltTx) error

	images  generations
	journal int // of the young generation: which of bucketJournals
	bytes   int // in it
	seq     uint64
	buf     []byte
	clock   int64 // the highest time on disk
}

func openDisk(path string) (d *disk, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := verify(path); err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	defer func() {
		// bbolt panics where it finds its own pages damaged.
		if p := recover(); p != nil {
			d, err = nil, fmt.Errorf("open ledger %s: %v: %w", path, p, ErrCorrupt)
		}
	}()
	db, err := openBolt(path)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	d = &disk{db: db, commit: (*bolt.Tx).Commit, images: newGenerations()}
	if err := d.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", path, err), db.Close())
	}
	syncDir(filepath.Dir(path))
	return d, nil
}

// openBolt opens the file for writing and has it for itself.
func openBolt(path string) (*bolt.DB, error) {
	var file *os.File
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:        time.Second,
		NoFreelistSync: true, // rewriting the list of free pages at every commit costs more than the commit
		FreelistType:   bolt.FreelistMapType,
		NoStatistics:   true,
		OpenFile: func(name string, flag int, perm os.FileMode) (f *os.File, err error) {
			f, err = os.OpenFile(name, flag, perm)
			file = f
			return f, err
		},
	})
	if err != nil {
		return nil, openError(err)
	}
	// While it waited for its turn another may have put a compacted file in
	// its place: what is written to this one would be lost.
	ours, err := file.Stat()
	if err == nil {
		var named os.FileInfo
		if named, err = os.Stat(path); err == nil && !os.SameFile(ours, named) {
			err = ErrLocked
		}
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// verify reads a file from end to end before it is written to: every page on
// the way to a key, and the checksum of every value. bbolt has no checksums of
// its own and panics, or faults, on what is damaged.
func verify(path string) (err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v: %w", p, ErrCorrupt)
		}
	}()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return openError(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("it is shorter than it should be: %w", ErrCorrupt)
		}
		left := info.Size() // more keys than bytes: the pages go round in a circle
		for _, name := range [][]byte{bucketTree, bucketJournals[0], bucketJournals[1]} {
			b := tx.Bucket(name)
			if b == nil {
				continue
			}
			c := b.Cursor()
			var last []byte
			for k, v := c.First(); k != nil; k, v = c.Next() {
				if _, ok := unseal(v); !ok || left < 0 {
					return fmt.Errorf("a value has the wrong checksum: %w", ErrCorrupt)
				}
				if last != nil && bytes.Compare(last, k) >= 0 {
					return fmt.Errorf("its keys are not in order: %w", ErrCorrupt)
				}
				last = k
				left -= int64(len(k) + len(v))
			}
		}
		return nil
	})
}

func openError(err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum),
		errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrInvalidMapping):
		return fmt.Errorf("%w: %w", err, ErrCorrupt)
	case isFull(err):
		return fmt.Errorf("%w: %w", err, ErrStorage)
	}
	return err
}

// syncDir makes a new file's name durable. Where directories cannot be synced
// the file system takes care of it.
func syncDir(dir string) {
	if f, err := os.Open(dir); err == nil {
		_ = f.Sync()
		_ = f.Close()
	}
}

// recover reads the version, the clock and the journals, and carries what
// they hold over.
func (d *disk) recover() error {
	tx, err := d.db.Begin(true)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	switch v := meta.Get(keyVersion); {
	case v == nil, string(v) == olderFormat:
		if err := meta.Put(keyVersion, []byte(formatVersion)); err != nil {
			return err
		}
	case string(v) != formatVersion:
		return fmt.Errorf("its format is version %q, this quotagate knows version %s; use the quotagate that wrote it", v, formatVersion)
	}
	if c := meta.Get(keyClock); len(c) == 8 {
		d.clock = int64(binary.BigEndian.Uint64(c))
	}
	if _, err := tx.CreateBucketIfNotExists(bucketTree); err != nil {
		return err
	}
	var journals []*bolt.Bucket
	for _, name := range bucketJournals {
		if b := tx.Bucket(name); b != nil {
			journals = append(journals, b)
		}
	}
	slices.SortFunc(journals, func(a, b *bolt.Bucket) int {
		x, _ := a.Cursor().First()
		y, _ := b.Cursor().First()
		return strings.Compare(string(x), string(y))
	})
	for _, j := range journals {
		err := j.ForEach(func(_, chunk []byte) error {
			now, err := d.images.replay(chunk)
			d.clock = max(d.clock, now)
			return err
		})
		if err != nil {
			return err
		}
	}
	d.images.turn()
	if err := d.carryOver(tx, len(d.images.carry)); err != nil {
		return err
	}
	for _, name := range bucketJournals {
		if tx.Bucket(name) != nil {
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
		}
	}
	if _, err := tx.CreateBucket(bucketJournals[0]); err != nil {
		return err
	}
	if err := d.putClock(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		if isFull(err) {
			err = fmt.Errorf("%w: %w", err, ErrStorage)
		}
		return err
	}
	d.images = newGenerations()
	return nil
}

func (d *disk) putClock(tx *bolt.Tx) error {
	return tx.Bucket(bucketMeta).Put(keyClock, binary.BigEndian.AppendUint64(nil, uint64(d.clock)))
}

// get returns the value of a key, nil if there is none. It may lie in the
// mapped file: it is good for reading until the next write.
func (d *disk) get(key []byte) ([]byte, error) {
	v, ok := d.images.get(key)
	if ok {
		return v, nil
	}
	err := d.db.View(func(tx *bolt.Tx) error {
		v = tx.Bucket(bucketTree).Get(key)
		return nil
	})
	return v, err
}

// write commits a group. It is durable when write returns nil; after an error
// that is ErrStorage nothing has changed, after any other nobody knows.
func (d *disk) write(images []image, now int64) error {
	tx, err := d.db.Begin(true)
	if err != nil {
		return err
	}
	id := tx.ID()
	next, err := d.fill(tx, images, now)
	if err != nil {
		_ = tx.Rollback()
	} else {
		err = d.commit(tx)
	}
	if err != nil {
		if isFull(err) && d.committed() != id {
			return fmt.Errorf("%w: %w", err, ErrStorage)
		}
		return err
	}
	d.clock = now
	d.seq, d.bytes = next.seq, next.bytes
	d.images.add(images, next.carried)
	if next.turned {
		d.images.turn()
		d.journal, d.bytes = 1-d.journal, 0
	}
	return nil
}

// A step is how far a transaction brought the disk, once it is committed.
type step struct {
	seq     uint64
	bytes   int
	carried int
	turned  bool // the young generation becomes the old one
}

func (d *disk) fill(tx *bolt.Tx, images []image, now int64) (step, error) {
	s := step{seq: d.seq, bytes: d.bytes}
	j := tx.Bucket(bucketJournals[d.journal])
	var err error
	d.buf, err = appendChunks(d.buf[:0], images, now, func(chunk []byte) error {
		key := binary.BigEndian.AppendUint64(nil, s.seq)
		s.seq++
		s.bytes += len(chunk)
		return j.Put(key, chunk)
	})
	if err != nil {
		return s, err
	}
	s.carried = min(len(d.images.carry), 2*len(images)+2)
	if err := d.carryOver(tx, s.carried); err != nil {
		return s, err
	}
	if s.carried < len(d.images.carry) {
		return s, nil
	}
	other := bucketJournals[1-d.journal]
	if tx.Bucket(other) != nil {
		if err := tx.DeleteBucket(other); err != nil {
			return s, err
		}
	}
	if len(d.images.young)+len(images) < youngImages && s.bytes < youngBytes {
		return s, nil
	}
	s.turned = true
	if _, err := tx.CreateBucket(other); err != nil {
		return s, err
	}
	d.clock = now
	return s, d.putClock(tx)
}

// carryOver puts the first n of the images to carry into the tree. What has
// changed since is covered by the young generation's journal.
func (d *disk) carryOver(tx *bolt.Tx, n int) error {
	if n == 0 {
		return nil
	}
	tree := tx.Bucket(bucketTree)
	for _, key := range d.images.carry[:n] {
		if _, ok := d.images.young[key]; ok {
			continue
		}
		var err error
		if v := d.images.old[key]; v != nil {
			err = tree.Put([]byte(key), v)
		} else {
			err = tree.Delete([]byte(key))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// committed returns the number of the last transaction that is in the file.
func (d *disk) committed() (id int) {
	_ = d.db.View(func(tx *bolt.Tx) error {
		id = tx.ID()
		return nil
	})
	return id
}

func (d *disk) close() error { return d.db.Close() }
