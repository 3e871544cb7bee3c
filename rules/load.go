package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Which files a set of rules consists of: those that were named, and
// whatever they use.

// loaded is one file of the set.
type loaded struct {
	name   string // as errors show it
	text   []byte
	params map[string]string
	file   file
	uses   []*loaded
	pack   string // the name of a shipped one, or ""

	everyone bool            // the set itself uses it
	only     map[string]bool // else the accounts that do
}

// loader reads files and what they use, each once.
type loader struct {
	from   files
	r      *reports
	order  []*loaded
	byKey  map[string]*loaded
	trail  []string // the files that are being read, for cycles
	inputs []string // paths and patterns that were asked for, for Watch
	// byAccount has what accounts use for themselves.
	byAccount map[string][]*loaded
}

func newLoader(from files, r *reports) *loader {
	return &loader{from: from, r: r, byKey: map[string]*loaded{}, byAccount: map[string][]*loaded{}}
}

// roots reads the files that were named, and says which files bind whom.
func (l *loader) roots(names []string) {
	if len(names) == 0 {
		l.r.at(Pos{File: "rules"}, "no rules file was named\nname one, such as quotagate.yaml; quotagate init writes a first one")
	}
	var roots []*loaded
	for _, name := range names {
		roots = append(roots, l.paths(Pos{File: name}, name, nil)...)
	}
	l.bind(roots)
}

// bind marks the files that bind every account, and those of some accounts.
func (l *loader) bind(roots []*loaded) {
	var everyone func(f *loaded)
	everyone = func(f *loaded) {
		if !f.everyone {
			f.everyone = true
			for _, u := range f.uses {
				everyone(u)
			}
		}
	}
	for _, f := range roots {
		everyone(f)
	}
	var one func(f *loaded, account string)
	one = func(f *loaded, account string) {
		if f.only[account] {
			return
		}
		if f.only == nil {
			f.only = map[string]bool{}
		}
		f.only[account] = true
		for _, u := range f.uses {
			one(u, account)
		}
	}
	for account, files := range l.byAccount {
		for _, f := range files {
			one(f, account)
		}
	}
}

// paths reads the files that a path or a pattern stands for.
func (l *loader) paths(at pos, name string, params map[string]string) []*loaded {
	l.inputs = append(l.inputs, name)
	if !pattern(name) {
		return l.one(at, l.from.key(name), name, params, func() ([]byte, error) { return l.from.read(name) })
	}
	names, err := l.from.glob(name)
	switch {
	case err != nil:
		l.r.at(at, "%q is not a pattern of file names", name)
	case len(names) == 0 && at.Line == 0:
		l.r.at(at, "no file matches")
	case len(names) == 0:
		l.r.at(at, "no file matches %s", name)
	}
	slices.Sort(names)
	var found []*loaded
	for _, name := range names {
		if strings.HasSuffix(name, testSuffix) || slices.Contains(l.trail, name) {
			continue // ./*.yaml means all the others
		}
		found = append(found, l.one(at, l.from.key(name), name, params, func() ([]byte, error) { return l.from.read(name) })...)
	}
	return found
}

// testSuffix ends the names of rule tests, which lie beside what they test.
const testSuffix = ".test.yaml"

func pattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// one reads a file, unless it has been.
func (l *loader) one(at pos, key, name string, params map[string]string, read func() ([]byte, error)) []*loaded {
	if i := slices.Index(l.trail, name); i >= 0 {
		l.r.at(at, "%s uses itself: %s", name, strings.Join(append(slices.Clone(l.trail[i:]), name), " → "))
		return nil
	}
	if f := l.byKey[key]; f != nil {
		if !sameParams(f.params, params) {
			l.r.at(at, "%s is used twice, with different parameters\ncopy it to a file of your own for the second use", name)
		}
		return []*loaded{f}
	}
	text, err := read()
	if err != nil {
		l.r.unread(at, err)
		return nil
	}
	f := &loaded{name: name, text: text, params: params}
	l.byKey[key] = f
	decode(l.r, name, text, params, &f.file)
	l.checkParams(at, f)
	return []*loaded{l.take(f)}
}

// take adds a file that was decoded, after what it uses.
func (l *loader) take(f *loaded) *loaded {
	l.trail = append(l.trail, f.name)
	for _, u := range f.file.Use {
		f.uses = append(f.uses, l.use(f.name, u)...)
	}
	for _, account := range sorted(f.file.Accounts) {
		for _, u := range f.file.Accounts[account].Use {
			l.byAccount[account] = append(l.byAccount[account], l.use(f.name, u)...)
		}
	}
	l.trail = l.trail[:len(l.trail)-1]
	l.order = append(l.order, f)
	return f
}

// finish makes the Set, if nothing is wrong.
func (l *loader) finish(o Options) (*Set, error) {
	s := build(l, o)
	if err := l.r.err(); err != nil {
		return nil, err
	}
	s.revision = l.revision()
	s.warnings = l.r.warnings
	return s, nil
}

// use reads what one `use:` entry names.
func (l *loader) use(user string, u use) []*loaded {
	if u.Name == "" {
		return nil // reported where it was decoded
	}
	if ownFile(u.Name) {
		name := u.Name
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(user), name)
		}
		if strings.HasPrefix(user, packsDir+"/") {
			l.r.at(u.pos, "a shipped pack cannot use a file of yours")
			return nil
		}
		return l.paths(u.pos, name, u.Params)
	}
	file := path.Join(packsDir, u.Name) + ".yaml"
	found := l.one(u.pos, "pack "+u.Name, file, u.Params, func() ([]byte, error) {
		text, err := readPack(u.Name)
		if err != nil {
			return nil, fmt.Errorf("unknown pack %q\n%s", u.Name, packHint(u.Name))
		}
		return text, nil
	})
	for _, f := range found {
		f.pack = u.Name
	}
	return found
}

// ownFile tells a path from the name of a pack.
func ownFile(name string) bool {
	return pattern(name) || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "/") || filepath.IsAbs(name) ||
		strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

func packHint(name string) string {
	if hint := DidYouMean(name, Packs()); hint != "" {
		return hint
	}
	return "a file of your own is written ./" + name + ".yaml"
}

// checkParams holds what a file takes against what it was given.
func (l *loader) checkParams(at pos, f *loaded) {
	for _, name := range sorted(f.file.Params) {
		if _, ok := f.params[name]; !ok {
			l.r.at(at, "%s needs the parameter %q: %s\nwrite {%s: {%s: …}}", f.name, name, f.file.Params[name], strings.TrimSuffix(path.Base(f.name), ".yaml"), name)
		}
	}
	for _, name := range sorted(f.params) {
		if _, ok := f.file.Params[name]; !ok {
			l.r.at(at, "%s takes no parameter %q\n%s", f.name, name, choose(name, sorted(f.file.Params)))
		}
	}
}

func sameParams(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// revision is a short hash of all that was read.
func (l *loader) revision() string {
	h := sha256.New()
	for _, f := range l.order {
		fmt.Fprintf(h, "%s %d %q\n", f.pack, len(f.text), fmt.Sprint(f.params))
		h.Write(f.text)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
