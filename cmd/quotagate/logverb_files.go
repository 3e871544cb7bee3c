package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The decision log's files. The current one is renamed when it is full, to
// decisions-TIME.jsonl, where TIME is when its last line was written.

// readLog calls f with every line of the log, the rotated files first, and
// with follow goes on until ctx ends. Without it the error is os.ErrNotExist
// where there is no log.
func readLog(ctx context.Context, file string, since time.Time, follow bool, f func([]byte) error) error {
	older, err := rotated(file, since)
	if err != nil {
		return err
	}
	r := &logReader{file: file, f: f}
	defer r.close()
	for _, name := range older {
		if err := r.whole(ctx, name); err != nil {
			return err
		}
	}
	return r.current(ctx, len(older) > 0, follow)
}

// rotatedTime is how lumberjack writes the time into the name, in UTC.
// https://github.com/natefinch/lumberjack/blob/v2.2.1/lumberjack.go#L38
const rotatedTime = "2006-01-02T15-04-05.000"

// rotated are the older files that may have lines after since, oldest first.
func rotated(file string, since time.Time) ([]string, error) {
	base := strings.TrimSuffix(file, filepath.Ext(file)) + "-"
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the decision log: %w", err)
	}
	var names []string
	for _, e := range entries {
		name := filepath.Join(filepath.Dir(file), e.Name())
		stamp, ok := strings.CutPrefix(strings.TrimSuffix(name, filepath.Ext(file)), base)
		if end, err := time.Parse(rotatedTime, stamp); ok && err == nil && !end.Before(since) {
			names = append(names, name)
		}
	}
	slices.Sort(names) // the times sort as text
	return names, nil
}

// logPoll is how often a followed log is looked at: soon enough for eyes.
const logPoll = 200 * time.Millisecond

// A logReader reads the files of a log line by line.
type logReader struct {
	file string
	f    func([]byte) error
	open *os.File
	buf  *bufio.Reader
	rest []byte // a line that is not all there yet
}

// whole reads a rotated file. One that was removed meanwhile is gone.
func (r *logReader) whole(ctx context.Context, name string) error {
	err := r.begin(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = r.lines(ctx)
	}
	return err
}

// current reads the file that is written now, and follows it.
func (r *logReader) current(ctx context.Context, older, follow bool) error {
	err := r.begin(r.file)
	switch {
	case err == nil:
		if err := r.lines(ctx); err != nil {
			return err
		}
	case !errors.Is(err, os.ErrNotExist):
		return err
	case !follow && older:
		return nil
	case !follow:
		return err
	}
	if !follow {
		return r.last()
	}
	tick := time.NewTicker(logPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil // that is how following ends
		case <-tick.C:
		}
		if err := r.more(ctx); err != nil {
			return err
		}
	}
}

// more reads what has come since, across a rotation.
func (r *logReader) more(ctx context.Context) error {
	if r.open != nil {
		// The name is looked at first: once it means another file, nothing
		// is added to the one that is open.
		now, err := os.Stat(r.file)
		turned := errors.Is(err, os.ErrNotExist)
		if err == nil {
			was, err := r.open.Stat()
			if err != nil {
				return fmt.Errorf("read the decision log: %w", err)
			}
			at, err := r.open.Seek(0, io.SeekCurrent)
			turned = err != nil || !os.SameFile(was, now) || now.Size() < at
		}
		if err := r.lines(ctx); err != nil || !turned {
			return err
		}
	}
	err := r.begin(r.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = r.lines(ctx)
	}
	return err
}

func (r *logReader) begin(name string) error {
	r.close()
	r.rest = r.rest[:0]
	f, err := os.Open(name)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return err
		}
		return fmt.Errorf("read the decision log: %w", err)
	}
	r.open, r.buf = f, bufio.NewReaderSize(f, 64<<10)
	return nil
}

// longestLine bounds a line; the longest that are written are a few KB.
const longestLine = 1 << 20

// lines hands on every line that has its end, until ctx ends.
func (r *logReader) lines(ctx context.Context) error {
	for {
		part, err := r.buf.ReadSlice('\n')
		if len(r.rest)+len(part) <= longestLine {
			r.rest = append(r.rest, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the decision log: %w", err)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := r.f(r.rest); err != nil {
			return err
		}
		r.rest = r.rest[:0]
	}
}

// last hands on a last line without an end, if it is one: the log is being
// written while it is read.
func (r *logReader) last() error {
	if len(bytes.TrimSpace(r.rest)) == 0 {
		return nil
	}
	return r.f(r.rest)
}

func (r *logReader) close() {
	if r.open != nil {
		r.open.Close()
		r.open = nil
	}
}
