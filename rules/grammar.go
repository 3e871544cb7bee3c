package rules

import (
	"reflect"
	"strings"
)

// What the structs' tags say, read once for the decoder and the schema.

// keyField is one key of a mapping.
type keyField struct {
	key, doc, enum string
	need           bool
	index          int
}

func fieldsOf(t reflect.Type) []keyField {
	var fields []keyField
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		fields = append(fields, keyField{
			key: key, doc: f.Tag.Get("doc"), enum: f.Tag.Get("enum"),
			need: f.Tag.Get("need") == "true", index: i,
		})
	}
	return fields
}

// noun names a struct in a sentence: a limit, an account, the defaults.
func noun(t reflect.Type) string {
	switch name := strings.ToLower(t.Name()); {
	case name == "file" || name == "defaults":
		return "the " + name
	case name == "hours":
		return "an entry of hours"
	case name == "testfile":
		return "the test file"
	case name == "settling":
		return "after_connecting"
	case name == "wording":
		return "content"
	case name == "credit":
		return "credits"
	case name == "addon":
		return "an add-on"
	case strings.ContainsAny(name[:1], "aeiou"):
		return "an " + name
	default:
		return "a " + name
	}
}
