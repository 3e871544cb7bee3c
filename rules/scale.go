package rules

import (
	"math"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// scale: an expression that multiplies what a limit allows, by what is known
// of the account. What the message is does not matter: a counter has one
// number, whoever asks.

// standing is what `scale` may ask about.
type standing struct {
	Plan    string         `expr:"plan"`
	Account string         `expr:"account"`
	Facts   map[string]any `expr:"facts"`
}

// scaling is a compiled `scale`. Branches are what it can come to where its
// conditions cannot be answered: the results of `a ? b : c`, b and c.
type scaling struct {
	program  *vm.Program
	branches []*vm.Program
}

func compileScale(text string) (*vm.Program, error) {
	return expr.Compile(text, append(strictFacts(), expr.Env(standing{}), expr.AsFloat64(), expr.DisableBuiltin("now"))...)
}

func (c *compiler) scaling(l *limit) *scaling {
	program, err := compileScale(l.Scale.S)
	if err != nil {
		c.at(l.Scale.pos, "scale: %s\nit is a number, such as 0.8, made of plan, account and facts", oneLine(err))
		return nil
	}
	s := &scaling{program: program}
	tree, err := parser.Parse(l.Scale.S)
	if err != nil {
		return s // it compiles: it can be parsed
	}
	s.results(tree.Node)
	if len(s.branches) == 0 && s.factor(&standing{Facts: map[string]any{}}) < 0 {
		c.at(l.Scale.pos, "scale gives a number below 0\nit multiplies allow: 0.8 is a fifth less")
	}
	return s
}

// results collects the branches of a conditional.
func (s *scaling) results(n ast.Node) {
	choice, ok := n.(*ast.ConditionalNode)
	if !ok {
		return
	}
	for _, branch := range []ast.Node{choice.Exp1, choice.Exp2} {
		if _, more := branch.(*ast.ConditionalNode); more {
			s.results(branch)
		} else if p, err := compileScale(branch.String()); err == nil {
			s.branches = append(s.branches, p)
		}
	}
}

// of is what a limit allows an account: rounded down, and at least 0.
func (s *scaling) of(allow int64, p *person, account string) int64 {
	f := s.factor(&standing{Plan: p.plan, Account: account, Facts: p.facts})
	// The little that is added makes 0.29 of 100 what it says.
	scaled := math.Floor(float64(allow)*f + 1e-9)
	if !(scaled > 0) {
		return 0
	}
	return int64(min(scaled, mostUnits))
}

// factor is what the expression gives. Where it cannot be answered (a fact
// that the account does not have) it is the least that its branches give, and
// 0 where there are none: in doubt the stricter.
func (s *scaling) factor(known *standing) float64 {
	if f, ok := factorOf(s.program, known); ok {
		return f
	}
	least, found := 0.0, false
	for _, branch := range s.branches {
		if f, ok := factorOf(branch, known); ok && (!found || f < least) {
			least, found = f, true
		}
	}
	return least
}

// answers reports whether the expression can be answered for an account.
func (s *scaling) answers(p *person, account string) bool {
	_, ok := factorOf(s.program, &standing{Plan: p.plan, Account: account, Facts: p.facts})
	return ok
}

func factorOf(program *vm.Program, known *standing) (float64, bool) {
	out, err := expr.Run(program, known)
	f, ok := out.(float64)
	return f, err == nil && ok && !math.IsNaN(f)
}
