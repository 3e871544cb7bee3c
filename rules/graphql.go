package rules

// GraphQL: what a request does stands in a document inside it, whatever its
// operation is called. A match names the mutations that send (root fields, or
// dotted paths to them): each time that one would run is a message.

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// mostTokens bounds a document. Those of the largest clients have some
// thousands.
const mostTokens = 50_000

// graphqlRule is what a match wants of a GraphQL request, compiled.
type graphqlRule struct {
	mutations        map[string]bool // and false for what leads to them
	persisted, reads check
}

var (
	errOperation = unreadable("it is a GraphQL request, and no operation is where one should be")
	errDocument  = unreadable("its GraphQL document cannot be read")
	errPersisted = unreadable("it names a stored GraphQL operation that the rules do not know")
)

func compileGraphQL(def *operation, r *messageRule, at pos, report reporter) *graphqlRule {
	switch {
	case def == nil:
		return nil
	case r.def.Each != "" || r.def.Inner != nil:
		report(def.pos, "%s has graphql and each or inner\nwith graphql there is a message for every field that sends, in a list of operations too", r.def.Name)
	case len(def.Mutation)+len(def.Persisted) == 0:
		report(def.pos, "graphql says which operations send: by the fields of a mutation, or by their stored ids\nfor example graphql: {mutation: sendMessage}")
	}
	g := &graphqlRule{mutations: map[string]bool{}}
	for _, path := range def.Mutation {
		for i := range path {
			if path[i] == '.' && !g.mutations[path[:i]] {
				g.mutations[path[:i]] = false
			}
		}
		g.mutations[path] = true
	}
	ids := func(list []string) check {
		if len(list) == 0 {
			return check{}
		}
		return compileChecks(map[string]values{"id": {Any: list}}, false, false, at, report)[0]
	}
	g.persisted, g.reads = ids(def.Persisted), ids(def.Reads)
	return g
}

// sends are the items of the messages that a request is: for each time that a
// mutation would run the operation, with the arguments that it has. The error
// is an *UnreadableError.
func (g *graphqlRule) sends(in *input) (out []any, err error) {
	operations, err := in.operations()
	if err != nil {
		return nil, err
	}
	for _, op := range operations {
		fields, err := g.fields(in, op)
		if err != nil {
			return nil, err
		}
		for _, arguments := range fields {
			item := make(map[string]any, len(op)+1)
			for k, v := range op {
				item[k] = v
			}
			delete(item, "arguments")
			if arguments != nil {
				item["arguments"] = arguments
			}
			if out = append(out, item); len(out) > mostItems {
				return nil, unreadable("it carries more messages than can be counted")
			}
		}
	}
	return out, nil
}

// fields are the arguments of each field that sends; nil for the one that a
// stored operation stands for.
func (g *graphqlRule) fields(in *input, op map[string]any) (out []map[string]any, err error) {
	text, _ := op["query"].(string)
	if op["query"] != nil && text == "" && op["query"] != "" {
		return nil, errDocument
	}
	ids := storedIDs(op, text == "")
	if text != "" {
		if out, err = g.read(in, text, op); err != nil {
			return nil, err
		}
	} else if len(ids) == 0 {
		return nil, errOperation
	}
	for _, id := range ids {
		sum := sha256.Sum256([]byte(text))
		switch {
		case g.persisted.holds([]string{id}):
			if len(out) == 0 {
				out = append(out, nil)
			}
		case text != "" && strings.EqualFold(id, hex.EncodeToString(sum[:])), g.reads.holds([]string{id}):
		default:
			return nil, errPersisted
		}
	}
	return out, nil
}

// storedIDs are the ids by which an operation is named whose text the service
// has: Apollo's persisted queries, LinkedIn's queryId, Relay's and others'
// documentId and doc_id, and, where there is no text, any id.
func storedIDs(op map[string]any, textless bool) (ids []string) {
	names := []string{"queryId", "documentId", "docId", "doc_id"}
	if textless {
		names = append(names, "id", "hash")
	}
	for _, name := range names {
		ids = flatten(ids, op[name])
	}
	if extensions, ok := op["extensions"].(map[string]any); ok {
		if stored, ok := extensions["persistedQuery"].(map[string]any); ok {
			ids = flatten(ids, stored["sha256Hash"])
		}
	}
	return slices.DeleteFunc(ids, func(id string) bool { return id == "" })
}

// read finds the fields in a document.
func (g *graphqlRule) read(in *input, text string, op map[string]any) ([]map[string]any, error) {
	doc := in.body.documents[text]
	if doc == nil {
		var err error
		if doc, err = parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, mostTokens); err != nil || len(doc.Operations) == 0 {
			return nil, errDocument
		}
		if in.body.documents == nil {
			in.body.documents = map[string]*ast.QueryDocument{}
		}
		in.body.documents[text] = doc
	}
	for i, f := range doc.Fragments {
		if doc.Fragments.ForName(f.Name) != doc.Fragments[i] {
			return nil, errDocument // two of one name
		}
	}
	run := doc.Operations
	if name, _ := op["operationName"].(string); name != "" {
		if named := slices.DeleteFunc(slices.Clone(run), func(o *ast.OperationDefinition) bool { return o.Name != name }); len(named) > 0 {
			run = named
		}
	}
	w := fieldWalk{g: g, fragments: doc.Fragments, left: mostTokens}
	for _, o := range run { // more than one where nobody says which
		if o.Operation != ast.Mutation {
			continue
		}
		w.variables, w.keys, w.seen = map[string]any{}, map[string]bool{}, map[[2]string]bool{}
		for _, v := range o.VariableDefinitions {
			w.variables[v.Variable], _ = v.DefaultValue.Value(nil)
		}
		given, _ := op["variables"].(map[string]any)
		for name, v := range given {
			w.variables[name] = v
		}
		if err := w.in(o.SelectionSet, "", ""); err != nil {
			return nil, err
		}
	}
	return w.found, nil
}

// fieldWalk goes through what an operation selects.
type fieldWalk struct {
	g         *graphqlRule
	fragments ast.FragmentDefinitionList
	variables map[string]any
	keys      map[string]bool    // what was found: fields of one key run once
	seen      map[[2]string]bool // fragments, by where they were spread
	found     []map[string]any
	left      int
}

// in looks through a selection; at is the path to it, and key what the answer
// calls that.
func (w *fieldWalk) in(set ast.SelectionSet, at, key string) error {
	for _, s := range set {
		if w.left--; w.left < 0 {
			return errDocument
		}
		var err error
		switch s := s.(type) {
		case *ast.Field:
			sends, known := w.g.mutations[at+s.Name]
			if name := key + s.Alias; sends && !w.keys[name] {
				w.keys[name] = true
				err = w.add(s)
			}
			if known && err == nil {
				err = w.in(s.SelectionSet, at+s.Name+".", key+s.Alias+".")
			}
		case *ast.InlineFragment:
			err = w.in(s.SelectionSet, at, key)
		case *ast.FragmentSpread:
			f, spread := w.fragments.ForName(s.Name), [2]string{s.Name, key}
			if f == nil {
				return errDocument
			}
			if !w.seen[spread] {
				w.seen[spread] = true
				err = w.in(f.SelectionSet, at, key)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *fieldWalk) add(f *ast.Field) error {
	arguments := map[string]any{}
	for _, a := range f.Arguments {
		v, err := a.Value.Value(w.variables)
		if _, twice := arguments[a.Name]; err != nil || twice {
			return errDocument
		}
		arguments[a.Name] = v
	}
	w.found = append(w.found, arguments)
	return nil
}

// apartFrom reports whether no operation is what both want.
func (g *graphqlRule) apartFrom(other *graphqlRule) bool {
	if g == nil || other == nil {
		return false
	}
	for path, sends := range g.mutations {
		if sends && other.mutations[path] {
			return false
		}
	}
	return len(g.persisted.want) == 0 || len(other.persisted.want) == 0 || g.persisted.excludes(&other.persisted)
}
