package rules

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Where files come from: the disk, a file system given by a test, and the
// packs that are shipped inside the program.

// packsDir is where the shipped packs lie in this package, and how errors
// name them.
const packsDir = "packs"

//go:embed packs
var packs embed.FS

// Packs lists the shipped packs and regimes: linkedin, linkedin/classic, …
func Packs() []string {
	var names []string
	// The embedded files can always be walked.
	_ = fs.WalkDir(packs, packsDir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, testSuffix) {
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(name, packsDir+"/"), ".yaml"))
		}
		return nil
	})
	slices.Sort(names)
	return names
}

// Pack is the text of a shipped pack, for people to read and to copy.
func Pack(name string) ([]byte, error) {
	text, err := readPack(name)
	if err != nil {
		return nil, fmt.Errorf("unknown pack %q: %s", name, packHint(name))
	}
	return text, nil
}

func readPack(name string) ([]byte, error) {
	return packs.ReadFile(path.Join(packsDir, name) + ".yaml")
}

// files is where a loader finds files.
type files interface {
	read(name string) ([]byte, error)
	glob(pattern string) ([]string, error)
	// key is the same for two names of one file.
	key(name string) string
}

var (
	errDirectory = errors.New("it is a directory")
	errLarge     = errors.New("it is too large")
)

// disk is the machine's own file system.
type disk struct{}

func (disk) read(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errDirectory}
	}
	if info.Size() > biggest {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errLarge}
	}
	return os.ReadFile(name)
}

func (disk) glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }

func (disk) key(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return "file " + abs
	}
	return "file " + filepath.Clean(name)
}

// tree is a file system that was given.
type tree struct{ fsys fs.FS }

func (t tree) read(name string) ([]byte, error)      { return fs.ReadFile(t.fsys, path.Clean(name)) }
func (t tree) glob(pattern string) ([]string, error) { return fs.Glob(t.fsys, path.Clean(pattern)) }
func (t tree) key(name string) string                { return "file " + path.Clean(name) }

// sentence says why a file could not be read, after the place p.
func sentence(err error, p pos) string {
	var at *fs.PathError
	if !errors.As(err, &at) {
		return err.Error()
	}
	named := p == (pos{File: at.Path})
	name := at.Path
	if named {
		name = "the file"
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && named:
		return "there is no such file"
	case errors.Is(err, fs.ErrNotExist):
		return "there is no file " + at.Path
	case errors.Is(err, fs.ErrPermission):
		return name + " cannot be read: permission denied\ngive the user that quotagate runs as the right to read it"
	case errors.Is(err, errDirectory):
		if named {
			name = "this"
		}
		return name + " is a directory\nname the files in it: " + filepath.Join(at.Path, "*.yaml")
	case errors.Is(err, errLarge):
		return fmt.Sprintf("%s is larger than %d MiB", name, biggest>>20)
	}
	return fmt.Sprintf("%s cannot be read: %v", name, at.Err)
}
