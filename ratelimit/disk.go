package ratelimit

// The file of the embedded store: a bbolt database with a tree of values and a
// few words about itself, and a journal in front of it (see journal.go). The
// files disk*.go and compact.go are the only ones that know bbolt.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var (
	bucketTree = []byte("tree")
	bucketMeta = []byte("meta")
	keyVersion = []byte("version")
	keyClock   = []byte("clock")
	keyJournal = []byte("journal") // a journalNote, from when there is a journal to when it is all in the tree

	// Until version 2 the journal lay in the database itself.
	bucketJournals = [2][]byte{[]byte("journal-0"), []byte("journal-1")}
)

// carryAtOnce is how many images go to the tree in one transaction, behind the
// callers' backs: what is synced at once keeps them waiting.
const carryAtOnce = 2048

// boltTx is what the commit of a disk ends.
type boltTx = bolt.Tx

type disk struct {
	db *bolt.DB
	// commit ends a transaction; a test makes it fail.
	commit func(*boltTx) error

	journal *journalFile
	images  generations
	carried chan error // hears how it went with the old generation; nil when nobody is at it
	buf     []byte
	clock   int64  // the highest time on disk
	failed  bool   // nobody knows what is on it
	was     string // the format that it was found in; "" if it was just made
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

// recover reads the version, the clock and the journal, puts what that holds
// into the tree, and makes a new one. Nothing is written before all was read.
func (d *disk) recover() error {
	path := d.db.Path() + JournalSuffix
	err := d.update(func(tx *bolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists(bucketMeta)
		if err != nil {
			return err
		}
		if v := string(meta.Get(keyVersion)); v != "" && v != formatVersion && !slices.Contains(olderFormats, v) {
			return fmt.Errorf("its format is version %q, this quotagate knows version %s: %w", v, formatVersion, ErrNewer)
		}
		d.was = string(meta.Get(keyVersion))
		if c := meta.Get(keyClock); len(c) == 8 {
			d.clock = int64(binary.BigEndian.Uint64(c))
		}
		if err := d.replay(tx, path); err != nil {
			return err
		}
		if _, err := tx.CreateBucketIfNotExists(bucketTree); err != nil {
			return err
		}
		if err := putImages(tx, d.images.young, slices.Sorted(maps.Keys(d.images.young))); err != nil {
			return err
		}
		for _, name := range bucketJournals {
			if err := tx.DeleteBucket(name); err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
				return err
			}
		}
		return errors.Join(meta.Put(keyVersion, []byte(formatVersion)), putClock(tx, d.clock), putNote(tx, nil))
	})
	if err != nil {
		return err
	}
	d.images = newGenerations()
	if d.journal, err = createJournal(path); err != nil {
		if isFull(err) {
			err = fmt.Errorf("%w: %w", err, ErrStorage)
		}
		return err
	}
	err = d.update(func(tx *bolt.Tx) error { return putNote(tx, &d.journal.journalNote) })
	if err != nil {
		return errors.Join(err, d.journal.remove())
	}
	return nil
}

// replay reads the journal, wherever it lies, into the young generation.
func (d *disk) replay(tx *bolt.Tx, path string) error {
	var groups [][]byte
	if b := tx.Bucket(bucketMeta).Get(keyJournal); b != nil {
		note, err := decodeNote(b)
		if err != nil {
			return err
		}
		if groups, err = readJournal(path, note); err != nil {
			return err
		}
	}
	chunks := map[string][]byte{} // of a former version, by the order of writing
	for _, name := range bucketJournals {
		if b := tx.Bucket(name); b != nil {
			if err := b.ForEach(func(k, v []byte) error { chunks[string(k)] = v; return nil }); err != nil {
				return err
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(chunks)) {
		body, ok := unseal(chunks[k])
		if !ok {
			return fmt.Errorf("read the journal: wrong checksum: %w", ErrCorrupt)
		}
		groups = append(groups, body)
	}
	for _, g := range groups {
		now, err := d.images.replay(g)
		if err != nil {
			return err
		}
		d.clock = max(d.clock, now)
	}
	return nil
}

func putClock(tx *bolt.Tx, clock int64) error {
	return tx.Bucket(bucketMeta).Put(keyClock, binary.BigEndian.AppendUint64(nil, uint64(clock)))
}

// putNote writes down what is known of the journal; nil is that there is none.
func putNote(tx *bolt.Tx, n *journalNote) error {
	if n == nil {
		return tx.Bucket(bucketMeta).Delete(keyJournal)
	}
	return tx.Bucket(bucketMeta).Put(keyJournal, n.encode())
}

func putImages(tx *bolt.Tx, images map[string][]byte, keys []string) (err error) {
	tree := tx.Bucket(bucketTree)
	for _, key := range keys {
		if v := images[key]; v != nil {
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

// update is a transaction. After an error that is ErrStorage nothing has
// changed, after any other nobody knows.
func (d *disk) update(f func(*bolt.Tx) error) error {
	tx, err := d.db.Begin(true)
	if err != nil {
		return err
	}
	id := tx.ID()
	if err = f(tx); err != nil {
		_ = tx.Rollback()
	} else {
		err = d.commit(tx)
	}
	if err != nil && isFull(err) && d.committed() != id {
		return fmt.Errorf("%w: %w", err, ErrStorage)
	}
	return err
}

// get returns the value of a key, nil if there is none.
func (d *disk) get(key []byte) ([]byte, error) {
	v, ok := d.images.get(key)
	if ok {
		return v, nil
	}
	err := d.db.View(func(tx *bolt.Tx) error {
		v = slices.Clone(tx.Bucket(bucketTree).Get(key))
		return nil
	})
	return v, err
}

// write commits a group. It is durable when write returns nil; after an error
// that is ErrStorage nothing has changed, after any other nobody knows.
func (d *disk) write(images []image, now int64) (err error) {
	defer func() { d.failed = d.failed || err != nil && !errors.Is(err, ErrStorage) }()
	d.buf = appendGroup(append(d.buf[:0], make([]byte, recordHead)...), images, now)
	fits, err := d.room(d.buf)
	if err != nil {
		return err
	}
	if !fits {
		return d.carryAll(images, now, &d.journal.journalNote)
	}
	if err := d.journal.append(d.buf); err != nil {
		if isFull(err) {
			err = fmt.Errorf("%w: %w", err, ErrStorage)
		}
		return err
	}
	d.clock = now
	d.images.add(images)
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

// rest brings everything into the tree and ends the journal: the database is
// whole without it.
func (d *disk) rest() error {
	if err := d.carryAll(nil, d.clock, nil); err != nil {
		return err
	}
	return d.journal.remove()
}

func (d *disk) close() (err error) {
	if d.failed {
		_ = d.waitForCarrier()
	} else if err = d.rest(); err == nil {
		return d.db.Close()
	} else if errors.Is(err, ErrStorage) {
		err = nil // what is not in the tree is in the journal
	}
	return errors.Join(err, d.journal.f.Close(), d.db.Close())
}
