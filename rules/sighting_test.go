package rules

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestBatches(t *testing.T) {
	s := matching(t, `
version: 1
services: {mail: {hosts: [mail.example]}}
messages:
  - name: mail.mail
    match: {method: POST, path: /batch}
    each: $.list[*]
    account: [{json: $.from}, {header: x-key}]
    recipients: {json: "$['to','cc'][*]"}
    cost: recipients
    outcome:
      items: $.results[*]
      sent: {json: {$.code: 0}}
      not_sent: {any: [{json: {$.code: [4, 12]}}, {status: 4xx}]}
`)
	read := func(body string) (*Sending, error) {
		sight := s.Look(call(t, "POST", "https://mail.example/batch", "X-Key: k"))
		return sight.Read([]byte(body))
	}
	got, err := read(`{"list":[{"to":["a","b"],"cc":["c"]},{"to":["d"]}]}`)
	if err != nil || len(got.Messages) != 2 || got.Messages[0].Cost != 3 || got.Messages[1].Cost != 1 {
		t.Fatalf("%+v %v", got, err)
	}
	h := http.Header{}
	for _, c := range []struct {
		status int
		body   string
		want   []Outcome
	}{
		{200, `{"results":[{"code":0},{"code":12}]}`, []Outcome{Sent, NotSent}},
		{200, `{"results":[{"code":112},{"code":0}]}`, []Outcome{Unclear, Sent}},
		{200, `{"results":[{"code":0}]}`, []Outcome{Unclear, Unclear}},
		{403, `{"error":"no"}`, []Outcome{NotSent, NotSent}},
		{200, `{"resu`, []Outcome{Unclear, Unclear}},
	} {
		if out := got.Outcomes(c.status, h, []byte(c.body)); !slices.Equal(out, c.want) {
			t.Errorf("%d %s: %v, want %v", c.status, c.body, out, c.want)
		}
	}
	if _, err = read(`{"list":[{"from":"x","to":["a"]},{"from":"y","to":["a"]}]}`); !errors.Is(err, ErrMixedAccounts) {
		t.Errorf("two senders: %v", err)
	}
	if got, err = read("list=" + url.QueryEscape(`[{"to":["a"]},{"to":["b"]},{"to":["c"]}]`)); err != nil || len(got.Messages) != 3 {
		t.Errorf("a list in a form: %+v %v", got, err)
	}
	if got, err = read(`{"list":[]}`); err != nil || len(got.Messages) != 1 {
		t.Errorf("nothing to count one by one: %+v %v", got, err)
	}
}

// Secrets and recipients leave the matcher only as hashes.
func TestIDs(t *testing.T) {
	s := matching(t, oneRule)
	read := func(body string) Message {
		sight := s.Look(call(t, "POST", "https://chat.example/api/v1/send?action=create", "Cookie: a=b; sid=\"one\"", "Cookie: sid=two"))
		got, err := sight.Read([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"chat~<chat.sid one>", "chat~<chat.sid two>"}; !slices.Equal(got.Identities, want) {
			t.Errorf("%q, want %q", got.Identities, want)
		}
		return got.Messages[0]
	}
	if m := read(`{"id":"x1","text":"` + strings.Repeat("a", 161) + `"}`); m.ID != "<chat.id x1>" || m.Segments != 2 {
		t.Errorf("%+v", m)
	}
	if m := read(`id=1&id=2`); m.ID != "" {
		t.Errorf("two ids that differ: %q", m.ID)
	}
}
