package ratelimit

// The journal's file: what a crash leaves of it is read rightly, or not at all.

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// crashed copies the files of an open store, as they would be after a kill -9
// now, and returns the copy's path. The goroutine that carries over has ended.
func crashed(t *testing.T, e *Embedded) string {
	t.Helper()
	err := e.call(t.Context(), func() error {
		if err := e.disk.waitForCarrier(); !errors.Is(err, ErrStorage) {
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	for _, suffix := range []string{"", JournalSuffix} {
		b, err := os.ReadFile(e.disk.db.Path() + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// send counts one message of each account, in a group of its own.
func send(t *testing.T, e *Embedded, accounts ...string) {
	t.Helper()
	for _, a := range accounts {
		d, err := e.Reserve(t.Context(), Request{ID: fmt.Sprint(a, e.disk.journal.next), Account: a, Claims: []Claim{lifetime("life", 1<<40)}})
		if err != nil || d.Verdict != Go {
			t.Fatalf("%s: %+v, %v", a, d, err)
		}
	}
}

// counts opens a store and says what the accounts have used.
func counts(t *testing.T, path string, c *fakeClock, accounts ...string) (used []int64) {
	t.Helper()
	e := openAt(t, path, c)
	defer func() { _ = e.Close() }()
	for _, a := range accounts {
		d, err := e.Reserve(t.Context(), Request{Account: a, Claims: []Claim{lifetime("life", 1<<40)}, Dry: true})
		if err != nil {
			t.Fatal(err)
		}
		used = append(used, d.Uses[0].Used)
	}
	return used
}

// records are where the records of the first half begin, and where they end.
func records(t *testing.T, b []byte) (at []int) {
	t.Helper()
	n := journalHeader
	for binary.BigEndian.Uint32(b[n+4:]) > 0 {
		at = append(at, n)
		n += padded(recordHead + int(binary.BigEndian.Uint32(b[n+4:])))
	}
	return append(at, n)
}

var five = []string{"a", "b", "c", "d", "e"}

func TestNothingIsAnsweredBeforeItIsSynced(t *testing.T) {
	c := &fakeClock{ms: t0}
	e := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
	defer func() { _ = e.Close() }()
	syncing, synced := make(chan []byte), make(chan struct{})
	e.disk.journal.sync = func(f *os.File) error {
		b, err := os.ReadFile(f.Name())
		syncing <- b
		<-synced
		return errors.Join(err, fdatasync(f))
	}
	answered := make(chan error, 1)
	go func() {
		_, err := e.Reserve(context.Background(), Request{ID: "1", Account: "anna", Claims: []Claim{lifetime("life", 1)}})
		answered <- err
	}()
	var b []byte
	select {
	case b = <-syncing:
	case err := <-answered:
		t.Fatalf("answered and never synced: %v", err)
	}
	if at := records(t, b); len(at) != 2 || !bytes.Contains(b[at[0]:at[1]], []byte("anna")) {
		t.Errorf("what is synced has its records at %v", at)
	}
	select {
	case err := <-answered:
		t.Errorf("answered before it was synced: %v", err)
	default:
	}
	close(synced)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestATornLastRecordIsLeftOut(t *testing.T) {
	c := &fakeClock{ms: t0}
	e := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
	send(t, e, five...)
	path := crashed(t, e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	database, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	journal, err := os.ReadFile(path + JournalSuffix)
	if err != nil {
		t.Fatal(err)
	}
	at := records(t, journal)
	if len(at) != len(five)+1 {
		t.Fatalf("records at %v", at)
	}
	last, end := at[4], at[5]
	for end--; journal[end] == 0; end-- { // what is lost of zeros is not lost
	}
	for cut := last; cut <= end; cut++ {
		torn := slices.Clone(journal)
		clear(torn[cut : end+1])
		if err := errors.Join(os.WriteFile(path, database, 0o600), os.WriteFile(path+JournalSuffix, torn, 0o600)); err != nil {
			t.Fatal(err)
		}
		if got := counts(t, path, c, five...); !slices.Equal(got, []int64{1, 1, 1, 1, 0}) {
			t.Errorf("cut at byte %d of the last record: %v", cut-last, got)
		}
	}
}

func TestADamagedJournalIsNotTrusted(t *testing.T) {
	c := &fakeClock{ms: t0}
	e := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
	send(t, e, five...)
	other := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
	foreign, err := os.ReadFile(crashed(t, other) + JournalSuffix)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = e.Close(), other.Close() }()
	for _, kase := range []struct {
		name, says string
		damage     func(b []byte, at []int) []byte
	}{
		{"missing", "is missing", func([]byte, []int) []byte { return nil }},
		{"empty", "is shorter than it should be", func(b []byte, _ []int) []byte { return b[:0] }},
		{"a byte short", "is shorter than it should be", func(b []byte, _ []int) []byte { return b[:len(b)-1] }},
		{"of another ledger", "belongs to another ledger", func([]byte, []int) []byte { return foreign }},
		{"no header", "is damaged", func(b []byte, _ []int) []byte { clear(b[:journalHeader]); return b }},
		{"a bit of its id", "is damaged", func(b []byte, _ []int) []byte { b[20] ^= 1; return b }},
		{"the first record gone", "is damaged at record 1", func(b []byte, at []int) []byte { clear(b[at[0]:at[1]]); return b }},
		{"one in the middle gone", "is damaged at record 3", func(b []byte, at []int) []byte { clear(b[at[2]:at[3]]); return b }},
		{"a bit of a body", "is damaged at record 3", func(b []byte, at []int) []byte { b[at[3]-recordAlign] ^= 1; return b }},
		{"a length that is too large", "is damaged at record 2", func(b []byte, at []int) []byte { b[at[1]+4] = 0x7f; return b }},
		{"a length that leads astray", "is damaged at record 2", func(b []byte, at []int) []byte { b[at[1]+7] ^= 8; return b }},
		{"a sequence number", "is damaged at record 2", func(b []byte, at []int) []byte { b[at[1]+15] ^= 1; return b }},
		{"one taken out", "is damaged at record 2", func(b []byte, at []int) []byte {
			return append(slices.Delete(b, at[1], at[2]), make([]byte, at[2]-at[1])...)
		}},
		{"the first taken out", "lacks record 1", func(b []byte, at []int) []byte {
			return append(slices.Delete(b, at[0], at[1]), make([]byte, at[1]-at[0])...)
		}},
	} {
		t.Run(kase.name, func(t *testing.T) {
			path := crashed(t, e)
			journal := path + JournalSuffix
			b, err := os.ReadFile(journal)
			if err != nil {
				t.Fatal(err)
			}
			if b = kase.damage(b, records(t, b)); b == nil {
				err = os.Remove(journal)
			} else {
				err = os.WriteFile(journal, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // it stays so until a person has looked
				_, err = OpenEmbedded(path, Options{Now: c.now})
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), journal+" "+kase.says) || !strings.Contains(err.Error(), "put a backup in its place") {
					t.Errorf("%v", err)
				}
			}
			if _, _, err := Compact(path); !errors.Is(err, ErrCorrupt) {
				t.Errorf("compact: %v", err)
			}
		})
	}
}

// TestWhatAHalfHeldBeforeIsNotReplayed lets a journal turn again and again and
// looks at what a crash would leave around every turn, also while the old half
// could not be carried over.
func TestWhatAHalfHeldBeforeIsNotReplayed(t *testing.T) {
	c := &fakeClock{ms: t0}
	e := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
	defer func() { _ = e.Close() }()
	unsynced(e)
	var room atomic.Int32 // commits that the disk has room for
	defer room.Store(1 << 20)
	commit := e.disk.commit
	e.disk.commit = func(tx *boltTx) error {
		if room.Add(-1) < 0 {
			return errors.Join(&os.PathError{Op: "write", Path: "ledger.db", Err: syscall.ENOSPC}, tx.Rollback())
		}
		return commit(tx)
	}
	var sent [5]int64
	turns, looked, side := 0, 0, e.disk.journal.side
	for i := 0; turns < 7; i++ {
		switch room.Store(1 << 20); {
		case turns%4 < 2:
		case e.disk.images.old != nil:
			room.Store(1) // for what could not be carried over at the last turn
		default:
			room.Store(0)
		}
		send(t, e, five[i%5])
		sent[i%5]++
		if e.disk.journal.side != side {
			side, turns, looked = e.disk.journal.side, turns+1, 0
		}
		looked++
		if turns > 0 && (looked <= 3 || looked == 100) {
			if got := counts(t, crashed(t, e), c, five...); !slices.Equal(got, sent[:]) {
				t.Fatalf("turn %d, record %d of the half: %v, want %v", turns, looked, got, sent)
			}
		}
	}
}

// What is torn at the beginning of a half that was used before is followed by
// what it held then.
func TestATornRecordIsNotTakenForAnOldOne(t *testing.T) {
	c := &fakeClock{ms: t0}
	e := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
	defer func() { _ = e.Close() }()
	unsynced(e)
	var sent int64
	for turns, side := 0, 0; turns < 2 || e.disk.journal.side != 0; {
		send(t, e, "a")
		if sent++; e.disk.journal.side != side {
			side, turns = e.disk.journal.side, turns+1
		}
	}
	for n := range int64(3) {
		path := crashed(t, e)
		b, err := os.ReadFile(path + JournalSuffix)
		if err != nil {
			t.Fatal(err)
		}
		b[records(t, b)[n]+recordHead+2] ^= 1
		if err := os.WriteFile(path+JournalSuffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := counts(t, path, c, "a"); got[0] != sent-1 {
			t.Errorf("record %d of the half torn: %d, want %d", n+1, got[0], sent-1)
		}
		send(t, e, "a")
		sent++
	}
}

// The journal is needed until the last of what it holds is in the tree.
func TestWhatWasCarriedHalfWayIsStillInTheJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	d, err := openDisk(path)
	if err != nil {
		t.Fatal(err)
	}
	var group []image
	for _, k := range five {
		group = append(group, image{[]byte(k), seal([]byte("\x00\x00\x00\x00" + k))})
	}
	if err := d.write(group, 1); err != nil {
		t.Fatal(err)
	}
	commit, commits := d.commit, 0
	d.commit = func(tx *boltTx) error {
		if commits++; commits > 1 {
			return errors.Join(&os.PathError{Op: "write", Path: "ledger.db", Err: syscall.ENOSPC}, tx.Rollback())
		}
		return commit(tx)
	}
	note := d.journal.journalNote
	note.first = d.journal.next
	if err := d.carry(d.images.young, 2, 1, &note); !errors.Is(err, ErrStorage) || commits != 2 {
		t.Fatalf("%v after %d commits", err, commits)
	}
	if err := errors.Join(d.journal.f.Close(), d.db.Close()); err != nil { // as a crash leaves it
		t.Fatal(err)
	}
	again, err := openDisk(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.close() }()
	for _, im := range group {
		if v, err := again.get(im.key); err != nil || !bytes.Equal(v, im.value) {
			t.Errorf("%s is %q, %v", im.key, v, err)
		}
	}
}

// A missing record at the end of the one half shows when the other goes on.
func TestAGapBetweenTheHalvesIsFound(t *testing.T) {
	c := &fakeClock{ms: t0}
	e := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
	defer func() { _ = e.Close() }()
	unsynced(e)
	e.disk.commit = func(tx *boltTx) error {
		return errors.Join(&os.PathError{Op: "write", Path: "ledger.db", Err: syscall.ENOSPC}, tx.Rollback())
	}
	for e.disk.journal.side == 0 {
		send(t, e, "a")
	}
	path := crashed(t, e)
	b, err := os.ReadFile(path + JournalSuffix)
	if err != nil {
		t.Fatal(err)
	}
	at := journalHeader // of the last record in the first half
	for binary.BigEndian.Uint64(b[at+8:]) < e.disk.journal.began-1 {
		at += padded(recordHead + int(binary.BigEndian.Uint32(b[at+4:])))
	}
	b[at+recordHead] ^= 1
	if err := os.WriteFile(path+JournalSuffix, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenEmbedded(path, Options{Now: c.now}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "lacks record") {
		t.Errorf("%v", err)
	}
}

func TestAfterACloseTheDatabaseIsWholeAlone(t *testing.T) {
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	e := openAt(t, path, c)
	send(t, e, five...)
	stale, err := os.ReadFile(crashed(t, e) + JournalSuffix)
	if err != nil {
		t.Fatal(err)
	}
	send(t, e, five...)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + JournalSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the journal is still there: %v", err)
	}
	if got := counts(t, path, c, five...); !slices.Equal(got, []int64{2, 2, 2, 2, 2}) {
		t.Errorf("%v", got)
	}
	// One that lies there all the same is nobody's.
	if err := os.WriteFile(path+JournalSuffix, stale, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := counts(t, path, c, five...); !slices.Equal(got, []int64{2, 2, 2, 2, 2}) {
		t.Errorf("beside an old journal: %v", got)
	}
}

// TestOpeningAfterACrashMayFailAnywhere fails the commits of an opening, one
// after the other, as a full disk and as a broken one.
func TestOpeningAfterACrashMayFailAnywhere(t *testing.T) {
	c := &fakeClock{ms: t0}
	e := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
	defer func() { _ = e.Close() }()
	send(t, e, five...)
	for _, cause := range []error{&os.PathError{Op: "write", Path: "ledger.db", Err: syscall.ENOSPC}, syscall.EIO} {
		for fails := 1; fails <= 2; fails++ {
			path := crashed(t, e)
			db, err := openBolt(path)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			d := &disk{db: db, images: newGenerations(), commit: func(tx *boltTx) error {
				if n++; n == fails {
					return errors.Join(cause, tx.Rollback())
				}
				return tx.Commit()
			}}
			if err := d.recover(); !errors.Is(err, cause) || errors.Is(err, ErrStorage) != isFull(cause) {
				t.Errorf("commit %d: %v", fails, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if got := counts(t, path, c, five...); !slices.Equal(got, []int64{1, 1, 1, 1, 1}) {
				t.Errorf("after commit %d failed: %v", fails, got)
			}
		}
	}
}

func TestCompactLosesNothingOfTheJournal(t *testing.T) {
	c := &fakeClock{ms: t0}
	e := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
	send(t, e, five...)
	path := crashed(t, e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Compact(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + JournalSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the journal is still there: %v", err)
	}
	if got := counts(t, path, c, five...); !slices.Equal(got, []int64{1, 1, 1, 1, 1}) {
		t.Errorf("%v", got)
	}
}

// A group that the journal has no room for is whole in the tree, with what came
// before it, when it is answered.
func TestAGroupLargerThanTheJournalIsDurable(t *testing.T) {
	for _, people := range []int{500, 20_000} { // more than a half; more than it can ever be
		c := &fakeClock{ms: t0}
		e := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
		send(t, e, "a")
		r := Request{ID: "large", Account: "a"}
		for i := range people {
			r.Claims = append(r.Claims, lifetime("to", 9).by(fmt.Sprintf("%0200d", i)))
		}
		if d, err := e.Reserve(t.Context(), r); err != nil || d.Verdict != Go {
			t.Fatalf("%v, %v", d.Verdict, err)
		}
		again := openAt(t, crashed(t, e), c)
		r.ID, r.Dry = "", true
		d, err := again.Reserve(t.Context(), r)
		for _, u := range d.Uses {
			if u.Used != 1 {
				t.Fatalf("of %d: %+v", people, u)
			}
		}
		if err := errors.Join(err, again.Close()); err != nil || len(d.Uses) != people {
			t.Fatalf("%d uses, %v", len(d.Uses), err)
		}
		send(t, e, "a")
		if got := counts(t, crashed(t, e), c, "a"); got[0] != 2 {
			t.Errorf("after it: %v", got)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// testdata/ledger-v2.db.gz: version 2 let a message of each of the accounts a0
// to a19 go, in turn, 41 in all, and was closed with half of one generation
// carried over and another after it: its generations were made small.
func TestAFileOfVersion2IsOpenedWithItsJournal(t *testing.T) {
	packed, err := os.Open(filepath.Join("testdata", "ledger-v2.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	in, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	c := &fakeClock{ms: t0 + second}
	want := append([]int64{3}, slices.Repeat([]int64{2}, 19)...)
	var names []string
	for i := range want {
		names = append(names, fmt.Sprint("a", i))
	}
	for range 2 { // as it was, and as it is written now
		if got := counts(t, path, c, names...); !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	_ = db.View(func(tx *bolt.Tx) error {
		if v := string(tx.Bucket(bucketMeta).Get(keyVersion)); v == "2" || tx.Bucket(bucketJournals[0]) != nil || tx.Bucket(bucketJournals[1]) != nil {
			t.Errorf("version 2 would open it again: it says %q", v)
		}
		return nil
	})
}

// A journal's place on the disk may have held another's before: its records,
// whole as they are, are none of this one's.
func TestARecordOfAnotherJournalIsNone(t *testing.T) {
	one, other := journalNote{id: [16]byte{1}}, journalNote{id: [16]byte{2}}
	b := binary.BigEndian.AppendUint32(make([]byte, 4), 4)
	b = append(binary.BigEndian.AppendUint64(b, 7), "body"...)
	binary.BigEndian.PutUint32(b, one.checksum(b))
	if r, ok := one.record(b); !ok || r.seq != 7 || string(r.body) != "body" {
		t.Errorf("its own: %v %+v", ok, r)
	}
	if r, ok := other.record(b); ok {
		t.Errorf("another's is taken for its own: %+v", r)
	}
}
