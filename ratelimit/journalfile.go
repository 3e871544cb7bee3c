package ratelimit

// The journal's file, beside the database and made with it: a header that names
// it, and two halves of records, one behind the other. Its bytes were written
// and synced once before they are used, so a record costs one write and one
// fdatasync, with nothing else for the file system to remember.
//
//	header  what it is (16), its id (16), checksum (4); the rest of a page
//	record  checksum (4), length of the body (4), sequence number (8), body;
//	        each begins at a multiple of 8
//
// A record's checksum (CRC-32C) begins with the journal's id. Sequence numbers
// go up by one and never start over, so what a half held before it was used
// again is told from what it holds now.

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// JournalSuffix makes the name of an embedded store's journal from that of its
// file. It is there while the store is open, and after a crash.
const JournalSuffix = ".journal"

const (
	journalHeader = 4096
	recordHead    = 16
	recordAlign   = 8
	smallestHalf  = 64 << 10
	largestHalf   = 4 << 20
)

var journalMagic = []byte("quotagate-jrnl-1")

// A journalNote is what the database knows of its journal.
type journalNote struct {
	id    [16]byte
	half  int64  // bytes in a half
	first uint64 // the sequence number of the first record that is not in the tree
}

func (n *journalNote) encode() []byte {
	b := append(make([]byte, 4, 36), n.id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(n.half))
	return seal(binary.BigEndian.AppendUint64(b, n.first))
}

func decodeNote(b []byte) (n journalNote, err error) {
	body, ok := unseal(b)
	if !ok || len(body) != 32 {
		return n, fmt.Errorf("what it says of its journal has the wrong checksum: %w", ErrCorrupt)
	}
	copy(n.id[:], body)
	n.half, n.first = int64(binary.BigEndian.Uint64(body[16:])), binary.BigEndian.Uint64(body[24:])
	return n, nil
}

func (n *journalNote) size() int64 { return journalHeader + 2*n.half }

func (n *journalNote) header() []byte {
	b := append(slices.Clone(journalMagic), n.id[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func (n *journalNote) checksum(record []byte) uint32 {
	return crc32.Update(crc32.Checksum(n.id[:], castagnoli), castagnoli, record[4:])
}

// record reads the record that b begins with.
func (n *journalNote) record(b []byte) (r journalRecord, ok bool) {
	if len(b) < recordHead {
		return r, false
	}
	length := int64(binary.BigEndian.Uint32(b[4:]))
	if length == 0 || length > int64(len(b)-recordHead) {
		return r, false
	}
	whole := b[:recordHead+length]
	r = journalRecord{seq: binary.BigEndian.Uint64(b[8:]), body: whole[recordHead:]}
	return r, binary.BigEndian.Uint32(b) == n.checksum(whole)
}

type journalRecord struct {
	seq  uint64
	body []byte
}

func padded(n int) int { return (n + recordAlign - 1) &^ (recordAlign - 1) }

// readJournal returns the bodies of the records that are not in the tree, in
// their order. The last one that was written may be torn: nobody was told that
// it is there, and it is left out. Any other damage is ErrCorrupt.
func readJournal(path string, n journalNote) (bodies [][]byte, err error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("its journal %s is missing: %w", path, ErrCorrupt)
	case err != nil:
		return nil, err
	case n.half <= 0 || int64(len(b)) < n.size():
		return nil, fmt.Errorf("its journal %s is shorter than it should be: %w", path, ErrCorrupt)
	case !bytes.HasPrefix(b, n.header()):
		what := "is damaged"
		other := journalNote{id: [16]byte(b[len(journalMagic):])}
		if bytes.HasPrefix(b, other.header()) {
			what = "belongs to another ledger"
		}
		return nil, fmt.Errorf("its journal %s %s: %w", path, what, ErrCorrupt)
	}
	var sides [2][]journalRecord
	var rests [2][]byte
	for i := range sides {
		side := b[journalHeader+int64(i)*n.half:][:n.half]
		for last := uint64(0); ; {
			r, ok := n.record(side)
			if !ok || last > 0 && r.seq != last+1 {
				break
			}
			last = r.seq
			if r.seq >= n.first {
				sides[i] = append(sides[i], r)
			}
			side = side[min(len(side), padded(recordHead+len(r.body))):]
		}
		rests[i] = side
	}
	if len(sides[0]) > 0 && len(sides[1]) > 0 && sides[0][0].seq > sides[1][0].seq {
		sides[0], sides[1] = sides[1], sides[0]
	}
	last := n.first - 1
	for _, r := range slices.Concat(sides[0], sides[1]) {
		if r.seq != last+1 {
			return nil, fmt.Errorf("its journal %s lacks record %d: %w", path, last+1, ErrCorrupt)
		}
		last = r.seq
		bodies = append(bodies, r.body)
	}
	// Behind a torn record there is nothing newer: it was the last.
	for _, rest := range rests {
		for ; len(rest) >= recordHead; rest = rest[recordAlign:] {
			seq := binary.BigEndian.Uint64(rest[8:])
			if seq <= last || seq-last > uint64(len(b)) { // the second keeps the search short
				continue
			}
			if _, ok := n.record(rest); ok {
				return nil, fmt.Errorf("its journal %s is damaged at record %d: %w", path, last+1, ErrCorrupt)
			}
		}
	}
	return bodies, nil
}

// A journalFile is a journal that is written to.
type journalFile struct {
	journalNote
	f    *os.File
	sync func(*os.File) error // a test makes it fail

	side  int    // the half that is written to
	at    int64  // where in it
	began uint64 // the sequence number of its first record
	next  uint64 // of the next one
}

// createJournal makes a journal, in the place of any that lies there: the
// database must know of none.
func createJournal(path string) (j *journalFile, err error) {
	j = &journalFile{sync: fdatasync, began: 1, next: 1, journalNote: journalNote{half: smallestHalf, first: 1}}
	if _, err := rand.Read(j.id[:]); err != nil {
		return nil, err
	}
	if j.f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.f.Close(), os.Remove(path))
		}
	}()
	if _, err := j.f.WriteAt(make([]byte, j.size()), 0); err != nil {
		return nil, err
	}
	if _, err := j.f.WriteAt(j.header(), 0); err != nil {
		return nil, err
	}
	if err := j.f.Sync(); err != nil {
		return nil, err
	}
	syncDir(filepath.Dir(path))
	return j, nil
}

// fits reports whether the half that is written to has room for a record, and
// whether one that is empty had.
func (j *journalFile) fits(record []byte) (now, ever bool) {
	n := int64(padded(len(record)))
	return n <= j.half-j.at, n <= j.half
}

// append writes a record, whose first recordHead bytes are still to be filled,
// and returns when it is durable. After an error that isFull there is no such
// record; after any other nobody knows.
func (j *journalFile) append(record []byte) error {
	binary.BigEndian.PutUint32(record[4:], uint32(len(record)-recordHead))
	binary.BigEndian.PutUint64(record[8:], j.next)
	binary.BigEndian.PutUint32(record, j.checksum(record))
	if _, err := j.f.WriteAt(record, journalHeader+int64(j.side)*j.half+j.at); err != nil {
		return err
	}
	if err := j.sync(j.f); err != nil {
		return err
	}
	j.at += int64(padded(len(record)))
	j.next++
	return nil
}

// turn goes on at the beginning of the other half, all of which is in the tree.
func (j *journalFile) turn() { j.side, j.at, j.began = 1-j.side, 0, j.next }

// extend makes the file as large as halves of so many bytes need. They are not
// in use before the database knows of them: see restart.
func (j *journalFile) extend(half int64) error {
	size, larger := j.size(), journalNote{half: half}
	if _, err := j.f.WriteAt(make([]byte, larger.size()-size), size); err != nil {
		return errors.Join(err, j.f.Truncate(size))
	}
	return j.f.Sync()
}

// restart begins anew with what the database now knows of the journal, which
// is that all its records are in the tree.
func (j *journalFile) restart(n journalNote) {
	j.journalNote, j.side, j.at, j.began = n, 0, 0, j.next
}

func (j *journalFile) remove() error {
	return errors.Join(j.f.Close(), os.Remove(j.f.Name()))
}
