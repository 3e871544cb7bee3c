package rules

// The index of paths: a tree of segments, walked along the request's path, so
// that its cost follows the length of the path and not the number of rules.

import (
	"fmt"
	"strings"
)

// trie is one place in the tree. Below it, a segment is looked for among the
// literals, then (if any pattern asked for it) regardless of case, then among
// the patterns inside a segment, then as any segment; rest takes any number
// of segments, none included.
type trie struct {
	lit    map[string]*trie
	fold   map[string]*trie // keys in lower case
	inside []insideChild
	one    *trie
	rest   *trie
	leaves []int32
}

type insideChild struct {
	text string
	seg  segment
	next *trie
}

// insert makes the place of a pattern.
func (t *trie) insert(p *pathPattern) *trie {
	for _, s := range p.segs {
		t = t.child(s)
	}
	return t
}

func (t *trie) child(s segment) *trie {
	next := func(p **trie) *trie {
		if *p == nil {
			*p = &trie{}
		}
		return *p
	}
	inMap := func(m *map[string]*trie, key string) *trie {
		if *m == nil {
			*m = map[string]*trie{}
		}
		if (*m)[key] == nil {
			(*m)[key] = &trie{}
		}
		return (*m)[key]
	}
	switch {
	case s.rest:
		return next(&t.rest)
	case s.any():
		return next(&t.one)
	case s.literal() && s.fold:
		return inMap(&t.fold, s.lits[0])
	case s.literal():
		return inMap(&t.lit, s.lits[0])
	}
	text := fmt.Sprintf("%v %q", s.fold, s.lits)
	for i := range t.inside {
		if t.inside[i].text == text {
			return t.inside[i].next
		}
	}
	t.inside = append(t.inside, insideChild{text, s, &trie{}})
	return t.inside[len(t.inside)-1].next
}

// walk appends the leaves whose pattern holds for a path in normal form
// without its first slash, the most literal first.
func (t *trie) walk(path string, out []int32) []int32 {
	if path == "" {
		out = append(out, t.leaves...)
	} else {
		seg, rest := path, ""
		if i := strings.IndexByte(path, '/'); i >= 0 {
			seg, rest = path[:i], path[i+1:]
		}
		if next := t.lit[seg]; next != nil {
			out = next.walk(rest, out)
		}
		if t.fold != nil {
			if next := t.fold[strings.ToLower(seg)]; next != nil {
				out = next.walk(rest, out)
			}
		}
		for i := range t.inside {
			if t.inside[i].seg.holds(seg) {
				out = t.inside[i].next.walk(rest, out)
			}
		}
		if t.one != nil {
			out = t.one.walk(rest, out)
		}
	}
	if t.rest != nil {
		for {
			out = t.rest.walk(path, out)
			i := strings.IndexByte(path, '/')
			if path == "" {
				break
			}
			if i < 0 {
				path = ""
				continue
			}
			path = path[i+1:]
		}
	}
	return out
}
