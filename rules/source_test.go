package rules

import (
	"fmt"
	"testing"

	"github.com/ohler55/ojg/jp"
)

// What is walked here and what is left to the library find the same.
func TestJSONPaths(t *testing.T) {
	tree, err := readJSON([]byte(`{"a":{"b":[{"c":1},{"c":2,"d":[3,4]}],"c":null},"x.y":{"z":"w"},"c":true}`))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"$":                    "1",
		"$.a.b[0].c":           "[1]",
		"$.a.b[-1].c":          "[2]",
		"$.a.b[*].c":           "[1 2]",
		"$.a.b[7].c":           "[]",
		"$['x.y'].z":           "[w]",
		"$.a.c":                "[<nil>]",
		"$.a.c.d":              "[]",
		"$..c":                 "[true <nil> 1 2]",
		"$..d[*]":              "[3 4]",
		"$.a..d":               "[[3 4]]",
		"$.a.b[?(@.c == 2)].c": "[2]",
		"$.a.b[0:1].c":         "[1]",
		"$['a','c']['c']":      "[<nil>]",
	} {
		p, err := compileJSONPath(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got := p.get(tree)
		if path == "$" {
			if len(got) != 1 {
				t.Errorf("$ finds %v", got)
			}
			continue
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s finds %v, want %s", path, got, want)
		}
		if library := jp.MustParseString(path).Get(tree); len(library) != len(got) {
			t.Errorf("%s finds %v, the library %v", path, got, library)
		}
	}
	for _, bad := range []string{"", "a.b", "$.[", "$..", "$.a[?("} {
		if _, err := compileJSONPath(bad); err == nil {
			t.Errorf("%q is taken for a path", bad)
		}
	}
}

func TestSources(t *testing.T) {
	s := matching(t, `
version: 1
messages:
  - name: s.m
    match: {host: h.example, path: '/{who}'}
    recipients:
      - {header: x-to, split: ',', regexp: '<(.+)>'}
      - {form: payload, decode: json, json: '$.to[*]'}
      - {query: b64, decode: base64url, after: 'to=', before: ';'}
      - {json: $.raw, decode: json}
      - {basic_user: true}
      - {path: who}
    account: {const: all, as: s.all}
`)
	for _, c := range []struct{ query, header, body, want string }{
		{"", "X-To: Bob <b@x>, nobody, Eve <e@x>", "", "[b@x e@x]"},
		{"", "", "payload=%7B%22to%22%3A%5B%22a%22%2C%22b%22%5D%7D", "[a b]"},
		{"b64=eDt0bz1ib2I7eQ", "", "", "[bob]"},
		{"", "", `{"raw":"[\"q\",7]"}`, "[q 7]"},
		{"", "", `{"raw":"\"q\""}`, "[q]"},
		{"", "Authorization: Basic dXNlcjpwYXNz", "", "[user]"},
		{"", "", "", "[me]"},
	} {
		target := "https://h.example/me"
		if c.query != "" {
			target += "?" + c.query
		}
		var headers []string
		if c.header != "" {
			headers = append(headers, c.header)
		}
		sight := s.Look(call(t, "POST", target, headers...))
		got, err := sight.Read([]byte(c.body))
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		var to []string
		for _, r := range got.Messages[0].Recipients {
			to = append(to, r[len("<s.recipient "):len(r)-1])
		}
		if fmt.Sprint(to) != c.want {
			t.Errorf("%+v: %v", c, to)
		}
	}
}
