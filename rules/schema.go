package rules

import (
	"encoding/json"
	"reflect"
	"strings"
)

// The JSON schema of rules files and of rule tests, made of the same tags
// that the decoder reads, so that an editor knows what quotagate knows.

// Schema is the JSON Schema (draft 2020-12) of rules files.
func Schema() []byte {
	return schemaOf(reflect.TypeFor[file](), "quotagate rules", "What a rules file of quotagate says.")
}

// TestSchema is the JSON Schema (draft 2020-12) of files of rule tests.
func TestSchema() []byte {
	return schemaOf(reflect.TypeFor[TestFile](), "quotagate rule tests", "What a *.test.yaml of quotagate says.")
}

// object is a JSON object; it is written with its keys sorted.
type object = map[string]any

func schemaOf(root reflect.Type, title, description string) []byte {
	g := schemaMaker{defs: object{}}
	top := g.structure(root)
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["title"], top["description"] = title, description
	top["$defs"] = g.defs
	text, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		// Maps of texts and lists can always be written.
		return []byte("{}")
	}
	return append(text, '\n')
}

type schemaMaker struct{ defs object }

// structure is the schema of a mapping with known keys.
func (g *schemaMaker) structure(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range fieldsOf(t) {
		p := g.of(t.Field(f.index).Type, f.enum)
		if f.doc != "" {
			p["description"] = f.doc
		}
		properties[f.key] = p
		if f.need {
			required = append(required, f.key)
		}
	}
	if t == reflect.TypeFor[file]() {
		properties["version"] = object{"const": 1, "description": properties["version"].(object)["description"]}
	}
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// named is a reference to the schema of a struct, which is made once.
func (g *schemaMaker) named(t reflect.Type) object {
	name := strings.ToLower(t.Name())
	if _, ok := g.defs[name]; !ok {
		g.defs[name] = nil // it may refer to itself
		g.defs[name] = g.structure(t)
	}
	return object{"$ref": "#/$defs/" + name}
}

// A text may be written without quotes even where it is a number.
func textSchema(enum string) object {
	if enum != "" {
		return object{"type": "string", "enum": strings.Split(enum, ",")}
	}
	return object{"type": []string{"string", "number"}}
}

func (g *schemaMaker) of(t reflect.Type, enum string) object {
	if s := g.notation(t, enum); s != nil {
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.of(t.Elem(), enum)
	case reflect.Struct:
		return g.named(t)
	case reflect.Slice:
		item := g.of(t.Elem(), enum)
		list := object{"type": "array", "items": item}
		if t.Elem().Kind() == reflect.Pointer {
			return list
		}
		return object{"anyOf": []any{item, list}}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": g.of(t.Elem(), enum)}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.String:
		return textSchema(enum)
	}
	return object{}
}

const spanPattern = `^([0-9]+(ms|s|m|h|d|w))+$|^0$`

// notation is the schema of the types that have a notation of their own.
func (g *schemaMaker) notation(t reflect.Type, enum string) object {
	units := object{"type": "integer", "minimum": 0}
	span := object{"anyOf": []any{object{"type": "string", "pattern": spanPattern}, object{"const": 0}}}
	value := object{"type": []string{"string", "number", "boolean"}}
	switch t {
	case timeType:
		return object{"type": "string", "format": "date-time"}
	case durationType, reflect.TypeFor[duration]():
		return span
	case reflect.TypeFor[text]():
		return textSchema(enum)
	case reflect.TypeFor[allow]():
		return object{"anyOf": []any{units, object{"type": "object", "additionalProperties": units, "minProperties": 1}}}
	case reflect.TypeFor[whole]():
		return object{"type": "integer", "minimum": 1}
	case reflect.TypeFor[fraction]():
		return object{"type": "number"}
	case reflect.TypeFor[cost]():
		return object{"anyOf": []any{object{"type": "integer", "minimum": 1}, object{"enum": []string{"recipients", "segments"}}}}
	case reflect.TypeFor[share]():
		return object{"anyOf": []any{object{"type": "integer", "minimum": 1}, object{"type": "string", "pattern": `^[0-9.]+%$`}}}
	case reflect.TypeFor[Inline]():
		return g.named(reflect.TypeFor[file]())
	case reflect.TypeFor[listed]():
		return object{"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": textSchema("")}
	case reflect.TypeFor[use]():
		params := object{"type": "object", "additionalProperties": textSchema("")}
		return object{"anyOf": []any{
			object{"type": "string"},
			object{"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": params},
		}}
	case reflect.TypeFor[values]():
		return object{"anyOf": []any{value, object{"type": "array", "items": value, "minItems": 1}}}
	}
	return nil
}
