package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const innerRules = `
version: 1
services: {graph: {hosts: [graph.example], account: [{bearer: true, secret: true}]}, pipe: {hosts: [pipe.example]}}
messages:
  - name: graph.batch
    match: {method: POST, path: '/{version}/$batch'}
    each: $.requests[*]
    inner: {method: {json: $.method}, url: {json: $.url}, base: '/{version}', header: $.headers, body: $.body}
    outcome: {items: '$.responses[*]', sent: {json: {$.status: [200, 202]}}, not_sent: {json: {$.status: 400}}}
  - name: pipe.raw
    match: {method: POST, path: /raw}
    inner: {url: {json: $.request_url}, body: $.body}
  - name: pipe.via
    match: {method: POST, path: /via}
    inner: {method: {const: POST}, url: {query: to}}
  - name: graph.mail
    match: {method: POST, path: ['/v1.0/me/sendMail', '/v1.0/users/{user}/sendMail'], query: {dry: false}}
    account: [{header: x-user, as: graph.user}]
    recipients: {json: '$.message.to[*]'}
    text: {json: $.message.text}
    outcome: {sent: {status: 202}}
limits: [{name: day, on: graph.mail, allow: 1, per: day}]
`

// A request that another one carries is what it would be by itself.
func TestRequestsInRequests(t *testing.T) {
	s := matching(t, innerRules)
	const batch = "https://graph.example/v1.0/$batch"
	send := func(more string) string {
		return `{"id":"1","method":"POST","url":"/me/sendMail","body":{"message":{"to":["x"]}}` + more + `}`
	}
	list := func(items ...string) string { return `{"requests":[` + strings.Join(items, ",") + `]}` }
	for _, c := range []struct{ name, target, body, want string }{
		{"one", batch, list(send("")), "graph.mail x [graph.token b]"},
		{"two and a read", batch, list(send(""), `{"method":"GET","url":"/me"}`, send("")), "graph.mail x + graph.mail x [graph.token b]"},
		{"reads", batch, list(`{"method":"GET","url":"/me"}`, `{"url":"/me/messages"}`), ""},
		{"nothing", batch, list(), ""},
		{"no list", batch, `{}`, ""},
		{"another spelling", batch, list(`{"method":"post","url":"me//%73endMail","body":{"message":{"to":["x"]}}}`), "graph.mail x [graph.token b]"},
		{"a whole URL", batch, list(`{"method":"POST","url":"https://graph.example/v1.0/me/sendMail","body":{"message":{"to":["x"]}}}`), "graph.mail x [graph.token b]"},
		{"another version", "https://graph.example/beta/$batch", list(send("")), ""},
		{"a query that is looked at", batch, list(`{"method":"POST","url":"/me/sendMail?dry=1","body":{"message":{"to":["x"]}}}`), ""},
		{"headers of its own", batch, list(send(`,"headers":{"X-User":"u"}`)), "graph.mail x [graph.user u, graph.token b]"},
		{"of two users", batch, list(send(`,"headers":{"X-User":"u"}`), send(`,"headers":{"X-User":"v"}`)), ErrMixedAccounts.Error()},
		{"no URL", batch, list(`{"method":"POST"}`), errInner.Error()},
		{"a URL that is none", batch, list(`{"url":"http://%zz"}`), errInner.Error()},
		{"a query with a URL in it", batch, list(`{"method":"POST","url":"/me/sendMail?x=://","body":{"message":{"to":["x"]}}}`), "graph.mail x [graph.token b]"},
		{"another host behind a base", batch, list(`{"method":"POST","url":"https://other.example/v1.0/me/sendMail","body":{}}`), errInner.Error()},
		{"a host without a scheme", batch, list(`{"method":"POST","url":"//me/sendMail","body":{}}`), errInner.Error()},
		{"a tunnel by its query", "https://pipe.example/via?to=https%3A%2F%2Fgraph.example%2Fv1.0%2Fusers%2F7%2FsendMail", ``, "graph.mail  [graph.token b]"},
		{"a batch in a batch", batch, list(`{"method":"POST","url":"/$batch","body":` + list(send("")) + `}`), "read request: it carries requests that carry requests"},
		{"not JSON", batch, `requests`, "read request: it is called JSON and is neither an object nor an array"},
		{"a tunnel", "https://pipe.example/raw", `{"request_url":"https://graph.example/v1.0/users/7/sendMail","body":"{\"message\":{\"to\":[\"x\"]}}"}`, "graph.mail x [graph.token b]"},
		{"a form in a tunnel", "https://pipe.example/raw", `{"request_url":"https://graph.example/v1.0/users/7/sendMail","body":"a=b"}`, "graph.mail  [graph.token b]"},
		{"a tunnel to elsewhere", "https://pipe.example/raw", `{"request_url":"https://other.example/v1.0/me/sendMail","body":"{}"}`, ""},
		{"a tunnel into a batch", "https://pipe.example/raw", `{"request_url":"https://graph.example/v1.0/$batch","body":` + list(send("")) + `}`, "read request: it carries requests that carry requests"},
	} {
		sight := s.Look(call(t, "POST", c.target, "Authorization: Bearer b", "Content-Type: application/json"))
		if !sight.NeedsBody() {
			t.Errorf("%s: it needs no body", c.name)
		}
		d, err := sight.Read([]byte(c.body))
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case d != nil:
			var list []string
			for _, m := range d.Messages {
				list = append(list, m.Name()+" "+strings.Join(m.Recipients, ","))
			}
			got = strings.NewReplacer("<graph.recipient ", "", "graph~<", "", ">", "").Replace(fmt.Sprintf("%s [%s]", strings.Join(list, " + "), strings.Join(d.Identities, ", ")))
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	if names := s.MessageNames(); !slices.Equal(names, []string{"graph.mail"}) {
		t.Errorf("what carries messages is counted as one: %v", names)
	}
}

// The answer to a batch is about the messages in it where each has its item.
func TestAnswersToRequestsInRequests(t *testing.T) {
	s := matching(t, innerRules)
	const one = `{"method":"POST","url":"/me/sendMail","body":{"message":{"to":["x"]}}}`
	for answer, want := range map[string][]Outcome{
		`{"responses":[{"status":202},{"status":400}]}`: {Sent, NotSent},
		`{"responses":[{"status":202}]}`:                {Unclear, Unclear},
		`oops`:                                          {Unclear, Unclear},
	} {
		sight := s.Look(call(t, "POST", "https://graph.example/v1.0/$batch", "Authorization: Bearer b"))
		d, err := sight.Read([]byte(`{"requests":[` + one + `,` + one + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Outcomes(200, http.Header{}, []byte(answer)); !slices.Equal(got, want) || !d.OutcomeNeedsBody() {
			t.Errorf("%s: %v, want %v", answer, got, want)
		}
	}
}

func TestTheRequestsInARequestAreBounded(t *testing.T) {
	s := matching(t, innerRules)
	item := `{"method":"GET","url":"/me"}`
	sight := s.Look(call(t, "POST", "https://graph.example/v1.0/$batch", "Authorization: Bearer b"))
	_, err := sight.Read([]byte(`{"requests":[` + strings.Repeat(item+",", mostInner) + item + `]}`))
	var bad *UnreadableError
	if !errors.As(err, &bad) {
		t.Errorf("%d requests in one: %v", mostInner+1, err)
	}
}

// FuzzInner: nothing that a request may carry stops us.
func FuzzInner(f *testing.F) {
	s := matching(f, innerRules)
	f.Add("/me/sendMail", `{"message":{"to":["x"]}}`, "X-User", "u")
	f.Add("https://graph.example/v1.0/$batch", `{"requests":[]}`, "X-HTTP-Method-Override", "PUT")
	f.Add("//graph.example//v1.0/../v1.0/me/sendMail?dry", `"x"`, "Content-Type", "multipart/form-data; boundary=x")
	f.Add("%", ``, "", "")
	f.Fuzz(func(t *testing.T, url, body, name, value string) {
		text, err := json.Marshal(map[string]any{"requests": []any{map[string]any{"method": "POST", "url": url, "body": body, "headers": map[string]any{name: value}}}})
		if err != nil {
			return // no body that a client could send
		}
		sight := s.Look(call(t, "POST", "https://graph.example/v1.0/$batch", "Authorization: Bearer b"))
		d, err := sight.Read(text)
		if d != nil && (err != nil || len(d.Messages) == 0 || len(d.Identities) == 0) {
			t.Errorf("%+v, %v", d, err)
		}
	})
}

// FuzzLearn: no answer teaches what is not in it, or stops us.
func FuzzLearn(f *testing.F) {
	s := matching(f, learnRules)
	f.Add(`{}`, `{"result":[{"message":{"chat":{"id":5},"date":1700000000}}],"friends":["x"]}`)
	f.Add(`{"kind":"reply","bot":1,"who":["a"]}`, ``)
	f.Add(`{"to":"x","thread":"t"}`, `{"value":{"thread":"t"}}`)
	f.Fuzz(func(t *testing.T, request, answer string) {
		for _, target := range []string{"https://bot.example/bot1:T/updates", "https://bot.example/hook", "https://bot.example/bot1:T/send"} {
			sight := s.Look(call(t, "POST", target))
			for _, l := range sight.Learn([]byte(request), 200, http.Header{}, []byte(answer)) {
				if l.Event.Recipient == "" || l.Event.Kind == 0 || l.Event.At < 0 || l.Event.Account != "" || l.Account == "" && len(l.Identities) == 0 {
					t.Errorf("%+v", l)
				}
			}
		}
	})
}

// What the outer request is called says nothing of the bodies within it.
func TestBodiesWithinHaveTheirOwnType(t *testing.T) {
	s := matching(t, innerRules)
	sight := s.Look(call(t, "POST", "https://pipe.example/raw", "Authorization: Bearer b", "Content-Type: application/x-www-form-urlencoded"))
	_, err := sight.Read([]byte(`{"request_url":"https://graph.example/v1.0/users/7/sendMail","body":"neither this nor that"}`))
	var bad *UnreadableError
	if !errors.As(err, &bad) {
		t.Errorf("a body that cannot be read: %v", err)
	}
}

// Requests that are carried in a form that the rules do not know are not read
// for certain.
func TestABatchOfAnotherFormIsRefused(t *testing.T) {
	s := matching(t, innerRules)
	for _, body := range []string{
		"--b\r\nContent-Type: application/http\r\n\r\nPOST /v1.0/me/sendMail HTTP/1.1\r\n\r\n{}\r\n--b--\r\n",
		"POST=/v1.0/me/sendMail",
	} {
		for _, kind := range []string{"multipart/mixed; boundary=b", "text/plain", "application/x-www-form-urlencoded"} {
			sight := s.Look(call(t, "POST", "https://graph.example/v1.0/$batch", "Authorization: Bearer b", "Content-Type: "+kind))
			if d, err := sight.Read([]byte(body)); err == nil {
				t.Errorf("%s: %v", kind, d)
			}
		}
	}
	sight := s.Look(call(t, "POST", "https://graph.example/v1.0/$batch", "Authorization: Bearer b"))
	if d, err := sight.Read(nil); d != nil || err != nil {
		t.Errorf("nothing at all: %v %v", d, err)
	}
}
