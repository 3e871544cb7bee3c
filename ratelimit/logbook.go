package ratelimit

// The logbook: what this replica did to the shared store lately, so that it
// can be done again on a store that has forgotten it, and what the store still
// has to be told. Every note may be repeated: it names a reservation, an event,
// a gift by its own id.
//
// It is kept in memory and, where a path is given, in a file of JSON lines that
// outlives a kill -9 of the proxy (not a power cut: what it is for is a store
// that fails at another time than we do). It holds keyed hashes and numbers,
// as the ledger does.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A note is one thing done to the store.
type note struct {
	// Key is what it is about: a later note of the same key takes its place.
	Key string
	// When is our wall clock (ms).
	When int64
	// Owed: the store has not taken it yet. Not is the time (ms) before which
	// it is not to be told.
	Owed bool
	Not  int64
	// Doubt: nobody knows whether the call that this gives back was ever
	// carried out, or will be yet: a frozen server takes what lies in its
	// sockets in any order. It is told twice, the second time a while later.
	Doubt bool

	ID      string   // the reservation
	Request *Request // was charged
	At      int64    // in this slot
	Items   []int    // of which these were given back
	Back    bool     // or all of it

	Account string // whose it is; for Gift and Hold too
	Scopes  []string
	Cooling *Cooling
	Event   *Event
	Gift    *Gift
	Hold    *Hold

	Dropped bool // in the file only: the key has no note any more
	held    bool // not due before it is put once more; forgotten by a crash
	dead    bool // another took its place
}

const (
	logbookKeep = 2 * 60_000 // ms
	logbookMax  = 20_000     // notes that are not owed; about 2 kB each
	logbookOwed = 200_000
)

var errLogbookFull = errors.New("too many messages wait for the store to be charged; no more are noted")

type logbook struct {
	path string

	mu     sync.Mutex
	notes  []*note // in the order of their putting
	byKey  map[string]*note
	owed   int
	marker string
	file   *os.File
	lines  int
	broken error // the file cannot be written any more
}

const markerNote = "marker"

// openLogbook reads what the last run left; "" keeps it in memory only.
func openLogbook(path string, now int64) (*logbook, error) {
	l := &logbook{path: path, byKey: map[string]*note{}}
	if path == "" {
		return l, nil
	}
	f, err := os.Open(path)
	if err == nil {
		err = errors.Join(l.read(f), f.Close())
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the journal of the shared store: %w", err)
	}
	l.trim(now)
	if err := l.rewrite(); err != nil {
		return nil, fmt.Errorf("write the journal of the shared store: %w", err)
	}
	return l, nil
}

func (l *logbook) read(f io.Reader) error {
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20) // a batch of thousands of recipients is one note
	for lines.Scan() {
		n := &note{}
		if json.Unmarshal(lines.Bytes(), n, asBytes) != nil {
			continue // the last line of a killed process, cut off
		}
		switch {
		case n.Key == markerNote:
			l.marker = n.ID
		case n.Dropped:
			l.unlink(n.Key)
		default:
			l.link(n)
		}
	}
	return lines.Err()
}

func (l *logbook) link(n *note) {
	l.unlink(n.Key)
	l.notes = append(l.notes, n)
	l.byKey[n.Key] = n
	if n.Owed {
		l.owed++
	}
}

func (l *logbook) unlink(key string) {
	if old := l.byKey[key]; old != nil {
		old.dead = true
		delete(l.byKey, key)
		if old.Owed {
			l.owed--
		}
	}
}

// put notes something down, in the place of what was noted of the same key.
func (l *logbook) put(n *note) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.Owed && l.owed >= logbookOwed {
		return errLogbookFull
	}
	l.link(n)
	return l.write(n)
}

// drop forgets what was noted of a key.
func (l *logbook) drop(key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byKey[key] == nil {
		return nil
	}
	l.unlink(key)
	return l.write(&note{Key: key, Dropped: true})
}

// A signature is any bytes: in JSON it stands as []byte does. In a text that is
// no UTF-8 (of a person, say) the wrong bytes are replaced: nothing that is
// noted may end the journal.
type writtenLikeness struct {
	Exact     string
	Bands     []string
	Signature []byte
}

var (
	fromBytes = json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, l Likeness) error {
		return json.MarshalEncode(e, writtenLikeness{l.Exact, l.Bands, []byte(l.Signature)})
	}))
	asBytes = json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, l *Likeness) error {
		var w writtenLikeness
		err := json.UnmarshalDecode(d, &w)
		*l = Likeness{Exact: w.Exact, Bands: w.Bands, Signature: string(w.Signature)}
		return err
	}))
)

func (n *note) line() ([]byte, error) {
	return json.Marshal(n, json.OmitZeroStructFields(true), jsontext.AllowInvalidUTF8(true), fromBytes)
}

// change puts a changed copy of what was noted of a key, if anything was.
func (l *logbook) change(key string, f func(n *note)) (found bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.byKey[key]
	if old == nil {
		return false, nil
	}
	n := *old
	n.dead = false
	f(&n)
	l.link(&n)
	return true, l.write(&n)
}

// paid marks a note as taken by the store, unless another took its place.
func (l *logbook) paid(n *note, now int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.dead || !n.Owed {
		return nil
	}
	if n.Doubt {
		n.Doubt, n.Not = false, now+doubtful
	} else {
		n.Owed = false
		l.owed--
	}
	return l.write(n)
}

// doubtful is after how long a call with an unknown end is given back once
// more (ms): by then a server has long emptied the sockets of closed
// connections.
const doubtful = 2000

// due returns what the store is to be told: what is owed, or everything.
func (l *logbook) due(now int64, all bool) []*note {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due []*note
	for _, n := range l.notes {
		if !n.dead && !n.held && (all || n.Owed && n.Not <= now) {
			due = append(due, n)
		}
	}
	return due
}

// owes is how many notes the store has not taken.
func (l *logbook) owes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owed
}

// trim forgets what is old enough.
func (l *logbook) trim(now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	spare := len(l.byKey) - l.owed - logbookMax
	l.notes = slices.DeleteFunc(l.notes, func(n *note) bool {
		if n.dead {
			return true
		}
		if n.Owed || n.held || spare <= 0 && n.When > now-logbookKeep {
			return false
		}
		spare--
		n.dead = true
		delete(l.byKey, n.Key)
		return true
	})
}

// remember keeps the marker of the store that this replica works with.
func (l *logbook) remember(marker string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marker = marker
	return l.write(&note{Key: markerNote, ID: marker})
}

func (l *logbook) remembered() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.marker
}

// write appends a note to the file; the caller has the lock. A file that
// cannot be written is given up: what is noted stays in memory.
func (l *logbook) write(n *note) error {
	if l.file == nil {
		return nil
	}
	if l.lines > 4*len(l.byKey)+1000 {
		return l.giveUp(l.rewrite())
	}
	b, err := n.line()
	if err == nil {
		l.lines++
		_, err = l.file.Write(append(b, '\n'))
	}
	return l.giveUp(err)
}

func (l *logbook) giveUp(err error) error {
	if err == nil {
		return nil
	}
	l.broken = fmt.Errorf("write the journal of the shared store: %w", err)
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
	return l.broken
}

// rewrite replaces the file by one with what is still noted.
func (l *logbook) rewrite() error {
	f, err := os.CreateTemp(filepath.Dir(l.path), filepath.Base(l.path)+".*")
	if err != nil {
		return err
	}
	l.lines = 0
	b := bufio.NewWriter(f)
	line := func(n *note) error {
		l.lines++
		text, err := n.line()
		if err == nil {
			_, err = b.Write(append(text, '\n'))
		}
		return err
	}
	err = line(&note{Key: markerNote, ID: l.marker})
	for _, n := range l.notes {
		if err == nil && !n.dead {
			err = line(n)
		}
	}
	if err = errors.Join(err, b.Flush()); err == nil {
		err = os.Rename(f.Name(), l.path)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	if l.file != nil {
		err = l.file.Close()
	}
	l.file = f
	return err
}

func (l *logbook) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
