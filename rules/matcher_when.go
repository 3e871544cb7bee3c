package rules

// `when`: an expression for the rare condition that the fields of a match
// cannot say.

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
)

// whenEnv is what a match's `when` may read.
type whenEnv struct {
	Host    string            `expr:"host"`
	Method  string            `expr:"method"`
	Path    string            `expr:"path"` // in normal form
	Capture map[string]string `expr:"capture"`
	Query   map[string]string `expr:"query"`  // one value of each
	Header  map[string]string `expr:"header"` // by lower-case name
	Form    map[string]string `expr:"form"`
	JSON    any               `expr:"json"`
}

// whenProgram is a compiled `when`.
type whenProgram struct {
	program *vm.Program
	text    string
	reads   []string // the names that it uses
	body    bool     // it reads form or json
}

func compileWhen(text string) (*whenProgram, error) {
	names := &identifiers{}
	program, err := expr.Compile(text, expr.Env(whenEnv{}), expr.AsBool(), expr.Patch(names), expr.Patch(optional{}))
	if err != nil {
		return nil, err
	}
	return &whenProgram{program, text, names.list, slices.Contains(names.list, "json") || slices.Contains(names.list, "form")}, nil
}

// identifiers collects the names that an expression uses.
type identifiers struct{ list []string }

func (n *identifiers) Visit(node *ast.Node) {
	if id, ok := (*node).(*ast.IdentifierNode); ok {
		n.list = append(n.list, id.Value)
	}
}

// optional makes every look into something that is not there give nil, as
// json?.a?.b does, so that a rule need not think of it.
type optional struct{}

func (optional) Visit(node *ast.Node) {
	if m, ok := (*node).(*ast.MemberNode); ok && !m.Optional && !m.Method {
		m.Optional = true
		ast.Patch(node, &ast.ChainNode{Node: m})
	}
}

// holds runs the expression, once for each way to read the fields: where a name
// stands twice, some take the first and some the last. One that fails on a value
// that it did not expect holds: what could be a send is one.
func (w *whenProgram) holds(in *input) bool {
	if w.holdsIn(in, atAmpersands, false) {
		return true
	}
	split, twice := w.fieldsAre(in, fields.split), w.fieldsAre(in, fields.repeats)
	return split && w.holdsIn(in, atSemicolons, false) ||
		twice && (w.holdsIn(in, atAmpersands, true) || split && w.holdsIn(in, atSemicolons, true))
}

// fieldsAre asks something of the fields that the expression reads.
func (w *whenProgram) fieldsAre(in *input, what func(fields) bool) bool {
	return slices.Contains(w.reads, "query") && what(in.queryFields()) ||
		slices.Contains(w.reads, "form") && what(in.body.fields)
}

func (w *whenProgram) holdsIn(in *input, how splitting, last bool) bool {
	env := whenEnv{Method: in.call.Method, Path: in.path, JSON: in.body.json}
	for _, name := range w.reads {
		switch name {
		case "host":
			env.Host = NormaliseHost(in.call.Host)
		case "capture":
			env.Capture = map[string]string{}
			for _, name := range in.pattern.names() {
				env.Capture[name] = in.pattern.capture(in.path, name)
			}
		case "query":
			env.Query = in.queryFields().values(how, last)
		case "form":
			env.Form = in.body.fields.values(how, last)
		case "header":
			env.Header = make(map[string]string, len(in.call.Header))
			for name, list := range in.call.Header {
				if len(list) > 0 {
					env.Header[strings.ToLower(name)] = list[0]
				}
			}
		}
	}
	out, err := expr.Run(w.program, env)
	yes, _ := out.(bool)
	return err != nil || yes
}
