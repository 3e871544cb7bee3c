package rules

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// Who gets it is what the field's arguments say, whatever the variables are
// called.
func TestArgumentsOfGraphQL(t *testing.T) {
	s := matching(t, `
version: 1
services: {q: {hosts: [q.example], account: {bearer: true}}}
messages:
  - name: q.message
    match: {path: /graphql, graphql: {mutation: send, persisted: stored}}
    recipients: [{json: $.arguments.to}, {json: $.arguments.input.to}, {json: $.variables.to}]
`)
	for _, c := range []struct{ body, want string }{
		{`{"query":"mutation { send(to: \"bob\") }"}`, "bob"},
		{`{"query":"mutation { send(to: 5) }"}`, "5"},
		{`{"query":"mutation { send(to: bob) }"}`, "bob"},
		{`{"query":"mutation($x: ID) { send(to: $x) }","variables":{"x":"bob","to":"eve"}}`, "bob"},
		{`{"query":"mutation($x: ID = \"bob\") { send(to: $x) }","variables":{"to":"eve"}}`, "bob"},
		{`{"query":"mutation($x: In) { send(input: $x) }","variables":{"x":{"to":["bob","eve"]}}}`, "bob eve"},
		{`{"query":"mutation($x: ID) { send(input: {to: [$x, \"eve\"]}) }","variables":{"x":"bob"}}`, "bob eve"},
		{`{"query":"mutation { a: send(to: 1) b: send(to: 2) }"}`, "1 + 2"},
		{`[{"query":"mutation { send(to: 1) }"},{"query":"mutation { send(to: 2) }"}]`, "1 + 2"},
		{`{"queryId":"stored","arguments":{"to":"eve"},"variables":{"to":"bob"}}`, "bob"},
		{`{"query":"{ send(to: 1) }"}`, ""},
		{`{"queryId":"other"}`, "!"},
	} {
		sight := s.Look(call(t, "POST", "https://q.example/graphql", "Content-Type: application/json", "Authorization: Bearer b"))
		got, err := sight.Read([]byte(c.body))
		var list []string
		if got != nil {
			for _, m := range got.Messages {
				list = append(list, strings.ReplaceAll(strings.Join(m.Recipients, " "), "q.recipient ", ""))
			}
		}
		is := strings.NewReplacer("<", "", ">", "").Replace(strings.Join(list, " + "))
		if bad := new(UnreadableError); errors.As(err, &bad) {
			is = "!"
		} else if err != nil {
			is = err.Error()
		}
		if is != c.want {
			t.Errorf("%s: %q, want %q", c.body, is, c.want)
		}
	}
}

// What runs a document through the reader of another service is not bounded by
// its length alone.
func TestDocumentsThatGrow(t *testing.T) {
	s := matching(t, `
version: 1
messages: [{name: q.message, match: {host: q.example, path: /graphql, graphql: {mutation: [a.a.a.a.send]}}, account: {const: x}}]
`)
	fields := "..." + strings.Join(slices.Repeat([]string{"F"}, 400), " ...")
	document := "mutation { " + strings.Repeat("x: a { ", 4) + fields + strings.Repeat(" }", 4) + " " + fields + " } fragment F on M { " + fields + " send }"
	for document, unread := range map[string]bool{
		document: false,
		"mutation { " + strings.Repeat("a { b } ", mostTokens) + "}":             true,
		"mutation { " + strings.Repeat("a { ", 5000) + strings.Repeat("}", 5001): true,
	} {
		sight := s.Look(call(t, "POST", "https://q.example/graphql", "Content-Type: application/json"))
		_, err := sight.Read([]byte(`{"query":"` + document + `"}`))
		if (err != nil) != unread {
			t.Errorf("%.40s: %v", document, err)
		}
	}
}

func TestGraphQLThatIsNoRule(t *testing.T) {
	for text, want := range map[string]string{
		"graphql: {}":               "graphql says which operations send",
		"graphql: {reads: [a]}":     "graphql says which operations send",
		"graphql: {mutations: [a]}": `unknown key "mutations" in an operation`,
		"graphql: send":             "a mapping with the keys of an operation",
		"graphql: {mutation: [a]}}, each: '$.x[*]', account: {bearer: true": "has graphql and each or inner",
	} {
		_, err := loadText(t, "version: 1\nmessages:\n  - {name: q.message, match: {host: q.example, path: /graphql, "+text+"}}\n")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	_, err := loadText(t, "version: 1\nevents:\n  - {name: q.reply, means: reply, recipient: {const: x}, match: {host: q.example, path: /graphql, graphql: {mutation: a}}}\n")
	if err == nil || !strings.Contains(err.Error(), "a match of an event has no graphql") {
		t.Error(err)
	}
}
