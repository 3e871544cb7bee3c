package ratelimit

// Moving a ledger from one store to another: Export and Import of the stores
// in process; that of the embedded one is in export.go. What is on its way, or
// booked, goes along as counted.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Export writes all that the ledger has counted, in lines of JSON.
func (m *Memory) Export(ctx context.Context, w io.Writer) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	out := bufio.NewWriter(w)
	if err := writeHeader(out, m.engine.clock.read()); err != nil {
		return err
	}
	records := map[string]*record{} // in the order of the embedded store's file
	for _, a := range m.shelf.accounts {
		records[string(appendKey(nil, kindRecord, a.wide.account, ""))] = a.wide
		for key, rec := range a.keyed {
			records[string(appendKey(nil, kindRecord, rec.account, key))] = rec
		}
	}
	for _, key := range slices.Sorted(maps.Keys(records)) {
		if err := writeLine(out, records[key]); err != nil {
			return err
		}
	}
	return out.Flush()
}

// Import reads what an Export of any store has written. Every record must be
// new to this one. All is read before anything is taken in; the error names the
// line that could not be.
func (m *Memory) Import(ctx context.Context, r io.Reader) error {
	in, err := readExport(r)
	if err != nil {
		return err
	}
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if err := m.engine.absent(in); err != nil {
		return err
	}
	return m.engine.takeIn(in)
}

// importAtOnce is how many records of an import are committed together.
const importAtOnce = 5000

// Import reads what an Export of any store has written. Every record must be
// new to this one. All is read before anything is taken in; the error names the
// line that could not be.
func (e *Embedded) Import(ctx context.Context, r io.Reader) error {
	in, err := readExport(r)
	if err != nil {
		return err
	}
	if err := e.call(ctx, func() error { return e.engine.absent(in) }); err != nil {
		return err
	}
	for n := 0; len(in.records) > 0; {
		part := in
		part.records = in.records[:min(len(in.records), importAtOnce)]
		err := e.call(context.WithoutCancel(ctx), func() error {
			if err := e.engine.absent(part); err != nil {
				return err
			}
			return e.engine.takeIn(part)
		})
		if err != nil {
			return fmt.Errorf("import: after %d records: %w", n, err)
		}
		n += len(part.records)
		in.records = in.records[len(part.records):]
	}
	return nil
}

func writeHeader(out *bufio.Writer, now int64) error {
	b, err := headerLine(now)
	if err == nil {
		_, err = out.Write(b)
	}
	return err
}

func writeLine(out *bufio.Writer, rec *record) error {
	if rec.weighs() == 0 && rec.key != "" {
		return nil
	}
	b, err := rec.line()
	if err == nil {
		_, err = out.Write(b)
	}
	return err
}

// An imported is an export that was read: the records in their form on disk,
// which takes the least room.
type imported struct {
	time    int64
	records []importedRecord
}

type importedRecord struct {
	account, key string
	line         int
	body         []byte
}

func readExport(r io.Reader) (imported, error) {
	var in imported
	lines := bufio.NewReader(r)
	seen := map[recordName]int{}
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return in, fmt.Errorf("import: read line %d: %w", n, err)
		}
		end := err == io.EOF
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if n == 1 {
				in.time, err = parseHeader(line)
			} else {
				err = in.add(line, n, seen)
			}
			if err != nil && !(end && err == io.EOF) {
				return in, fmt.Errorf("import: line %d: %w: %w", n, ErrInvalid, err)
			}
		} else if n == 1 {
			return in, fmt.Errorf("import: line 1: %w: it is empty", ErrInvalid)
		}
		if end {
			return in, nil
		}
	}
}

func (in *imported) add(line []byte, n int, seen map[recordName]int) error {
	rec, err := parseLine(line)
	if err != nil {
		return err
	}
	name := recordName{rec.account, rec.key}
	if before := seen[name]; before > 0 {
		return fmt.Errorf("its record is in line %d, too", before)
	}
	seen[name] = n
	in.records = append(in.records, importedRecord{rec.account, rec.key, n, appendRecord(nil, rec)})
	return nil
}

// absent fails where the store knows one of the records, or its time lies well
// before that of the export.
func (g *engine) absent(in imported) error {
	if err := fromTheFuture(in.time, g.clock.wall()); err != nil {
		return fmt.Errorf("import: %w: %w", ErrInvalid, err)
	}
	for _, r := range in.records {
		rec, err := g.shelf.load(r.account, r.key)
		if err != nil {
			return err
		}
		if rec != nil && rec.weighs() > 0 {
			return fmt.Errorf("import: line %d: %w: the ledger has counted for this account already; import into an empty one", r.line, ErrInvalid)
		}
	}
	return nil
}

func (g *engine) takeIn(in imported) error {
	g.clock.high = max(g.clock.high, in.time)
	for _, r := range in.records {
		rec, err := decodeRecord(r.account, r.key, r.body)
		if err != nil {
			return err
		}
		old, err := g.shelf.load(r.account, r.key)
		if err != nil {
			return err
		}
		if old == nil {
			old = g.create(r.account, r.key)
		}
		old.become(rec)
		g.shelf.touch(old)
	}
	g.adopted = true // aliases may have come
	return nil
}
