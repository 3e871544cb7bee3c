package rules

// Conditions on values: what a match wants of a query, a header, a field, a
// JSON body, and what an outcome wants of an answer.

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// check is one condition on the values of one name.
type check struct {
	name string // of a field or header
	path *jsonPath
	want []wanted
	// present, where set, asks for the name alone.
	present *bool
}

// wanted is one value that would do.
type wanted struct {
	text string
	glob []string       // the pieces between its stars, of a match
	re   *regexp.Regexp // of an outcome
}

// compileChecks makes the checks of one map, sorted by name. patterns tells
// whether values are regular expressions (outcomes) or may have stars in them
// (matches).
func compileChecks(m map[string]values, paths, patterns bool, at pos, report reporter) []check {
	var out []check
	for name, v := range m {
		where := at
		if v.Line > 0 {
			where = v.pos
		}
		c := check{name: name, present: v.Present}
		if paths {
			var err error
			if c.path, err = compileJSONPath(name); err != nil {
				report(where, "%q is not a JSONPath: %s\nRFC 9535, for example $.message.body.text", name, err)
				continue
			}
		}
		if v.Present == nil && len(v.Any) == 0 {
			report(where, "%s has no value to compare with\ntrue where it must be present, false where it must not", name)
			continue
		}
		for _, text := range v.Any {
			w := wanted{text: text}
			switch {
			case patterns && !isPlain(text):
				re, err := regexp.Compile(text)
				if err != nil {
					report(where, "%q is not a regular expression: %s", text, regexpReason(err))
					continue
				}
				w.re = re
			case !patterns && strings.Contains(text, "*"):
				w.glob = strings.Split(text, "*")
			}
			c.want = append(c.want, w)
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b check) int { return strings.Compare(a.name, b.name) })
	return out
}

// isPlain reports whether a wanted value is a number or a boolean: those are
// compared whole, because 12 would be found in 4120.
func isPlain(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil || text == "true" || text == "false"
}

// holds reports whether one of the values is wanted. With present, it is
// enough that there is one, or that there is none.
func (c *check) holds(values []string) bool {
	if c.present != nil {
		return *c.present == (len(values) > 0)
	}
	for _, v := range values {
		for i := range c.want {
			if c.want[i].holds(v) {
				return true
			}
		}
	}
	return false
}

// holdsJSON is holds for a place in JSON, where true is also the opposite of
// false: {$.ok: true} wants an ok that is there and neither false nor null.
func (c *check) holdsJSON(tree any, has bool) bool {
	var few [4]any
	found := few[:0]
	if has {
		found = c.path.appendTo(found, tree)
	}
	if c.present != nil {
		truth := slices.ContainsFunc(found, func(v any) bool { return v != nil && v != false })
		return truth == *c.present
	}
	var short [4]string
	values := short[:0]
	for _, v := range found {
		values = flatten(values, v)
	}
	return c.holds(values)
}

func (w *wanted) holds(v string) bool {
	switch {
	case v == w.text:
		return true
	case w.re != nil:
		return w.re.MatchString(v)
	case w.glob != nil:
		return globHolds(w.glob, v)
	}
	return false
}

func globHolds(pieces []string, s string) bool {
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, p := range pieces[1 : len(pieces)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return true
}

// asked says what the check wants, for a person.
func (c *check) asked() string {
	switch {
	case c.present != nil && *c.present:
		return c.name + " present"
	case c.present != nil:
		return c.name + " absent"
	}
	list := make([]string, len(c.want))
	for i := range c.want {
		list[i] = c.want[i].text
	}
	return c.name + " = " + strings.Join(list, " or ")
}

// tally is how the fields of one name answer a check.
type tally struct{ wanted, whole, split bool }

func (c *check) count(t *tally, value string, in splitting) {
	t.whole = t.whole || in != atSemicolons
	t.split = t.split || in != atAmpersands
	for i := range c.want {
		t.wanted = t.wanted || c.want[i].holds(value)
	}
}

// holdsFor reports whether the check holds in one of the readings.
func (c *check) holdsFor(t tally) bool {
	switch {
	case c.present == nil:
		return t.wanted
	case *c.present:
		return t.whole || t.split
	}
	return !t.whole || !t.split
}

// holdsFields is holds for a form or a query.
func (c *check) holdsFields(f fields) bool {
	var t tally
	for i := range f {
		if f[i].name == c.name {
			c.count(&t, f[i].value, f[i].in)
		}
	}
	return c.holdsFor(t)
}

// queryHolds is holdsFields for a raw query, of which it decodes no more than
// it needs; nearly also takes names that are nearly the check's.
func (c *check) queryHolds(raw string, nearly bool) bool {
	var t tally
	eachField(raw, func(name, value string, in splitting) bool {
		if name != c.name {
			name = unescapeForm(name)
		}
		if name == c.name || nearly && foldField(name) == foldField(c.name) {
			c.count(&t, unescapeForm(value), in)
		}
		return true
	})
	return c.holdsFor(t)
}
