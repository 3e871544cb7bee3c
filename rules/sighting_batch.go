package rules

// The items of a batch. Clients send its list as JSON, as JSON in a string of
// the JSON, in a field of a form or in the query, and a service may look into
// any of these: each of them is read, and where two give different items the
// request cannot be read for certain.

import (
	"reflect"
	"strings"
)

// items are the items of a batch: nil where the message is none, or where
// nothing is found that could be counted one by one. The error is an
// *UnreadableError.
func (r *messageRule) items(in *input) ([]any, error) {
	if in.graphql {
		return in.sent, nil
	}
	if r.each == nil {
		return nil, nil
	}
	open := opener{left: mostValues, more: r.each.steps == nil, in: in}
	trees, err := open.places(r.each.lead[0], in)
	if err != nil {
		return nil, err
	}
	var items []any
	for _, tree := range trees {
		if tree, err = open.along(r.each.lead, tree); err != nil {
			return nil, err
		}
		found := r.each.get(tree)
		switch {
		case len(found) == 0:
		case items == nil:
			items = found
		case !reflect.DeepEqual(items, found):
			return nil, unreadable("it carries its messages in two places, and they differ")
		}
	}
	return items, nil
}

// mostPlaces bounds the places in which one batch is looked for.
const mostPlaces = 100

// opener reads texts that hold JSON.
type opener struct {
	left int  // how many values they may still have, all together
	more bool // a path goes on where its leading steps end
	in   *input
}

// places are the trees in which a batch may stand whose path begins with a
// step: the JSON, and each field of that name, as a member of an object.
func (o *opener) places(first jsonStep, in *input) ([]any, error) {
	var out []any
	if in.body.hasJSON {
		out = append(out, in.body.json)
	}
	if first.kind != byName {
		return out, nil
	}
	for _, list := range [...]fields{in.body.fields, in.queryFields()} {
		var plain []any
		for _, text := range list.all(first.name) {
			v, err := o.text(text)
			switch {
			case err != nil:
				return nil, err
			case opens(v):
				out = append(out, map[string]any{first.name: v})
			default:
				plain = append(plain, v)
			}
		}
		// A field that is repeated is a list to some.
		if len(plain) > 1 {
			out = append(out, map[string]any{first.name: plain})
		}
	}
	if len(out) > mostPlaces {
		return nil, unreadable("it carries its messages in too many places")
	}
	return out, nil
}

// text reads what stands where a list or an object is looked for. A text
// without a bracket holds neither.
func (o *opener) text(s string) (any, error) {
	for strings.ContainsAny(s, "[{") {
		v, err := readJSONWithin([]byte(s), nil, &o.left)
		if err != nil {
			return nil, unreadable("it carries messages in a text that is not valid JSON")
		}
		var ok bool
		if s, ok = v.(string); !ok {
			return o.in.opened(v)
		}
	}
	return s, nil
}

// along gives a tree in which the texts are opened that steps go into.
func (o *opener) along(steps []jsonStep, v any) (any, error) {
	if len(steps) == 0 && !o.more {
		return v, nil
	}
	var err error
	if s, ok := v.(string); ok {
		if v, err = o.text(s); err != nil {
			return nil, err
		}
	}
	if len(steps) == 0 {
		return v, nil
	}
	step := &steps[0]
	switch tree := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(tree))
		for name, child := range tree {
			if step.kind == anything || step.kind == byName && step.name == name {
				if child, err = o.along(steps[1:], child); err != nil {
					return nil, err
				}
			}
			out[name] = child
		}
		return out, nil
	case []any:
		out := make([]any, len(tree))
		for i, child := range tree {
			if step.kind == anything || step.kind == byIndex && (step.index == i || step.index == i-len(tree)) {
				if child, err = o.along(steps[1:], child); err != nil {
					return nil, err
				}
			}
			out[i] = child
		}
		return out, nil
	}
	return v, nil
}
