package rules

// Path patterns: literal segments, * for one, ** for any number, {name} to
// capture one segment or a part of it; (?i) in front disregards case.

import (
	"errors"
	"fmt"
	"strings"
)

// pathPattern is one pattern of a path.
type pathPattern struct {
	text string // as written, without (?i)
	segs []segment
}

// segment is one part of a pattern between slashes: literals with a gap
// between each two of them. A single literal has no gap; two empty ones are a
// gap alone.
type segment struct {
	rest  bool // **
	fold  bool
	lits  []string
	names []string // of the gaps; "" for *
}

func (s *segment) literal() bool { return len(s.lits) == 1 }

// any reports whether the segment takes every text.
func (s *segment) any() bool {
	return len(s.lits) == 2 && s.lits[0] == "" && s.lits[1] == ""
}

func compilePath(text string) (*pathPattern, error) {
	text, fold := strings.CutPrefix(text, "(?i)")
	p := &pathPattern{text: text}
	if !strings.HasPrefix(text, "/") {
		return nil, errors.New("a path begins with a slash")
	}
	if strings.ContainsAny(text, "?#") {
		return nil, errors.New("a path has no ? or #: conditions on the query go under query")
	}
	if text == "/" {
		return p, nil
	}
	rests := 0
	names := map[string]bool{}
	for part := range strings.SplitSeq(strings.TrimSuffix(text[1:], "/"), "/") {
		if part == "**" {
			if rests++; rests > 1 {
				return nil, errors.New("a path has ** once at most")
			}
			p.segs = append(p.segs, segment{rest: true})
			continue
		}
		s, err := compileSegment(part, fold)
		if err != nil {
			return nil, err
		}
		for _, n := range s.names {
			if n != "" && names[n] {
				return nil, fmt.Errorf("{%s} is captured twice", n)
			}
			names[n] = true
		}
		p.segs = append(p.segs, s)
	}
	return p, nil
}

func compileSegment(part string, fold bool) (segment, error) {
	s := segment{fold: fold}
	if part == "" || part == "." || part == ".." {
		return s, fmt.Errorf("a path has no %q segments: requests are matched without them", part)
	}
	lit := func(text string) {
		text = normaliseSegment(text)
		if fold {
			text = strings.ToLower(text)
		}
		s.lits = append(s.lits, text)
	}
	for {
		i := strings.IndexAny(part, "*{")
		if i < 0 {
			if strings.Contains(part, "}") {
				return s, errors.New("a } has no {")
			}
			lit(part)
			return s, nil
		}
		if i == 0 && len(s.names) > 0 {
			return s, errors.New("two captures stand side by side: where does the first one end?")
		}
		lit(part[:i])
		name := ""
		if part[i] == '{' {
			end := strings.IndexByte(part, '}')
			if end < i+2 {
				return s, errors.New("a { has no name and } after it")
			}
			name = part[i+1 : end]
			part = part[end+1:]
		} else {
			part = part[i+1:]
		}
		s.names = append(s.names, name)
		if part == "" {
			s.lits = append(s.lits, "")
			return s, nil
		}
	}
}

// normaliseSegment spells a literal of a pattern as normalised paths do.
func normaliseSegment(text string) string { return decodeAll(text) }

func (s *segment) holds(text string) bool { return s.match(text, nil) }

// match fits the literals in from left to right, each gap taking as little
// as it can and at least one character, and the last literal at the end.
func (s *segment) match(text string, capture func(name, value string)) bool {
	folded := text
	if s.fold {
		if folded = strings.ToLower(text); len(folded) != len(text) {
			text = folded // a letter that changes its length: positions would differ
		}
	}
	if s.literal() {
		return folded == s.lits[0]
	}
	first, last := s.lits[0], s.lits[len(s.lits)-1]
	if !strings.HasPrefix(folded, first) || !strings.HasSuffix(folded, last) {
		return false
	}
	from, end := len(first), len(folded)-len(last)
	for i, name := range s.names {
		to := end
		if i < len(s.names)-1 {
			if from+1 > end {
				return false
			}
			at := strings.Index(folded[from+1:end], s.lits[i+1])
			if at < 0 {
				return false
			}
			to = from + 1 + at
		}
		if to <= from {
			return false
		}
		if capture != nil && name != "" {
			capture(name, text[from:to])
		}
		from = to + len(s.lits[i+1])
	}
	return true
}

// capture returns what {name} stands for in a path in normal form for which
// the pattern holds; "" where the pattern has no such name.
func (p *pathPattern) capture(path, name string) string {
	segs := strings.Split(strings.TrimPrefix(path, "/"), "/")
	value := ""
	take := func(n, v string) {
		if n == name {
			value = v
		}
	}
	for i := range p.segs {
		s := &p.segs[i]
		if s.rest {
			// What follows is counted from the end.
			segs = segs[max(0, len(segs)-(len(p.segs)-1-i)):]
			continue
		}
		if len(segs) == 0 {
			return value
		}
		s.match(segs[0], take)
		segs = segs[1:]
	}
	return value
}

// names lists what the pattern captures.
func (p *pathPattern) names() []string {
	var out []string
	for i := range p.segs {
		for _, n := range p.segs[i].names {
			if n != "" {
				out = append(out, n)
			}
		}
	}
	return out
}
