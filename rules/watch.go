package rules

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Reading the files again when they change. What is watched are directories:
// editors write a new file and rename it, Kubernetes swaps a symbolic link
// beside the files, and a pattern can match a file that was not there.

const (
	// settle is how long files must be left alone before they are read: an
	// editor takes several steps to save one.
	settle = 50 * time.Millisecond
	// look is how often files are looked at without being told, because
	// network file systems tell nothing.
	look = 10 * time.Second
)

// Watch reads the files, and reads them again whenever they or what they use
// change, until the context ends. Every time it calls f: with a new Set, or
// with what is wrong, and then the old Set stays in force. f is called by one
// goroutine; the first time is when Watch has begun to watch. The error says
// why nothing can be watched; it is nil when the context has ended.
func Watch(ctx context.Context, names []string, o Options, f func(*Set, error)) error {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the rules files: %w", err)
	}
	defer fs.Close()
	w := watch{fs: fs}

	read := func() {
		// What changes while we read differs from this fingerprint, and is
		// read again.
		w.inputs = union(names, w.inputs)
		w.follow()
		seen := w.fingerprint()
		s, inputs, err := load(disk{}, names, o)
		w.inputs = union(names, inputs)
		w.follow()
		if w.last = w.fingerprint(); seen != "" && !strings.HasPrefix(w.last, seen) {
			w.last = "" // look again
		}
		f(s, err)
	}
	read()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	timer := time.NewTimer(settle) // what changed while we began
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-fs.Events:
			if !ok {
				return nil
			}
			if e.Op == fsnotify.Chmod {
				continue
			}
			// Two versions of a file can have the same size and, on a coarse
			// clock, the same time.
			if w.names(e.Name) {
				w.last = ""
			}
			timer.Reset(settle)
		case <-fs.Errors: // the queue ran over: look at everything
			timer.Reset(settle)
		case <-ticker.C:
			timer.Reset(0)
		case <-timer.C:
			w.follow()
			if w.fingerprint() != w.last {
				read()
				if w.last == "" {
					timer.Reset(settle)
				}
			}
		}
	}
}

type watch struct {
	fs     *fsnotify.Watcher
	inputs []string // paths and patterns
	last   string
}

// follow watches the directories of all inputs, or the nearest above them
// that exist. Watching one twice is watching it once.
func (w *watch) follow() {
	for _, name := range w.inputs {
		w.directory(filepath.Dir(name))
		for _, match := range expand(name) {
			w.directory(filepath.Dir(match))
			if real, err := filepath.EvalSymlinks(match); err == nil {
				w.directory(filepath.Dir(real))
			}
		}
	}
}

func (w *watch) directory(dir string) {
	for {
		if !pattern(dir) && w.fs.Add(dir) == nil {
			return
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return
		}
		dir = parent
	}
}

// fingerprint changes when a file does, or when a pattern finds others. It is
// far cheaper than reading: a directory may be busy with other files.
func (w *watch) fingerprint() string {
	var b strings.Builder
	for _, name := range w.inputs {
		fmt.Fprintf(&b, "%q:", name)
		for _, match := range expand(name) {
			info, err := os.Stat(match)
			if err != nil {
				fmt.Fprintf(&b, "%q gone;", match)
				continue
			}
			real, _ := filepath.EvalSymlinks(match)
			fmt.Fprintf(&b, "%q %q %d %d %o;", match, real, info.Size(), info.ModTime().UnixNano(), info.Mode())
		}
	}
	return b.String()
}

// names reports whether a path is one of the files.
func (w *watch) names(path string) bool {
	path = filepath.Clean(path)
	for _, name := range w.inputs {
		for _, match := range expand(name) {
			if filepath.Clean(match) == path {
				return true
			}
			if real, err := filepath.EvalSymlinks(match); err == nil && real == path {
				return true
			}
		}
	}
	return false
}

// expand is the files that a path or pattern stands for now.
func expand(name string) []string {
	if !pattern(name) {
		return []string{name}
	}
	found, _ := filepath.Glob(name)
	return found
}

// union keeps the first list, and what the second has besides.
func union(first, second []string) []string {
	all := slices.Clone(first)
	for _, name := range second {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}
