package rules

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// Words that an expression is compared with: class == "automatic" is never
// true, and the limit would bind nobody without a sound.

// compared are the words that a name is held against in an expression.
func compared(text, name string) []string {
	tree, err := parser.Parse(text)
	if text == "" || err != nil {
		return nil // what cannot be read was said
	}
	w := &wordFinder{name: name}
	ast.Walk(&tree.Node, w)
	return w.words
}

type wordFinder struct {
	name  string
	words []string
}

func (w *wordFinder) Visit(node *ast.Node) {
	n, ok := (*node).(*ast.BinaryNode)
	if !ok || !slices.Contains([]string{"==", "!=", "in"}, n.Operator) {
		return
	}
	switch {
	case w.is(n.Left):
		w.take(n.Right)
	case w.is(n.Right) && n.Operator != "in":
		w.take(n.Left)
	}
}

func (w *wordFinder) is(n ast.Node) bool {
	id, ok := n.(*ast.IdentifierNode)
	return ok && id.Value == w.name
}

func (w *wordFinder) take(n ast.Node) {
	switch n := n.(type) {
	case *ast.StringNode:
		w.words = append(w.words, n.Value)
	case *ast.ArrayNode:
		for _, one := range n.Nodes {
			w.take(one)
		}
	}
}

// words checks what a limit's when is compared with. A service and a kind may
// be of a pack that is not in use here.
func (c *compiler) words(r *rule) {
	for _, word := range compared(r.When.S, "class") {
		if word != automated && word != manual {
			c.at(r.When.pos, "there is no class %q: a message is automated or manual\n%s", word, choose(word, []string{automated, manual}))
		}
	}
	if len(r.on) == 0 {
		return
	}
	var services, kinds []string
	for _, name := range r.on {
		service, kind := split(name)
		services, kinds = append(services, service), append(kinds, kind)
	}
	for i, what := range []string{"service", "kind"} {
		known := [][]string{services, kinds}[i]
		slices.Sort(known)
		known = slices.Compact(known)
		for _, word := range compared(r.When.S, what) {
			if slices.Contains(known, word) {
				continue
			}
			hint := choose(word, known)
			if _, kind, dotted := strings.Cut(word, "."); dotted && slices.Contains(known, kind) {
				hint = "did you mean \"" + kind + "\"?"
			}
			c.g.l.r.warn(r.When.pos, "the limit %q counts nothing of the %s %q that its when: asks for\n%s", r.name, what, word, hint)
		}
	}
}

// planWords are the plans that a limit's expressions ask for.
func (r *rule) planWords() []text {
	var list []text
	for _, from := range []text{r.When, r.Scale} {
		for _, word := range compared(from.S, "plan") {
			list = append(list, text{from.pos, word})
		}
	}
	return list
}
