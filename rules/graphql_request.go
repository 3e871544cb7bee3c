package rules

// Where a GraphQL request carries its operation: as JSON, a list of them, a
// form, the field "operations" of a form with files, the query. Servers put
// together what stands in several places, so where two of them differ the
// request cannot be read for certain (graphql.github.io/graphql-over-http,
// jaydenseric/graphql-multipart-request-spec, express-graphql's
// parseGraphQLParams, from memory; 2026-11-22).

import "reflect"

// operationKeys are the names that an operation has on the wire.
var operationKeys = []string{"query", "operationName", "variables", "extensions", "queryId", "documentId", "docId", "doc_id", "id", "hash"}

// operations are those of the request: none where it carries nothing at all.
func (in *input) operations() ([]map[string]any, error) {
	fromQuery, err := in.operationIn(in.queryFields())
	if err != nil {
		return nil, err
	}
	fromForm, err := in.operationIn(in.body.fields)
	if err != nil {
		return nil, err
	}
	trees := []any{}
	if in.body.hasJSON {
		trees = append(trees, in.body.json)
	}
	for _, text := range in.body.fields.all("operations") {
		tree, err := in.openText(text)
		if err != nil {
			return nil, err
		}
		trees = append(trees, tree)
	}
	whole := []map[string]any{fromQuery, fromForm}
	var list []map[string]any
	for _, tree := range trees {
		switch tree := tree.(type) {
		case map[string]any:
			whole = append(whole, tree)
		case []any:
			if list != nil {
				return nil, errPlaces
			}
			list = []map[string]any{}
			for _, item := range tree {
				op, ok := item.(map[string]any)
				if !ok {
					return nil, errOperation
				}
				if op, err = in.merge(op); err != nil {
					return nil, err
				}
				list = append(list, op)
			}
		default:
			return nil, errOperation
		}
	}
	op, err := in.merge(whole...)
	switch {
	case err != nil:
		return nil, err
	case list != nil && (op["query"] != nil || len(storedIDs(op, true)) > 0):
		return nil, errPlaces
	case list != nil:
		return list, nil
	case len(op) == 0 && in.body.empty:
		return nil, nil
	}
	return []map[string]any{op}, nil
}

// operationIn is the operation that fields are, as JSON would have it.
func (in *input) operationIn(f fields) (map[string]any, error) {
	op := map[string]any{}
	for _, name := range operationKeys {
		for _, text := range f.all(name) {
			if old, ok := op[name]; ok && old != text {
				return nil, errPlaces
			}
			op[name] = text
		}
	}
	return op, nil
}

// merge puts together what stands in several places.
func (in *input) merge(places ...map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, place := range places {
		for name, v := range place {
			text, isText := v.(string)
			if isText && (name == "variables" || name == "extensions") {
				if text == "" {
					continue
				}
				var err error
				if v, err = in.openText(text); err != nil {
					return nil, err
				}
			}
			if old, ok := out[name]; ok && !reflect.DeepEqual(old, v) {
				return nil, errPlaces
			}
			out[name] = v
		}
	}
	return out, nil
}

// openText reads JSON in a text.
func (in *input) openText(text string) (any, error) {
	tree, err := readJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	return in.opened(tree)
}
