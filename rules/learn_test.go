package rules

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"quotagate/ratelimit"
)

const learnRules = `
version: 1
services: {bot: {hosts: [bot.example], account: [{bearer: true, secret: true}]}}
messages:
  - name: bot.message
    match: {method: POST, path: '/bot{token}/send'}
    account: {path: token, before: ':', as: bot.id}
    recipients: [{json: $.to}, {json: $.thread, as: thread}]
    outcome: {sent: {status: 2xx}, thread: {json: $.value.thread}}
events:
  - name: bot.reply
    match: {path: '/bot{token}/updates'}
    means: reply
    each: $.result[*]
    where: {$.message.own: false}
    account: {path: token, before: ':', as: bot.id}
    recipient: {json: $.message.chat.id}
    at: {json: $.message.date}
  - name: bot.met
    match: {path: '/bot{token}/updates'}
    means: connected
    each: $.friends[*]
    account: {path: token, before: ':', as: bot.id}
    recipient: {json: $}
  - name: bot.thread
    match: {path: '/bot{token}/updates'}
    means: thread
    each: $.result[*]
    account: {path: token, before: ':', as: bot.id}
    recipient: {json: $.message.from}
    thread: {json: $.message.chat.id}
  - name: bot.reply
    match: {method: POST, path: /hook, json: {$.kind: reply}}
    from: request
    means: reply
    account: {json: $.bot, as: bot.id}
    recipient: {json: '$.who[*]'}
accounts: {anna: {identity: {bot.id: 7}}}
limits:
  - {name: day, on: "*", allow: 1, per: day}
  - {name: follow-up, on: bot.message, unanswered: 2, by: recipient}
  - {name: settle, on: bot.message, after_connecting: {allow: 1, until: reply, or: 14d}, by: recipient}
`

func learnedText(list []Learned) string {
	var out []string
	for _, l := range list {
		who := l.Account
		if who == "" {
			who = strings.Join(l.Identities, ",")
		}
		e := l.Event
		text := fmt.Sprintf("%s %s %s", who, map[ratelimit.EventKind]string{ratelimit.Replied: "replied", ratelimit.Connected: "connected", ratelimit.SameAs: "same"}[e.Kind], e.Recipient)
		if e.Is != "" {
			text += " = " + e.Is
		}
		if e.At != 0 {
			text += fmt.Sprintf(" at %d", e.At)
		}
		out = append(out, strings.NewReplacer("<bot.recipient ", "", "bot~<bot.id ", "", ">", "").Replace(text))
	}
	return strings.Join(out, "; ")
}

// Replies, connections and threads are learned from answers and from requests,
// under the names by which messages know their recipients.
func TestWhatExchangesTeach(t *testing.T) {
	s := matching(t, learnRules)
	const updates = "https://bot.example/bot1:T/updates"
	for _, c := range []struct{ name, method, target, body, answer, want string }{
		{"a reply", "GET", updates, "", `{"result":[{"message":{"chat":{"id":5},"date":1700000000}}]}`, "1 replied 5 at 1700000000000"},
		{"a listed account", "GET", "https://bot.example/bot7:T/updates", "", `{"result":[{"message":{"chat":{"id":5},"date":1}}]}`, "anna replied 5 at 1000"},
		{"several, each once, at its latest", "GET", updates, "", `{"result":[{"message":{"chat":{"id":5},"date":3}},{"message":{"chat":{"id":6},"date":1}},{"message":{"chat":{"id":5},"date":9}},{"message":{"chat":{"id":5},"date":4}}]}`, "1 replied 5 at 9000; 1 replied 6 at 1000"},
		{"what lost its time is not of now", "GET", updates, "", `{"result":[{"message":{"chat":{"id":5},"date":3}},{"message":{"chat":{"id":5}}},{"message":{"chat":{"id":6}}}]}`, "1 replied 5 at 3000"},
		{"a path that can be read as of two", "GET", "https://bot.example/bot1:T%2f..%2fbot2:T/updates", "", `{"result":[{"message":{"chat":{"id":5},"date":3}}]}`, ""},
		{"one's own message is none", "GET", updates, "", `{"result":[{"message":{"own":true,"chat":{"id":5}}}]}`, ""},
		{"a time that is none", "GET", updates, "", `{"result":[{"message":{"chat":{"id":5},"date":"yesterday"}}]}`, ""},
		{"a date", "GET", updates, "", `{"result":[{"message":{"chat":{"id":5},"date":"2023-11-14T22:13:20Z"}}]}`, "1 replied 5 at 1700000000000"},
		{"milliseconds", "GET", updates, "", `{"result":[{"message":{"chat":{"id":5},"date":1700000000123}}]}`, "1 replied 5 at 1700000000123"},
		{"microseconds", "GET", updates, "", `{"result":[{"message":{"chat":{"id":5},"date":"1700000000123456"}}]}`, "1 replied 5 at 1700000000123"},
		{"an update of another kind", "GET", updates, "", `{"result":[{"poll":{"id":5}}]}`, ""},
		{"connections", "GET", updates, "", `{"friends":["x","y"]}`, "1 connected x; 1 connected y"},
		{"a thread", "GET", updates, "", `{"result":[{"message":{"own":true,"from":"x","chat":{"id":"t"}}}]}`, "1 same t = x"},
		{"a thread that is the recipient", "GET", updates, "", `{"result":[{"message":{"own":true,"from":"x","chat":{"id":"x"}}}]}`, ""},
		{"no JSON", "GET", updates, "", `<html>`, ""},
		{"half of it", "GET", updates, "", `{"result":[{"message":{"chat":{"id":5}}}`, ""},
		{"another path", "GET", "https://bot.example/bot1:T/other", "", `{"result":[{"message":{"chat":{"id":5}}}]}`, ""},
		{"in the request", "POST", "https://bot.example/hook", `{"kind":"reply","bot":1,"who":["a","b","a"]}`, ``, "1 replied a; 1 replied b"},
		{"a request of another kind", "POST", "https://bot.example/hook", `{"kind":"ping","bot":1,"who":["a"]}`, ``, ""},
		{"a request that cannot be read", "POST", "https://bot.example/hook", `{"kind":"reply","kind":"x"`, ``, ""},
		{"of nobody", "POST", "https://bot.example/hook", `{"kind":"reply","who":["a"]}`, ``, ""},
		{"the thread of a message", "POST", "https://bot.example/bot1:T/send", `{"to":"x"}`, `{"value":{"thread":"t"}}`, "1 same t = x"},
		{"of a message to several", "POST", "https://bot.example/bot1:T/send", `{"to":["x","y"]}`, `{"value":{"thread":"t"}}`, ""},
		{"of a message into one", "POST", "https://bot.example/bot1:T/send", `{"thread":"u"}`, `{"value":{"thread":"t"}}`, ""},
	} {
		sight := s.Look(call(t, c.method, c.target))
		if got := learnedText(sight.Learn([]byte(c.body), 200, http.Header{}, []byte(c.answer))); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestAnAnswerThatFailedTeachesNothing(t *testing.T) {
	s := matching(t, learnRules)
	const answer = `{"result":[{"message":{"chat":{"id":5},"date":1}}]}`
	for status, want := range map[int]string{200: "1 replied 5 at 1000", 206: "1 replied 5 at 1000", 302: "", 404: "", 500: ""} {
		sight := s.Look(call(t, "GET", "https://bot.example/bot1:T/updates"))
		if got := learnedText(sight.Learn(nil, status, http.Header{}, []byte(answer))); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
	// Whoever knows the name of an account can ask in it, and is turned away.
	sight := s.Look(call(t, "POST", "https://bot.example/hook"))
	if got := learnedText(sight.Learn([]byte(`{"kind":"reply","bot":1,"who":["a"]}`), 401, nil, nil)); got != "" {
		t.Errorf("a request that was turned away teaches %q", got)
	}
}

// What has no time of its own is learned when it is first seen: whoever reads
// the same answer again makes nobody reply again.
func TestWhatHasNoTimeIsLearnedOnce(t *testing.T) {
	s := matching(t, learnRules)
	learn := func(s *Set, bot, answer string) string {
		sight := s.Look(call(t, "GET", "https://bot.example/bot"+bot+":T/updates"))
		return learnedText(sight.Learn(nil, 200, http.Header{}, []byte(answer)))
	}
	for _, c := range []struct{ bot, answer, want string }{
		{"1", `{"friends":["x"]}`, "1 connected x"},
		{"1", `{"friends":["y","x"]}`, "1 connected y"},
		{"2", `{"friends":["x"]}`, "2 connected x"},
		{"2", `{"friends":["x","y"]}`, "2 connected y"},
	} {
		if got := learn(s, c.bot, c.answer); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.bot, c.answer, got, c.want)
		}
	}
	other, err := s.Given(Given{Plan: "pro"})
	if err != nil || learn(other, "1", `{"friends":["x"]}`) == "" {
		t.Error("one test knows what another one learned", err)
	}
	var once seen
	for i := range 3 * mostSeen {
		if !once.first(fmt.Sprint(i)) {
			t.Fatal(i)
		}
	}
	if len(once.names) != mostSeen || once.first(fmt.Sprint(3*mostSeen-1)) || !once.first("0") {
		t.Errorf("%d are remembered", len(once.names))
	}
}

func TestWhatIsLearnedIsBounded(t *testing.T) {
	s := matching(t, learnRules)
	learn := func(h http.Header, answer string) []Learned {
		sight := s.Look(call(t, "GET", "https://bot.example/bot1:T/updates"))
		return sight.Learn(nil, 200, h, []byte(answer))
	}
	var many strings.Builder
	for i := range 3 * mostLearned {
		fmt.Fprintf(&many, `,"%d"`, i)
	}
	if got := learn(nil, `{"friends":[`+many.String()[1:]+`]}`); len(got) != mostLearned {
		t.Errorf("%d events of one answer", len(got))
	}
	hook := s.Look(call(t, "POST", "https://bot.example/hook"))
	if got := hook.Learn([]byte(`{"kind":"reply","bot":1,"who":[`+many.String()[1:]+`]}`), 200, nil, nil); len(got) != mostLearned {
		t.Errorf("%d events of one request", len(got))
	}
	long := `{"friends":["x"],"more":"` + strings.Repeat("a", mostHeard) + `"}`
	if got := learn(nil, long); got != nil {
		t.Errorf("an answer of %d bytes: %v", len(long), got)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(`{"friends":["x"]}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := learnedText(learn(http.Header{"Content-Encoding": {"gzip"}}, b.String())); got != "1 connected x" {
		t.Errorf("compressed: %q", got)
	}
}

func TestListens(t *testing.T) {
	s := matching(t, learnRules)
	for target, want := range map[string][2]bool{
		"https://bot.example/bot1:T/updates": {false, true},
		"https://bot.example/hook":           {true, false},
		"https://bot.example/bot1:T/send":    {true, true},
		"https://bot.example/bot1:T/other":   {false, false},
		"https://other.example/":             {false, false},
	} {
		sight := s.Look(call(t, "POST", target))
		if request, response := sight.Listens(); request != want[0] || response != want[1] {
			t.Errorf("%s: %v %v, want %v", target, request, response, want)
		}
	}
}

// A request that names a recipient and a thread shows whose thread it is; one
// that names the thread alone is for a recipient of its own.
func TestThreadsOfRequests(t *testing.T) {
	s := matching(t, learnRules)
	for body, want := range map[string]string{
		`{"to":"x","thread":"t"}`:       "[<bot.recipient x>] [same <bot.recipient t> = <bot.recipient x>]",
		`{"to":"x"}`:                    "[<bot.recipient x>] []",
		`{"thread":"t"}`:                "[<bot.recipient t>] []",
		`{"to":["x","y"],"thread":"t"}`: "[<bot.recipient x> <bot.recipient y>] []",
		`{"to":"x","thread":"x"}`:       "[<bot.recipient x>] []",
		`{"to":"x","thread":["t","u"]}`: "[<bot.recipient x>] []",
	} {
		sight := s.Look(call(t, "POST", "https://bot.example/bot1:T/send"))
		d, err := sight.Read([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		threads := []string{}
		for _, e := range d.Threads() {
			threads = append(threads, "same "+e.Recipient+" = "+e.Is)
		}
		if got := fmt.Sprint(d.Messages[0].Recipients, threads); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// Bodies are not read for what no limit asks about.
func TestOnlyWhatALimitAsksAboutIsLearned(t *testing.T) {
	before, _, _ := strings.Cut(learnRules, "limits:")
	for limit, want := range map[string]string{
		"allow: 1, per: day":                      "false false",
		"unanswered: 2, by: recipient":            "true true",
		"reply_rate: 0.1, per: 30d, sample: 50":   "true true",
		"degree_share: 0.1, per: 30d, sample: 50": "false true",
		"allow: 1, per: day, by: recipient":       "false true",
	} {
		s := matching(t, before+"limits: [{name: a, on: bot.message, "+limit+"}]")
		hook := s.Look(call(t, "POST", "https://bot.example/hook"))
		updates := s.Look(call(t, "GET", "https://bot.example/bot1:T/updates"))
		request, _ := hook.Listens()
		_, response := updates.Listens()
		if got := fmt.Sprint(request, response); got != want {
			t.Errorf("%s: %s, want %s", limit, got, want)
		}
	}
}
