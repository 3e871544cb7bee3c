package ratelimit

// Export of the embedded store, while it is used. It goes through the file a
// page at a time: no transaction stays open while whoever reads it takes what it
// was given, since for as long as one is, no page that bbolt frees is used again
// and the file cannot grow.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
)

// exportPage is about how many bytes of records are read at once: more where one
// account alone has more.
const exportPage = 4 << 20

// Export writes all that the ledger has counted, in lines of JSON. Every account
// is whole, as it was at one moment of the export: what it counts after that is
// not in it. Accounts that become one meanwhile are one in it, or both as they
// were before. Nobody waits while it is written.
func (e *Embedded) Export(ctx context.Context, w io.Writer) error {
	x := &exporting{next: []byte{kindRecord}, pinned: map[string]bool{}}
	defer func() {
		_ = e.call(context.WithoutCancel(ctx), func() error { delete(e.engine.exports, x); return nil })
	}()
	out := bufio.NewWriter(w)
	for x.next != nil {
		records, err := e.page(ctx, x)
		if err != nil {
			return err
		}
		if !x.begun {
			x.begun = true
			if err := writeHeader(out, x.time); err != nil {
				return err
			}
		}
		for _, im := range records {
			account, rest, ok := splitKey(im.key)
			if !ok {
				return fmt.Errorf("export: read a key: %w", ErrCorrupt)
			}
			rec, err := decodeRecord(account, rest, im.value)
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			if err := writeLine(out, rec); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// exporting is an export on its way. Only the committer touches pinned and
// joins, and everything else while it makes a snapshot.
type exporting struct {
	begun bool
	time  int64
	next  []byte // the key to go on from, the first of its account; nil at the end
	// pinned are the accounts that were written before their turn.
	pinned map[string]bool
	joins  []join
}

// A join is two accounts of which one took over what the other had counted, as
// they were before. If only one of them was written by then, the other has to be
// written as it was: else what moved would stand in both, or in neither.
type join struct{ accounts [2]exported }

type exported struct {
	account string
	records []image
}

// page reads the records from x.next on, up to the end of an account, and where
// to go on.
func (e *Embedded) page(ctx context.Context, x *exporting) (records []image, err error) {
	var snap *snapshot
	err = e.call(ctx, func() (err error) {
		if e.engine.exports == nil {
			e.engine.exports = map[*exporting]bool{}
		}
		if !x.begun {
			e.engine.exports[x] = true
			x.time = e.engine.clock.read()
		}
		records = x.settle()
		recent := e.disk.images.from(x.next)
		for _, rec := range e.shelf.dirty {
			key := string(appendKey(nil, kindRecord, rec.account, rec.key))
			if key < string(x.next) {
				continue
			}
			if recent[key] = nil; !rec.absent {
				recent[key] = appendRecord(nil, rec)
			}
		}
		snap, err = e.disk.snapshot(recent)
		return err
	})
	if snap != nil {
		defer snap.close()
	}
	if err != nil {
		return nil, err
	}
	size, last, from := 0, "", x.next
	x.next = nil
	err = snap.each(from, func(key, value []byte) (more bool, err error) {
		account, _, ok := splitKey(key)
		if !ok {
			return false, fmt.Errorf("export: read a key: %w", ErrCorrupt)
		}
		if account != last && size > e.exportPage {
			x.next = slices.Clone(key)
			return false, nil
		}
		if last = account; !x.pinned[account] {
			records = append(records, image{slices.Clone(key), slices.Clone(value)})
			size += len(key) + len(value)
		}
		return true, ctx.Err()
	})
	return records, err
}

// settle returns the accounts that have to be written now, as they were.
func (x *exporting) settle() (records []image) {
	written := func(account string) bool {
		return x.pinned[account] || bytes.Compare(appendKey(nil, kindRecord, account, ""), x.next) < 0
	}
	for _, j := range x.joins {
		a, b := j.accounts[0], j.accounts[1]
		if written(a.account) == written(b.account) {
			continue
		}
		if written(a.account) {
			a = b
		}
		x.pinned[a.account] = true
		records = append(records, a.records...)
	}
	x.joins = nil
	return records
}

// joining tells the exports on their way that one account is about to take over
// what another has counted.
func (g *engine) joining(accounts ...string) error {
	if len(g.exports) == 0 {
		return nil
	}
	var j join
	for i, account := range accounts {
		j.accounts[i].account = account
		keys, err := g.shelf.keys(account)
		if err != nil {
			return err
		}
		for _, key := range append([]string{""}, keys...) {
			rec, err := g.shelf.load(account, key)
			if err != nil {
				return err
			}
			if rec != nil && rec.weighs() > 0 {
				j.accounts[i].records = append(j.accounts[i].records, image{appendKey(nil, kindRecord, account, key), appendRecord(nil, rec)})
			}
		}
	}
	for x := range g.exports {
		x.joins = append(x.joins, j)
	}
	return nil
}
