package rules

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
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

// Wherever a service might look for a batch, its items are counted; where two
// places differ, or one cannot be read, nothing is.
func TestPlacesOfABatch(t *testing.T) {
	s := matching(t, `
version: 1
messages:
  - {name: bot.album, match: {host: bot.example, path: /album}, each: '$.media[*]', account: {const: all}}
  - {name: bot.deep, match: {host: bot.example, path: /deep}, each: '$.a.b[*].c[*]', account: {const: all}}
  - {name: bot.some, match: {host: bot.example, path: /some}, each: '$.media[?(@.x == 1)]', account: {const: all}}
`)
	const (
		form      = "Content-Type: application/x-www-form-urlencoded"
		multipart = "Content-Type: multipart/form-data; boundary=b"
		part      = "--b\r\nContent-Disposition: form-data; name=media\r\n\r\n"
		entity    = "--b\r\nContent-Type: application/json\r\n\r\n"
		end       = "\r\n--b--\r\n"
		differ    = "it carries its messages in two places, and they differ"
		invalid   = "it carries messages in a text that is not valid JSON"
	)
	for _, c := range []struct {
		target, kind, body string
		want               any
	}{
		{"/album", "", `{"media":[{},{},{}]}`, 3},
		{"/album", "", `{"media":{"0":{},"1":{},"2":{}}}`, 3},
		{"/album", "", `{"media":"[{},{},{}]"}`, 3},
		{"/album", "", `{"media":" \n[1,2,3]"}`, 3},
		{"/album", "", `{"media":"\"[1,2,3]\""}`, 3},
		{"/album", "", `{"media":"[{},{},{}"}`, invalid},
		{"/album", "", `{"media":"/**/[1,2,3]"}`, invalid},
		{"/album", "", `{"media":"file"}`, 1},
		{"/album", "", `{"caption":"see [1] {","media":[1,2]}`, 2},
		{"/album?media=[1,2,3]", "", `{"x":1}`, 3},
		{"/album?media=[1,2,3]", "", `{"media":[]}`, 3},
		{"/album?media=[1,2,3]", "", `{"media":[1,2,3]}`, 3},
		{"/album?media=[1,2,3]", "", `{"media":[1]}`, differ},
		{"/album?media=[1,2,3]", "", `{"media":[1,2,4]}`, differ},
		{"/album?media=[1,2,3]", "", "", 3},
		{"/album?media=[1,2,3]", form, "x=1", 3},
		{"/album?media=[1,2,3]", form, "media=[1]", differ},
		{"/album?media=[1,2,3]&media=[1]", form, "x=1", differ},
		{"/album", form, "media=[1]&media=[1,2,3]", differ},
		{"/album", form, "media=1&media=2", 2},
		{"/album", form, "media=[1,2,3,]", invalid},
		{"/album", form, `media=[{"type":"photo","type":"photo"},{},{}]`, invalid},
		{"/album", form, "x;media=[1,2,3]", 3},
		{"/album", form, "media=[1,2,3];x", invalid},
		{"/album", multipart, part + "[1,2,3]" + end, 3},
		{"/album", multipart, entity + "{}\r\n" + part + "[1,2,3]" + end, 3},
		{"/album", multipart, entity + `{"media":[1]}` + "\r\n" + part + "[1,2,3]" + end, differ},
		{"/album", form, strings.Repeat("media=[1]&", 101), "it carries its messages in too many places"},
		{"/album", "", `{"media":"[` + strings.Repeat("[],", mostValues) + `1]"}`, invalid},
		{"/deep", "", `{"a":"{\"b\":[{\"c\":[1,2]},\"{\\\"c\\\":[3]}\"]}"}`, 3},
		{"/deep", form, `a={"b":["{\"c\":[1,2]}"]}`, 2},
		{"/some", "", `{"media":"[{\"x\":1},{\"x\":2},{\"x\":1}]"}`, 2},
	} {
		sight := s.Look(call(t, "POST", "https://bot.example"+c.target, c.kind))
		got, err := sight.Read([]byte(c.body))
		var is any
		var bad *UnreadableError
		switch {
		case errors.As(err, &bad):
			is = bad.Reason
		case got != nil:
			is = len(got.Messages)
		}
		if is != c.want {
			t.Errorf("%s %.80q: %v (%v), want %v", c.target, c.body, is, err, c.want)
		}
	}
}

// A path that names one sender, recipient or id to us and may name another to
// the service is not let through: each of its spellings would be an account.
func TestPathsOfTwoReadings(t *testing.T) {
	s := matching(t, `
version: 1
messages:
  - name: bot.message
    match: {host: bot.example, path: ['/bot{token}/send', '/bot{token}/test/send']}
    account: {path: token, before: ':', as: bot.id}
  - name: bot.copy
    match: {host: bot.example, path: '/bot{token}/copy'}
    account: {path: token, before: ':', as: bot.id}
  - name: bot.thread
    match: {host: bot.example, path: '/threads/{thread}/{id}'}
    account: {const: all}
    recipients: {path: thread}
    id: {path: id}
`)
	for path, want := range map[string]string{
		"/bot123:T/send":                      "bot~<bot.id 123>",
		"/x%2f..%2fbot123:T/send":             "bot~<bot.id 123>",
		"/bot123:T%2fsend":                    "bot~<bot.id 123>",
		"/bot123:T;v=1/send":                  "bot~<bot.id 123>",
		"/bot1000:x%2f..%2fbot123:T/send":     "!",
		`/bot1000:x\..\bot123:T/send`:         "!",
		"/bot1000:x%252f..%252fbot123:T/send": "!",
		"/bot1000;x:T/send":                   "!",
		"/bot123:x%2f..%2fbot123:T/send":      "bot~<bot.id 123>",
		// Another message in another reading, by somebody else.
		"/bot1000:x/send%2f..%2f..%2fbot123:T%2fcopy":  "bot~<bot.id 123>",
		"/bot1000:x/send;%2f..%2f..%2fbot123:T%2fcopy": "!",
		"/threads/t/1":          "bot~<bot.account all>",
		"/threads/t;x/1":        "!",
		"/threads/t/1;x":        "!",
		"/threads/t%2f../u%2f1": "!",
	} {
		sight := s.Look(call(t, "POST", "https://bot.example"+path))
		got, err := sight.Read(nil)
		is := ""
		var bad *UnreadableError
		switch {
		case errors.As(err, &bad) && bad.Reason == "its path can be read in two ways":
			is = "!"
		case err != nil:
			is = err.Error()
		case got != nil:
			is = strings.Join(got.Identities, " ")
		}
		if is != want {
			t.Errorf("%s: %q, want %q", path, is, want)
		}
	}
}

// What one request makes us do is in proportion to its size.
func TestAmplification(t *testing.T) {
	hashed := 0
	s, err := LoadFS(fstest.MapFS{"q.yaml": {Data: []byte(`
version: 1
messages:
  - name: bot.album
    match: {host: bot.example, path: /album}
    each: $.media[*]
    account: {const: all}
    recipients: {json: '$.to[*]'}
    text: {form: text}
    id: {query: id}
`)}}, []string{"q.yaml"}, Options{Hash: func(kind, value string) string { hashed++; return value }})
	if err != nil {
		t.Fatal(err)
	}
	list := func(n int, item string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString("," + strings.ReplaceAll(item, "#", strconv.Itoa(i)))
		}
		return "[" + b.String()[1:] + "]"
	}
	read := func(body string) (*Sending, error) {
		hashed = 0
		sight := s.Look(call(t, "POST", "https://bot.example/album?id=1"))
		return sight.Read([]byte(body))
	}
	var bad *UnreadableError
	if _, err := read(`{"to":` + list(1500, "#") + `,"media":` + list(1500, "{}") + `}`); !errors.As(err, &bad) || hashed > 1600 {
		t.Errorf("two million recipients: %v, %d hashes", err, hashed)
	}
	got, err := read(`{"to":` + list(100, "#") + `,"media":` + list(100, "{}") + `}`)
	if err != nil || len(got.Messages) != 100 || hashed > 102 {
		t.Fatalf("%v, %d hashes", err, hashed)
	}
	if first, last := got.Messages[0].Recipients, got.Messages[99].Recipients; len(last) != 100 || &first[0] != &last[0] {
		t.Error("the recipients that items share are not shared")
	}
	if got, err = read(`{"media":` + list(100, `{"to":["a","#","a"]}`) + `}`); err != nil || hashed > 103 || !slices.Equal(got.Messages[7].Recipients, []string{"a", "7"}) {
		t.Errorf("%v, %d hashes", err, hashed)
	}
	if _, err := read(`{"media":` + list(101, `{"to":`+list(100, "#")+`}`) + `}`); !errors.As(err, &bad) {
		t.Errorf("10,100 recipients of the items' own: %v", err)
	}
	if _, err := read(`{"media":` + list(mostItems+1, "0") + `}`); !errors.As(err, &bad) {
		t.Errorf("more messages than can be counted: %v", err)
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
	for _, counted := range []bool{true, false} {
		s.segments = counted
		want := map[bool]int64{true: 2, false: 1}[counted]
		if m := read(`{"id":"x1","text":"` + strings.Repeat("a", 161) + `"}`); m.ID != "<chat.id x1>" || m.Segments != want {
			t.Errorf("segments counted %v: %+v", counted, m)
		}
	}
	if m := read(`id=1&id=2`); m.ID != "" {
		t.Errorf("two ids that differ: %q", m.ID)
	}
}
