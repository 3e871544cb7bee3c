package rules

import (
	"errors"
	"testing"
)

const sameRules = `
version: 1
services:
  chat: {hosts: [chat.example], account: [{bearer: true, secret: true}, {form: token, as: chat.token}]}
  talk: {hosts: [chat.example]}
messages:
  - name: chat.message
    match: {method: POST, path: /send}
    account: {json: $.from, as: chat.sender}
    recipients: {json: '$.to[*]'}
    text: {json: $.text}
    id: {json: $.id}
    dedupes: true
  - name: chat.post
    match: {method: POST, path: /post}
    recipients: {json: '$.to[*]'}
    id: {json: $.id}
  - name: chat.message
    match: {method: POST, path: /batch}
    each: $.list[*]
    recipients: {json: $.to}
    text: {json: $.text}
    id: {json: $.id}
    dedupes: true
limits:
  - {name: day, on: '*', allow: 100, per: day}
`

// Two requests have the same name if they are of the same account, ids,
// recipients and texts, whatever else is in them.
func TestTheSameMessage(t *testing.T) {
	s := matching(t, sameRules)
	same := func(path, body string, headers ...string) string {
		t.Helper()
		sight := s.Look(call(t, "POST", "https://chat.example"+path, append(headers, "Authorization: Bearer b")...))
		got, err := sight.Read([]byte(body))
		if err != nil || got == nil {
			t.Fatalf("%s %s: %v %v", path, body, got, err)
		}
		name, _ := got.Same()
		return name
	}
	first := same("/send", `{"from":"a","to":["x","y"],"text":"hi","id":"1"}`)
	if first == "" {
		t.Fatal("a message with an id has no name")
	}
	for body, alike := range map[string]bool{
		`{"from":"a","to":["x","y"],"text":"hi","id":"1","trace":"z"}`: true,
		`{"from":"a","to":["x","y"],"text":"hi","id":1}`:               true,
		`{"from":"b","to":["x","y"],"text":"hi","id":"1"}`:             false,
		`{"from":"a","to":["xy"],"text":"hi","id":"1"}`:                false,
		`{"from":"a","to":["x"],"text":"hi","id":"1"}`:                 false,
		`{"from":"a","to":["x","y"],"text":"ho","id":"1"}`:             false,
		`{"from":"a","to":["x","y"],"id":"1"}`:                         false,
		`{"from":"a","to":["x","y"],"text":"hi","id":"2"}`:             false,
	} {
		if again := same("/send", body); (again == first) != alike {
			t.Errorf("%s: the same: %v, want %v", body, again == first, alike)
		}
	}
	if again := same("/send", `{"from":"a","to":["x","y"],"text":"hi","id":"1"}`, "Cookie: new=1"); again != first {
		t.Error("a new cookie makes another message of it")
	}
	if name := same("/send", `{"from":"a","to":["x"],"text":"hi"}`); name != "" {
		t.Errorf("a message without an id is called %q", name)
	}
	if name := same("/batch", `{"list":[{"to":"x","text":"1","id":"1"},{"to":"y","text":"2"}]}`); name != "" {
		t.Errorf("a batch of which one has no id is called %q", name)
	}
	one := same("/batch", `{"list":[{"to":"x","text":"1","id":"1"},{"to":"y","text":"2","id":"2"}]}`)
	if other := same("/batch", `{"list":[{"to":"x","text":"2","id":"1"},{"to":"y","text":"1","id":"2"}]}`); other == one || one == "" {
		t.Error("texts that changed places are the same batch")
	}
}

func TestOnlyWhatTheServiceDropsIsFree(t *testing.T) {
	s := matching(t, sameRules)
	for path, want := range map[string]bool{"/send": true, "/post": false} {
		sight := s.Look(call(t, "POST", "https://chat.example"+path, "Authorization: Bearer b"))
		got, err := sight.Read([]byte(`{"to":["x"],"id":"1"}`))
		if err != nil {
			t.Fatal(err)
		}
		name, dedupes := got.Same()
		if name == "" || dedupes != want {
			t.Errorf("%s: %q, dropped %v, want %v", path, name, dedupes, want)
		}
		// The call that carried it is none that could be dropped.
		got.Messages = append(got.Messages, Message{Service: "chat", Kind: requestKind})
		if again, dedupes := got.Same(); again != name || dedupes {
			t.Errorf("%s and its call: %q, dropped %v, want %q", path, again, dedupes, name)
		}
	}
	// Of a batch some may have been given back: they go the second time.
	sight := s.Look(call(t, "POST", "https://chat.example/batch", "Authorization: Bearer b"))
	got, err := sight.Read([]byte(`{"list":[{"to":"x","text":"1","id":"1"},{"to":"y","text":"2","id":"2"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if name, dedupes := got.Same(); name == "" || dedupes {
		t.Errorf("a batch: %q, dropped %v", name, dedupes)
	}
}

// A call is counted where a limit counts it, whatever it does; one that names
// nobody is not.
func TestCallsAreCounted(t *testing.T) {
	s := matching(t, sameRules)
	read := func(headers ...string) Sighting {
		return s.Look(call(t, "GET", "https://chat.example/anything", headers...))
	}
	sight := read("Authorization: Bearer b")
	if d, err := sight.Call(); sight.Requests() || d != nil || err != nil {
		t.Fatalf("no limit counts calls: %v %v", d, err)
	}
	s.byName["chat.request"] = []*rule{{}}
	sight = read("Authorization: Bearer b")
	d, err := sight.Call()
	if err != nil || !sight.Requests() || len(d.Messages) != 1 || d.Messages[0].Name() != "chat.request" || d.Messages[0].Cost != 1 ||
		len(d.Identities) != 1 || d.Identities[0] != "chat~<chat.token b>" || d.Service != "chat" {
		t.Errorf("%+v, %v", d, err)
	}
	if sight.CallNeedsBody() {
		t.Error("the bearer names the account already")
	}
	sight = read()
	var nobody *AccountError
	if d, err = sight.Call(); d != nil || !errors.As(err, &nobody) || !errors.Is(err, ErrUnknownAccount) {
		t.Errorf("a call of nobody: %v, %v", d, err)
	}
	if !sight.CallNeedsBody() {
		t.Error("a form could name the account")
	}
	if d, err = sight.CallIn([]byte("token=f&x=1")); err != nil || d.Identities[0] != "chat~<chat.token f>" {
		t.Errorf("a token in the form: %+v, %v", d, err)
	}
	if d, err = sight.CallIn([]byte(`{"token":`)); d != nil || !errors.Is(err, ErrUnknownAccount) {
		t.Errorf("a body that cannot be read: %v, %v", d, err)
	}
	s.byName["talk.request"] = []*rule{{}}
	if sight = read("Authorization: Bearer b"); len(sight.Calls()) != 2 {
		t.Errorf("two services share the host: %v", sight.Calls())
	}
	if sight = s.Look(call(t, "GET", "https://other.example/")); sight.Requests() || sight.Calls() != nil {
		t.Error("a host that no rule names")
	}
}
