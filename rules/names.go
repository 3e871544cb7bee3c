package rules

// Names that are nearly those that the rules look for. Some servers take
// "Requests" for "requests" (Go, .NET), "chat.id" for "chat_id" and "to[]" for
// "to" (PHP, Rails); others do not. Where a request has such a name it is read
// once more with the rules' own name in its place, and unless that comes to
// the same, nobody can say what it sends.

import (
	"regexp"
	"slices"
	"strings"
)

var errNames = unreadable("it has a name that is nearly one that is looked for: servers differ in whether it is the same")

// names are those that the messages of a service look for in bodies and queries.
type names struct {
	asked  map[string]bool
	folded map[string][]string // the asked names by their folded form
}

// wordsIn finds what may be a name in a JSONPath or an expression.
var wordsIn = regexp.MustCompile(`[\pL\pN_$@-]+`)

func newNames() *names { return &names{map[string]bool{}, map[string][]string{}} }

// ask adds a name.
func (n *names) ask(name string) {
	if name != "" && !n.asked[name] {
		n.asked[name] = true
		n.folded[foldName(name)] = append(n.folded[foldName(name)], name)
	}
}

// askIn adds every word of a text, which may be more than are looked for: a
// name too many costs a second look and changes nothing.
func (n *names) askIn(text string) {
	for _, w := range wordsIn.FindAllString(text, -1) {
		n.ask(w)
	}
}

func (n *names) askAll(list []valueSource) {
	for i := range list {
		if n.ask(list[i].param); list[i].path != nil {
			n.askIn(list[i].path.expr.String())
		}
	}
}

// foldName is what all spellings of a JSON name have in common.
func foldName(name string) string {
	if !ascii(name) {
		name = strings.ToUpper(name) // ſ and K, which Go's own JSON takes for s and k
	}
	return strings.ToLower(name)
}

// foldField is what all spellings of a form's or query's name have in common.
func foldField(name string) string {
	name = strings.TrimSpace(name)
	if i := strings.IndexByte(name, '['); i > 0 {
		name = name[:i]
	}
	return foldName(strings.Map(func(r rune) rune {
		if r == ' ' || r == '.' {
			return '_'
		}
		return r
	}, name))
}

// near are the asked names that a name is nearly, and is not.
func (n *names) near(name string, fold func(string) string) []string {
	if n == nil || n.asked[name] {
		return nil
	}
	return n.folded[fold(name)]
}

// nearIn reports whether a tree has such a name anywhere.
func (n *names) nearIn(tree any) bool {
	switch tree := tree.(type) {
	case map[string]any:
		for name, child := range tree {
			if n.near(name, foldName) != nil || opens(child) && n.nearIn(child) {
				return true
			}
		}
	case []any:
		for _, child := range tree {
			if opens(child) && n.nearIn(child) {
				return true
			}
		}
	}
	return false
}

// nearFields is nearIn for a form or a query.
func (n *names) nearFields(f fields) bool {
	return slices.ContainsFunc(f, func(f field) bool { return n.near(f.name, foldField) != nil })
}

// loosened is a tree in which what is nearly an asked name is that name, which
// then hides the member that had it. Where two members of an object become the
// same there is no telling which one is read.
func (n *names) loosened(tree any) (any, error) {
	var err error
	switch tree := tree.(type) {
	case map[string]any:
		out, given := make(map[string]any, len(tree)), map[string]bool{}
		for name, child := range tree {
			if opens(child) {
				if child, err = n.loosened(child); err != nil {
					return nil, err
				}
			}
			list := n.near(name, foldName)
			for _, asked := range list {
				if given[asked] {
					return nil, errNames
				}
				out[asked], given[asked] = child, true
			}
			if len(list) == 0 && !given[name] {
				out[name] = child
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(tree))
		for i, child := range tree {
			if out[i], err = n.loosened(child); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return tree, nil
}

// loosenedFields are the fields, and each that is nearly an asked one as that.
func (n *names) loosenedFields(f fields) fields {
	out := slices.Clone(f)
	for _, one := range f {
		for _, asked := range n.near(one.name, foldField) {
			out = append(out, field{asked, one.value, one.in})
		}
	}
	return out
}
