package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// The schema and the decoder must agree: what one takes the other takes.

func TestTheSchemaTakesWhatTheDecoderTakes(t *testing.T) {
	texts := map[string]string{"wire": wired}
	for _, name := range Packs() {
		text, err := Pack(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	texts["everything"] = `version: 1
egress: governed-only
use: [linkedin, {./m.yaml: {host: a.test}}]
defaults: {timezone: UTC, plan: free, wait: 4s, unknown_account: reject, on_store_error: forward, mode: shadow}
accounts:
  anna: {identity: [{a.b: c}, {proxy_user: 12}], plan: p, use: linkedin/x, timezone: Europe/Berlin, class: {b: manual}, facts: {connections: 12, x: [1]}, add_ons: [{limit: o, extra: 5, until: 2026-12-31, name: x}]}
limits:
  - {name: a, on: "*", allow: 1, per: 24h, warn_at: 80%, by: recipient, count: messages, wait: 0}
  - {name: b, on: [a.b, c.*], plans: [free], allow: {free: 1, gold: 2}, per: month, warn_at: 5, source: x, when: "true"}
  - {name: c, on: "*", pace: 1m30s, jitter: 0.3}
  - {name: d, on: a.request, rate: {free: 5}, per: second, burst: 3, on_store_error: local}
  - {name: e, on: "*", credits: mail, returned_on_reply: 90d}
  - {name: f, on: "*", unanswered: 2, gap: 7d, by: recipient}
  - {name: g, on: "*", after_connecting: {allow: 1, until: reply, or: 14d}, by: recipient, action: warn}
  - {name: h, on: "*", similar: 0.8, recipients: 3, gap: 14d}
  - {name: i, on: "*", reply_rate: 0.1, per: 30d, sample: 50}
  - {name: j, on: "*", degree_share: 1, per: 30d, sample: 50}
  - {name: k, on: "*", concurrent: 4, scope: service, by: account}
  - {name: l, on: "*", hours: {days: mon-fri, from: "09:00", to: "18:00"}}
  - {name: m, on: "*", hours: [{days: [sat, sun], from: "22:00", to: "04:00"}, {from: "12:00", to: "13:00"}]}
  - {name: n, on: "*", content: {forbid: [a, 'b+'], placeholders: warn}}
  - {name: o, on: "*", distinct: recipient, allow: 5, per: day, ramp: {from: 1, over: 4w}, scale: 0.5}
credits: {mail: {accrue: {free: 5}, per: month, carry: 90d, top_up: 3 for nothing}, gifts: {}}
override: {limit: a, allow: 2}
`
	texts["everything"] = strings.Replace(texts["everything"], "override: {limit: a, allow: 2}", "override: [{limit: a, allow: 2}]", 1)
	check := validator(t, Schema())
	for name, text := range texts {
		if wrong := check(toJSON(t, text)); wrong != "" {
			t.Errorf("%s: the schema refuses it: %s", name, wrong)
		}
	}
}

func TestTheSchemaRefusesWhatTheDecoderRefuses(t *testing.T) {
	check := validator(t, Schema())
	for _, text := range []string{
		"version: 2", "limits: []", "version: 1\nlimts: []", "version: 1\nlimits: [{name: a, on: b, alow: 1}]",
		"version: 1\nlimits: [{name: a, on: b, mode: shaddow}]", "version: 1\nlimits: [{on: b}]", "version: 1\nlimits: {name: a, on: b}",
		"version: 1\nlimits: [{name: a, on: b, allow: -1, per: day}]", "version: 1\nlimits: [{name: a, on: b, allow: 1, per: day, wait: soon}]",
		"version: 1\naccounts: {a: {class: {b: human}}}", "version: 1\naccounts: {a: {identity: {a: b, c: d}}}",
		"version: 1\nlimits: [{name: a, on: b, hours: {from: '09:00'}}]", "version: 1\nlimits: [{name: a, on: b, similar: much}]",
		"version: 1\nlimits: [{name: a, on: b, sample: 0}]", "version: 1\nlimits: [{name: a, on: b, scope: world}]", "version: 1\ncredits: {a: {per: fortnight}}",
		"version: 1\nmessages: [{name: a.b, match: {pth: /x}}]",
	} {
		var f file
		r := newReports()
		decode(r, "f.yaml", []byte(text), nil, &f)
		if r.err() == nil && text != "version: 2" {
			t.Errorf("the decoder takes %q", text)
		}
		if check(toJSON(t, text)) == "" {
			t.Errorf("the schema takes %q", text)
		}
	}
}

func TestTheSchemaOfRuleTests(t *testing.T) {
	check := validator(t, TestSchema())
	files, err := filepath.Glob("packs/*.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("packs/*/*.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{testsText}
	for _, name := range append(files, more...) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	for _, text := range texts {
		if wrong := check(toJSON(t, text)); wrong != "" {
			t.Errorf("the schema refuses it: %s\n%s", wrong, text)
		}
	}
}

func TestEveryFieldIsDescribed(t *testing.T) {
	for _, text := range [][]byte{Schema(), TestSchema()} {
		var s struct {
			Properties map[string]map[string]any
			Defs       map[string]struct {
				Properties map[string]map[string]any
			} `json:"$defs"`
		}
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		s.Defs["the file"] = struct {
			Properties map[string]map[string]any
		}{s.Properties}
		for def, d := range s.Defs {
			for key, p := range d.Properties {
				if doc, _ := p["description"].(string); !strings.HasSuffix(doc, ".") {
					t.Errorf("%s.%s has the description %q", def, key, doc)
				}
			}
		}
	}
}

func toJSON(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// validator knows as much of JSON Schema as ours uses.
func validator(t *testing.T, schema []byte) func(any) string {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(schema, &root); err != nil {
		t.Fatal(err)
	}
	var check func(s map[string]any, v any, at string) string
	check = func(s map[string]any, v any, at string) string {
		for word, arg := range s {
			switch word {
			case "$ref":
				if wrong := check(root["$defs"].(map[string]any)[strings.TrimPrefix(arg.(string), "#/$defs/")].(map[string]any), v, at); wrong != "" {
					return wrong
				}
			case "anyOf":
				first := ""
				for i, one := range arg.([]any) {
					wrong := check(one.(map[string]any), v, at)
					if wrong == "" {
						first = ""
						break
					}
					if i == 0 || first != "" {
						first += " or " + wrong
					}
				}
				if first != "" {
					return first
				}
			case "type":
				types, ok := arg.([]any)
				if !ok {
					types = []any{arg}
				}
				if !slices.Contains(types, any(typeOf(v))) && !(typeOf(v) == "integer" && slices.Contains(types, any("number"))) {
					return fmt.Sprintf("%s is %s, not %v", at, typeOf(v), types)
				}
			case "enum":
				if !slices.Contains(arg.([]any), v) {
					return fmt.Sprintf("%s is %v, not one of %v", at, v, arg)
				}
			case "const":
				if v != arg {
					return fmt.Sprintf("%s is %v, not %v", at, v, arg)
				}
			case "minimum":
				if n, ok := v.(float64); ok && n < arg.(float64) {
					return at + " is too small"
				}
			case "pattern":
				if text, ok := v.(string); ok && !regexp.MustCompile(arg.(string)).MatchString(text) {
					return fmt.Sprintf("%s is %q, which does not match %s", at, text, arg)
				}
			case "items":
				if list, ok := v.([]any); ok {
					for i, item := range list {
						if wrong := check(arg.(map[string]any), item, fmt.Sprintf("%s[%d]", at, i)); wrong != "" {
							return wrong
						}
					}
				}
			case "required":
				for _, key := range arg.([]any) {
					if m, ok := v.(map[string]any); ok && m[key.(string)] == nil {
						return at + " lacks " + key.(string)
					}
				}
			case "maxProperties":
				if m, ok := v.(map[string]any); ok && float64(len(m)) > arg.(float64) {
					return at + " has too many keys"
				}
			case "additionalProperties":
				m, _ := v.(map[string]any)
				known, _ := s["properties"].(map[string]any)
				for key, value := range m {
					switch rest := arg.(type) {
					case bool:
						if known[key] == nil {
							return at + " has the unknown key " + key
						}
					case map[string]any:
						if wrong := check(rest, value, at+"."+key); wrong != "" {
							return wrong
						}
					}
				}
			case "properties":
				m, _ := v.(map[string]any)
				for key, value := range m {
					if p, ok := arg.(map[string]any)[key].(map[string]any); ok {
						if wrong := check(p, value, at+"."+key); wrong != "" {
							return wrong
						}
					}
				}
			}
		}
		return ""
	}
	return func(v any) string { return check(root, v, "$") }
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
