package rules

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// matching makes a Set of one file's text, with hashes that can be read.
func matching(t testing.TB, text string) *Set {
	t.Helper()
	s, err := LoadFS(fstest.MapFS{"q.yaml": {Data: []byte(text)}}, []string{"q.yaml"}, Options{
		Hash: func(kind, value string) string { return "<" + kind + " " + value + ">" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// call makes a Call of a method and a URL as a client would write them, and
// of header lines.
func call(t testing.TB, method, target string, headers ...string) *Call {
	t.Helper()
	scheme, rest, _ := strings.Cut(target, "://")
	host, path, _ := strings.Cut(rest, "/")
	path, query, _ := strings.Cut("/"+path, "?")
	c := &Call{Method: method, Scheme: scheme, Host: host, Path: path, Query: query, Header: http.Header{}}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		c.Header.Add(name, value)
	}
	return c
}

const oneRule = `
version: 1
services:
  chat: {hosts: [chat.example], account: [{cookie: sid, secret: true}], unmatched: report}
messages:
  - name: chat.message
    match:
      method: POST
      path: /api/v1/send
      query: {action: create}
    recipients: [{json: '$.to[*]'}, {form: to}]
    text: {json: $.text}
    id: [{json: $.id}, {form: id}]
`

// Every spelling that a server might take for the send is the send.
func TestSpellings(t *testing.T) {
	s := matching(t, oneRule)
	const body = `{"to":["bob"],"text":"hi"}`
	for _, c := range []struct {
		name, method, target string
		headers              []string
		want                 bool
	}{
		{name: "plain", target: "https://chat.example/api/v1/send?action=create", want: true},
		{name: "http", target: "http://chat.example/api/v1/send?action=create", want: true},
		{name: "any port", target: "https://chat.example:8443/api/v1/send?action=create", want: true},
		{name: "host in capitals with a dot", target: "https://CHAT.Example./api/v1/send?action=create", want: true},
		{name: "full-width host", target: "https://ｃｈａｔ.example/api/v1/send?action=create", want: true},
		{name: "encoded letter", target: "https://chat.example/api/v1/%73end?action=create", want: true},
		{name: "encoded twice", target: "https://chat.example/api/v1/%2573end?action=create", want: true},
		{name: "encoded slash", target: "https://chat.example/api%2Fv1/send?action=create", want: true},
		{name: "encoded slash twice", target: "https://chat.example/api%252fv1/send?action=create", want: true},
		{name: "backslash", target: `https://chat.example/api\v1%5csend?action=create`, want: true},
		{name: "double slash", target: "https://chat.example//api//v1/send?action=create", want: true},
		{name: "dot", target: "https://chat.example/api/./v1/send/.?action=create", want: true},
		{name: "dots", target: "https://chat.example/api/x/../v1/send?action=create", want: true},
		{name: "encoded dots", target: "https://chat.example/api/x/%2e%2E/v1/send?action=create", want: true},
		{name: "encoded slash and dots", target: "https://chat.example/api/x%2f..%2fv1/send?action=create", want: true},
		{name: "dots above the root", target: "https://chat.example/../../api/v1/send?action=create", want: true},
		{name: "encoded NUL", target: "https://chat.example/api/v1/send%00.js?action=create", want: true},
		{name: "encoded question mark", target: "https://chat.example/api/v1/send%3Fx?action=create", want: true},
		{name: "encoded number sign", target: "https://chat.example/api/v1/send%23x/y?action=create", want: true},
		{name: "encoded line break", target: "https://chat.example/api/v1/send%0A?action=create", want: true},
		{name: "encoded space within", target: "https://chat.example/api/v1%20/send?action=create", want: true},
		{name: "letter of two bytes", target: "https://chat.example/api/v1/%c1%b3end?action=create", want: true},
		{name: "letter of three bytes", target: "https://chat.example/api/v1/%e0%81%b3end?action=create", want: true},
		{name: "slash of two bytes", target: "https://chat.example/api%c0%afv1/send?action=create", want: true},
		{name: "dots of two bytes", target: "https://chat.example/api/x/%c0%ae%c0%ae/v1/send?action=create", want: true},
		{name: "trailing slash", target: "https://chat.example/api/v1/send/?action=create", want: true},
		{name: "matrix parameter", target: "https://chat.example/api;v=1/v1/send;x=y?action=create", want: true},
		{name: "matrix dots", target: "https://chat.example/api/x/..;/v1/send?action=create", want: true},
		{name: "encoded query", target: "https://chat.example/api/v1/send?%61ction=cr%65ate", want: true},
		{name: "query among others", target: "https://chat.example/api/v1/send?a=b&action=create&c", want: true},
		{name: "query twice", target: "https://chat.example/api/v1/send?action=read&action=create", want: true},
		{name: "query after a semicolon", target: "https://chat.example/api/v1/send?x=1;action=create", want: true},
		{name: "query before a semicolon", target: "https://chat.example/api/v1/send?action=create;x=1", want: true},
		{name: "overridden method", method: "GET", target: "https://chat.example/api/v1/send?action=create", headers: []string{"X-HTTP-Method-Override: post"}, want: true},
		{name: "override to something else", target: "https://chat.example/api/v1/send?action=create", headers: []string{"X-HTTP-Method-Override: GET"}, want: true},

		{name: "another case of the path", target: "https://chat.example/API/v1/send?action=create"},
		{name: "another action", target: "https://chat.example/api/v1/send?action=creates"},
		{name: "no action", target: "https://chat.example/api/v1/send"},
		{name: "another method", method: "GET", target: "https://chat.example/api/v1/send?action=create"},
		{name: "longer path", target: "https://chat.example/api/v1/send/2?action=create"},
		{name: "another host", target: "https://chat.example.com/api/v1/send?action=create"},
		{name: "a host below", target: "https://a.chat.example/api/v1/send?action=create"},
	} {
		method := c.method
		if method == "" {
			method = "POST"
		}
		sight := s.Look(call(t, method, c.target, append(c.headers, "Cookie: sid=1")...))
		sending, err := sight.Read([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := sending != nil; got != c.want {
			t.Errorf("%s: a message: %v, want %v", c.name, got, c.want)
		}
	}
}

// Whatever a server might take a body for is read, or refused.
func TestBodies(t *testing.T) {
	s := matching(t, oneRule)
	form := "Content-Type: application/x-www-form-urlencoded"
	utf16 := func(s string) string {
		out := "\xff\xfe"
		for _, c := range []byte(s) {
			out += string([]byte{c, 0})
		}
		return out
	}
	const multi = "--b\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\nbob\r\n--b--\r\n"
	for _, c := range []struct {
		name, headers, body string
		want                string // recipients, or ! and a reason
	}{
		{name: "json", body: `{"to":["bob","eve","bob"]}`, want: "bob eve"},
		{name: "json as text", headers: "Content-Type: text/plain;charset=UTF-8", body: `{"to":["bob"]}`, want: "bob"},
		{name: "json as a form", headers: form, body: `{"to":["bob"]}`, want: "bob"},
		{name: "white space before", body: " \r\n\t{\"to\":[\"bob\"]}", want: "bob"},
		{name: "byte order mark", body: "\xef\xbb\xbf{\"to\":[\"bob\"]}", want: "bob"},
		{name: "UTF-16", body: utf16(`{"to":["bob"]}`), want: "bob"},
		{name: "UTF-16 without a mark", body: utf16(`{"to":["bob"]}`)[2:], want: "bob"},
		{name: "escaped name", body: `{"t\u006f":["bob"]}`, want: "bob"},
		{name: "numbers stay exact", body: `{"to":[9007199254740993,-100123456789012345678,1e3]}`, want: "9007199254740993 -100123456789012345678 1000"},
		{name: "form", headers: form, body: "to=bob&x=1", want: "bob"},
		{name: "form without a type", body: "to=b%6fb", want: "bob"},
		{name: "two recipients in a form", headers: form, body: "to=bob&to=eve", want: "bob eve"},
		{name: "a bare percent sign", headers: form, body: "text=100%&to=bob", want: "bob"},
		{name: "multipart", headers: "Content-Type: multipart/form-data; boundary=b", body: multi, want: "bob"},
		{name: "multipart without a type", body: multi, want: "bob"},
		{name: "empty", body: "", want: ""},
		{name: "another shape", body: `[1]`, want: ""},

		{name: "after a semicolon", headers: form, body: "text=x;to=bob", want: "bob"},
		{name: "up to a semicolon", headers: form, body: "to=bob;text=x", want: "bob;text=x bob"},
		{name: "more fields than anybody has", headers: form, body: strings.Repeat("a&", mostFields+1), want: "!it has more fields than can be looked at"},
		{name: "more fields by semicolons", headers: form, body: strings.Repeat(";a", mostFields), want: "!it has more fields than can be looked at"},

		{name: "a name twice", body: `{"to":["bob"],"to":["eve"]}`, want: "!a JSON object has a name twice"},
		{name: "a name twice by escape", body: `{"to":["bob"],"t\u006f":["eve"]}`, want: "!a JSON object has a name twice"},
		{name: "a name twice, deep", body: `{"a":{"b":1,"b":2},"to":["bob"]}`, want: "!a JSON object has a name twice"},
		{name: "cut off", body: `{"to":["bob"]`, want: "!the JSON ends too early"},
		{name: "two values", body: `{"to":["bob"]}{"to":["eve"]}`, want: "!something follows the JSON"},
		{name: "comment", body: `{/**/"to":["bob"]}`, want: "!it is not valid JSON"},
		{name: "invalid UTF-8", body: "{\"to\":[\"\xff\"]}", want: "!it is not valid JSON"},
		{name: "lone surrogate", body: `{"to":["\ud800"]}`, want: "!it is not valid JSON"},
		{name: "deep", body: strings.Repeat("[", 300) + strings.Repeat("]", 300), want: "!the JSON is nested too deep"},
		{name: "more values than can be kept", body: `{"to":["bob"],"x":[` + strings.Repeat("[],", mostValues) + `0]}`, want: "!the JSON has too many values"},
		{name: "protobuf", headers: "Content-Type: application/x-protobuf2", body: "\x0a\x03bob", want: "!it is neither JSON nor a form"},
		{name: "a scalar called JSON", headers: "Content-Type: application/json", body: `"to"`, want: "!it is called JSON and is neither an object nor an array"},
		{name: "multipart cut off", headers: "Content-Type: multipart/form-data; boundary=b", body: multi[:54], want: "!its parts are cut off or malformed"},
		{name: "unknown encoding", headers: "Content-Encoding: compress", body: `{"to":["bob"]}`, want: "!its encoding is not known"},
		{name: "not gzip", headers: "Content-Encoding: gzip", body: `{"to":["bob"]}`, want: "!it is not encoded as it says"},
	} {
		headers := []string{"Cookie: sid=1"}
		if c.headers != "" {
			headers = append(headers, c.headers)
		}
		sight := s.Look(call(t, "POST", "https://chat.example/api/v1/send?action=create", headers...))
		sending, err := sight.Read([]byte(c.body))
		var bad *UnreadableError
		got := ""
		switch {
		case errors.As(err, &bad):
			got = "!" + bad.Reason
		case err != nil:
			got = err.Error()
		case sending == nil:
			got = "no message"
		default:
			for _, r := range sending.Messages[0].Recipients {
				got += " " + strings.TrimSuffix(strings.TrimPrefix(r, "<chat.recipient "), ">")
			}
			got = strings.TrimPrefix(got, " ")
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// What lies between a host that is named and a message is the service's.
func TestUnmatched(t *testing.T) {
	s := matching(t, oneRule)
	other := s.Look(call(t, "GET", "https://elsewhere.example/"))
	if other.Message() || other.Service() != "" || other.Unmatched() != "pass" || other.WebSockets() != "pass" {
		t.Error("a host that no rule names has a service")
	}
	profile := s.Look(call(t, "GET", "https://chat.example/profile"))
	if profile.Message() || profile.Service() != "chat" || profile.Unmatched() != "report" {
		t.Errorf("%v %q %q", profile.Message(), profile.Service(), profile.Unmatched())
	}
}

func TestConditionsOnTheBody(t *testing.T) {
	s := matching(t, `
version: 1
messages:
  - name: chat.note
    match:
      - {host: "*.chat.example", path: '/bot{token}/{method}', json: {$.type: [note, "urn:n:*"]}, header: {x-app: true}}
      - {host: "*.chat.example", path: '/bot{token}/{method}', form: {type: note}, when: 'capture.method startsWith "send" && form.n == "1"'}
    account: {path: token, before: ':', as: chat.bot}
`)
	for _, c := range []struct {
		name, target, header, body string
		want                       bool
	}{
		{"json", "https://a.chat.example/bot1:x/go", "X-App: 1", `{"type":"note"}`, true},
		{"glob", "https://a.chat.example/bot1:x/go", "X-App: 1", `{"type":"urn:n:5"}`, true},
		{"no header", "https://a.chat.example/bot1:x/go", "X-Other: 1", `{"type":"note"}`, false},
		{"another type", "https://a.chat.example/bot1:x/go", "X-App: 1", `{"type":"notes"}`, false},
		{"when", "https://a.chat.example/bot1:x/sendIt", "X-Other: 1", `type=note&n=1`, true},
		{"when on another kind of body", "https://a.chat.example/bot1:x/sendIt", "X-Other: 1", `{"n":1}`, false},
		{"when not", "https://a.chat.example/bot1:x/getIt", "X-Other: 1", `type=note&n=1`, false},
		{"no label", "https://chat.example/bot1:x/sendIt", "X-App: 1", `{"type":"note"}`, false},
		{"two labels", "https://a.b.chat.example/bot1:x/sendIt", "X-App: 1", `{"type":"note"}`, false},
	} {
		sight := s.Look(call(t, "POST", c.target, c.header))
		got, err := sight.Read([]byte(c.body))
		if err != nil || (got != nil) != c.want {
			t.Errorf("%s: %v %v, want %v", c.name, got, err, c.want)
		}
		if got != nil && !slices.Equal(got.Identities, []string{"chat~<chat.bot 1>"}) {
			t.Errorf("%s: %q", c.name, got.Identities)
		}
	}
}

// A request that carries its method and query in the body is the message that
// the service makes of it.
func TestTunnelledQuery(t *testing.T) {
	s := matching(t, oneRule)
	target := "https://chat.example/api/v1/send"
	mixed := "--b\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\naction=create\r\n--b\r\nContent-Type: application/json\r\n\r\n{\"to\":[\"bob\"]}\r\n--b--\r\n"
	for name, c := range map[string]struct {
		headers []string
		body    string
		want    bool
	}{
		"form":        {[]string{"X-HTTP-Method-Override: POST", "Content-Type: application/x-www-form-urlencoded"}, "action=create", true},
		"mixed":       {[]string{"X-HTTP-Method-Override: POST", "Content-Type: multipart/mixed; boundary=b"}, mixed, true},
		"a read":      {[]string{"X-HTTP-Method-Override: GET", "Content-Type: application/x-www-form-urlencoded"}, "action=find", false},
		"no override": {[]string{"Content-Type: application/x-www-form-urlencoded"}, "action=create", false},
	} {
		sight := s.Look(call(t, "POST", target, append(c.headers, "Cookie: sid=1")...))
		got, err := sight.Read([]byte(c.body))
		if err != nil || (got != nil) != c.want {
			t.Errorf("%s: %v %v, want %v", name, got, err, c.want)
		}
	}
}

// A server may end a value at a semicolon or not: a form or a query that is
// the message either way is one.
func TestSemicolons(t *testing.T) {
	s := matching(t, `
version: 1
messages:
  - {name: chat.form, match: {host: chat.example, path: /form, form: {to: bob, draft: false}}, account: {const: all}}
  - {name: chat.query, match: {host: chat.example, path: /query, query: {to: bob, draft: false}}, account: {const: all}}
  - {name: chat.when, match: {host: chat.example, path: /when, when: 'form.to == "bob" && not ("draft" in form)'}, account: {const: all}}
`)
	for text, want := range map[string]bool{
		"to=bob": true, "to=bob;x": true, "x;to=bob": true, "x=1;t%6f=b%6fb;y=2": true, "a=b&;;to=bob;": true,
		"to=bob&x=;draft=1": true, "draft=;&to=bob": false, "to=bob&draft=1": false, "x;to=eve": false, "": false, ";&=": false,
	} {
		for _, path := range []string{"/form", "/when"} {
			sight := s.Look(call(t, "POST", "https://chat.example"+path, "Content-Type: application/x-www-form-urlencoded"))
			got, err := sight.Read([]byte(text))
			if err != nil || (got != nil) != want {
				t.Errorf("%s %q: %v %v, want %v", path, text, got != nil, err, want)
			}
		}
		if sight := s.Look(call(t, "POST", "https://chat.example/query?"+text)); sight.Message() != want {
			t.Errorf("query %q: %v, want %v", text, !want, want)
		}
	}
	sight := s.Look(call(t, "POST", "https://chat.example/query?to=bob"+strings.Repeat("&a", mostFields)))
	var bad *UnreadableError
	if _, err := sight.Read(nil); !errors.As(err, &bad) {
		t.Errorf("a query of too many fields: %v", err)
	}
}

func TestOverridden(t *testing.T) {
	for line, want := range map[string]bool{
		"X-HTTP-Method-Override: POST": true, "x-http-method: POST": true, "X-METHOD-OVERRIDE: ": true,
		"X-Method: POST": false, "Accept: */*": false,
	} {
		if got := Overridden(call(t, "GET", "https://h.example/", line).Header); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

// One rule that is wrong hides nothing that is wrong in another.
func TestEveryErrorOfTheMatcher(t *testing.T) {
	_, err := LoadFS(fstest.MapFS{"q.yaml": {Data: []byte(`version: 1
services:
  s: {hosts: ["a b"], account: {path: x}}
messages:
  - {name: plain, match: {host: h, path: /}}
  - {name: s.request, match: {host: h, path: /}}
  - {name: s.a, match: {host: h, path: no-slash}}
  - {name: s.b, match: {host: h, path: /x, json: {'a.b': 1}}}
  - {name: s.c, match: {host: h, path: /x, when: 'nothing == 1'}}
  - {name: s.d, match: {host: h, path: /x}, recipients: [{json: '$.['}, {form: a, query: b}, {path: gone}, {form: a, regexp: '('}]}
  - {name: s.e, match: {host: h, path: /x}, outcome: {sent: {status: [20, 2xx]}, not_sent: {json: {$.a: '('}}}}
  - {name: t.f, match: {path: /x}}
  - {name: s.g, match: {host: h, path: /g}, each: '$..list[*]'}
  - {name: s.h, match: {host: h, path: /h}, each: '$.a[?(@.b == 1)].c[*]'}
refusals:
  r: {short: {status: 42, json: {a: 'x ${used:int}', b: '${who}'}}}
`)}}, []string{"q.yaml"}, Options{Hash: func(k, v string) string { return v }})
	text := fmt.Sprint(err)
	for _, want := range []string{
		`q.yaml:3:`, `"a b" is not a host`, "cannot come from a path", "named service.kind", "s.request is every call",
		"begins with a slash", `"a.b" is not a JSONPath`, "when: unknown name nothing", `"$.[" is not a JSONPath`,
		"a source has one place, and this one has 2", "captures {gone}", `"(" is not a regular expression`,
		`"20" is not a status`, "has no host", `"$..list[*]" does not say step by step`, `"$.a[?(@.b == 1)].c[*]" does not say`, "42 is not the status", "stands alone", "${who} is not known",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q in\n%s", want, text)
		}
	}
}

func TestTrace(t *testing.T) {
	s := matching(t, oneRule)
	for want, c := range map[string][3]string{
		"":       {"POST", "/api/v1/send?action=create", `{}`},
		"path":   {"POST", "/api/v2/send?action=create", `{}`},
		"method": {"GET", "/api/v1/send?action=create", `{}`},
		"query":  {"POST", "/api/v1/send?action=secret", `{}`},
		"body":   {"POST", "/api/v1/send?action=create", `{"a":1,"a":2}`},
	} {
		steps := s.Trace(call(t, c[0], "https://chat.example"+c[1]), []byte(c[2]))
		if len(steps) != 1 || steps[0].Field != want || strings.Contains(fmt.Sprint(steps), "secret") {
			t.Errorf("%v: %+v, want %s", c, steps, want)
		}
	}
}

// An expression that fails, or looks into what is not there, is no way out.
func TestWhen(t *testing.T) {
	for expression, want := range map[string]bool{
		`json.a.b.c == 1`:             false,
		`not (json.a.b.c == 1)`:       true,
		`json.text == "x"`:            true,
		`len(json.number) > 0`:        true, // fails
		`json.list[7].name == "x"`:    true, // fails
		`query.q == "1"`:              true,
		`form.none != ""`:             false,
		`header["x-app"] == "y"`:      true,
		`capture.who == "me"`:         true,
		`any(json.list, {# == 2})`:    true,
		`host == "h.example"`:         true,
		`path startsWith "/" && true`: true,
	} {
		w, err := compileWhen(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		p, err := compilePath("/{who}")
		if err != nil {
			t.Fatal(err)
		}
		c := call(t, "POST", "https://H.example:443/me?q=1", "X-App: y")
		body, err := readBody(c.Header, []byte(`{"text":"x","number":5,"list":[1,2]}`), 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.holds(&input{call: c, body: &body, pattern: p, path: "/me"}); got != want {
			t.Errorf("%s: %v", expression, got)
		}
	}
}
