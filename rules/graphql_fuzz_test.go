package rules

import (
	"encoding/json"
	"net/url"
	"testing"
)

// Whatever a document is, it is as many messages with a comment in front of it,
// as a field of a form and in the query as it is in JSON, and reading it ends.
func FuzzGraphQL(f *testing.F) {
	f.Add(`mutation A($x: ID = 1) { a: send(to: $x) { id } ...F } fragment F on M { ... { box { send(to: [1, {a: B}]) } } }`, "A", `{"x":"bob"}`)
	f.Add(`query A { send } mutation B { send }`, "", `{}`)
	f.Add(`{ ...F } fragment F on M { ...F }`, "B", `[]`)
	f.Add("mutation { send(to: \"\"\"\n a\"\"\") }", "", "null")
	s := matching(f, `
version: 1
messages:
  - name: q.message
    match: {host: q.example, path: /graphql, graphql: {mutation: [send, box.send], persisted: 'p*', reads: 'r*'}}
    account: {const: x}
    recipients: [{json: $.arguments.to}, {json: $.variables.x}]
`)
	read := func(t *testing.T, query, kind, body string) int {
		sight := s.Look(call(t, "POST", "https://q.example/graphql?"+query, "Content-Type: "+kind))
		got, err := sight.Read([]byte(body))
		switch {
		case err != nil:
			return -1
		case got == nil:
			return 0
		}
		return len(got.Messages)
	}
	f.Fuzz(func(t *testing.T, document, name, variables string) {
		op := map[string]any{"query": document, "operationName": name, "variables": json.RawMessage(variables)}
		body, err := json.Marshal(op)
		if err != nil {
			return
		}
		want := read(t, "", "application/json", string(body))
		if document != "" {
			op["query"] = "# {\n" + document
			commented, _ := json.Marshal(op)
			if got := read(t, "", "application/json", string(commented)); want >= 0 && got != want {
				t.Errorf("%q is %d, and %d behind a comment", document, want, got)
			}
		}
		form := "query=" + url.QueryEscape(document) + "&" + "operationName=" + url.QueryEscape(name) + "&" + "variables=" + url.QueryEscape(variables)
		if got := read(t, "", "application/x-www-form-urlencoded", form); want > 0 && got != want {
			t.Errorf("%q is %d, and %d in a form", body, want, got)
		}
		if got := read(t, form, "", ""); want > 0 && got != want {
			t.Errorf("%q is %d, and %d in the query", body, want, got)
		}
	})
}
