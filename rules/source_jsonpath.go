package rules

// JSONPath (RFC 9535). Paths of names, indexes, wildcards and descents, which
// is nearly all that rules have, are walked here, in a fixed order; filters
// and slices are left to the library.

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/ohler55/ojg/jp"
)

// jsonPath is a compiled path.
type jsonPath struct {
	expr  jp.Expr
	steps []jsonStep // where it is simple
	// lead are the steps before the first that the library takes.
	lead []jsonStep
}

// jsonStep is one step of a simple path: a name, an index, or anything; deep
// looks for it at every depth.
type jsonStep struct {
	name  string
	index int
	kind  jsonStepKind
	deep  bool
}

type jsonStepKind uint8

const (
	byName jsonStepKind = iota
	byIndex
	anything
)

func compileJSONPath(text string) (*jsonPath, error) {
	if !strings.HasPrefix(text, "$") {
		return nil, errors.New("it begins with $")
	}
	expr, err := jp.ParseString(text)
	if err != nil {
		return nil, err
	}
	p := &jsonPath{expr: expr}
	deep := false
	for i, f := range expr {
		step := jsonStep{deep: deep}
		deep = false
		switch f := f.(type) {
		case jp.Root:
			if i > 0 {
				return nil, errors.New("it has $ once")
			}
			continue
		case jp.Child:
			step.name = string(f)
		case jp.Nth:
			step.kind, step.index = byIndex, int(f)
		case jp.Wildcard:
			step.kind = anything
		case jp.Descent:
			deep = true
			continue
		default:
			p.steps = nil
			return p, nil
		}
		p.steps = append(p.steps, step)
		p.lead = p.steps
	}
	if deep {
		return nil, errors.New("it ends where a name should follow")
	}
	if len(expr) == 1 {
		p.steps = []jsonStep{} // $ alone
	}
	return p, nil
}

// member is the name of the outermost member that the path begins with, if it
// looks nowhere else.
func (p *jsonPath) member() (string, bool) {
	if p == nil || len(p.steps) == 0 || p.steps[0].kind != byName || p.steps[0].deep {
		return "", false
	}
	return p.steps[0].name, true
}

// leads reports whether the path goes down step by step, but for the last step,
// so that what it goes into can be opened where it is text.
func (p *jsonPath) leads() bool {
	return len(p.lead) > 0 && len(p.lead) >= len(p.expr)-2 && !slices.ContainsFunc(p.lead, func(s jsonStep) bool { return s.deep })
}

// get is all that the path finds, in order; members of an object in the order
// of their names.
func (p *jsonPath) get(tree any) []any { return p.appendTo(nil, tree) }

func (p *jsonPath) appendTo(out []any, tree any) []any {
	if p.steps == nil {
		return append(out, p.expr.Get(tree)...)
	}
	return walkJSON(tree, p.steps, out)
}

func walkJSON(v any, steps []jsonStep, out []any) []any {
	if len(steps) == 0 {
		return append(out, v)
	}
	s := &steps[0]
	switch v := v.(type) {
	case map[string]any:
		switch s.kind {
		case byName:
			if child, ok := v[s.name]; ok {
				out = walkJSON(child, steps[1:], out)
			}
		case anything:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				out = walkJSON(v[name], steps[1:], out)
			}
		}
		if s.deep {
			var buf [8]string
			deeper := buf[:0]
			for name, child := range v {
				if opens(child) {
					deeper = append(deeper, name)
				}
			}
			slices.Sort(deeper)
			for _, name := range deeper {
				out = walkJSON(v[name], steps, out)
			}
		}
	case picked: // for the paths that begin with these names
		for i := range v {
			if v[i].name == s.name {
				out = walkJSON(v[i].value, steps[1:], out)
			}
		}
	case []any:
		switch s.kind {
		case byIndex:
			i := s.index
			if i < 0 {
				i += len(v)
			}
			if 0 <= i && i < len(v) {
				out = walkJSON(v[i], steps[1:], out)
			}
		case anything:
			for _, child := range v {
				out = walkJSON(child, steps[1:], out)
			}
		}
		if s.deep {
			for _, child := range v {
				if opens(child) {
					out = walkJSON(child, steps, out)
				}
			}
		}
	}
	return out
}

func opens(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// jsonValues are the scalars at a path; arrays there are opened.
func jsonValues(path *jsonPath, tree any) []string {
	var few [4]any
	var out []string
	for _, v := range path.appendTo(few[:0], tree) {
		out = flatten(out, v)
	}
	return out
}

func flatten(out []string, v any) []string {
	if list, ok := v.([]any); ok {
		for _, one := range list {
			out = flatten(out, one)
		}
		return out
	}
	if s, ok := scalar(v); ok {
		out = append(out, s)
	}
	return out
}
