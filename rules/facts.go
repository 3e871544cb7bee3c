package rules

import (
	"fmt"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// Facts that an account does not have. To the expression language one is nil,
// and nil == "trial" is an answer: a limit for trials would not bind whoever has
// no such fact, or a misspelled one. Here it is no answer, unless the expression
// itself says what holds then: facts.tier ?? "trial", facts?.tier, "tier" in facts.

// knownFact is what reads a fact in a compiled expression: no one can write a
// name with a space.
const knownFact = "known fact"

// strictFacts are the options with which an expression that may ask about facts
// is compiled.
func strictFacts() []expr.Option {
	return []expr.Option{
		expr.Patch(&factReader{members: map[ast.Node]ast.Node{}}),
		expr.Function(knownFact, func(params ...any) (any, error) {
			if all, ok := params[0].(map[string]any); ok {
				name, _ := params[1].(string)
				if all[name] == nil {
					return nil, fmt.Errorf("the account has no fact %q", name)
				}
			}
			return runtime.Fetch(params[0], params[1]), nil
		}, new(func(any, any) any)),
	}
}

// factReader puts knownFact in the place of facts.x. Nodes come after those
// within them.
type factReader struct {
	members map[ast.Node]ast.Node // what stood where knownFact is now
}

func (f *factReader) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.MemberNode:
		base, ok := n.Node.(*ast.IdentifierNode)
		if n.Optional || n.Method || f.members[n.Node] == nil && !(ok && base.Value == "facts") {
			return
		}
		call := &ast.CallNode{Callee: &ast.IdentifierNode{Value: knownFact}, Arguments: []ast.Node{n.Node, n.Property}}
		f.members[call] = n
		ast.Patch(node, call)
	case *ast.BinaryNode:
		if old := f.members[n.Left]; n.Operator == "??" && old != nil {
			n.Left = old
		}
	}
}
