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
	name := strings.ToLower(t.Name())
	switch {
	case name == "file" || name == "defaults" || name == "testfile":
		return "the " + strings.Replace(name, "testfile", "test file", 1)
	case strings.ContainsAny(name[:1], "aeiou"):
		return "an " + name
	}
	return "a " + name
}

// later are the keys of a struct that the rules language has and this version
// does not: whoever writes one has made no typo.
func later(t reflect.Type) []string {
	switch t {
	case reflect.TypeFor[file]():
		return []string{"credits", "cooldowns", "events"}
	case reflect.TypeFor[account]():
		return []string{"add_ons"}
	case reflect.TypeFor[message]():
		return []string{"inner"}
	case reflect.TypeFor[limit]():
		return []string{
			"accrue", "action", "after_connecting", "concurrent", "content", "cooldowns", "credits", "degree_share", "distinct",
			"gap", "hours", "ramp", "rate", "recipients", "reply_rate", "returned_on_reply", "sample", "scale", "scope",
			"similar", "unanswered", "until",
		}
	}
	return nil
}
