package rules

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const coolRules = `
version: 1
services: {chat: {hosts: [chat.example]}, mail: {hosts: [mail.example]}}
messages:
  - name: chat.message
    match: {path: /send}
    account: {const: all}
    recipients: {json: '$.to[*]'}
    outcome: &said
      throttled: {status: 429}
      restricted: {status: 403}
      challenged: {status: 302}
      retry_after: {json: $.parameters.retry_after}
  - name: mail.mail
    match: {path: /send}
    account: {const: all}
    outcome: *said
`

func coolings(t *testing.T, s *Set, target, body string, status int, h http.Header, answer string) string {
	t.Helper()
	sight := s.Look(call(t, "POST", target))
	d, err := sight.Read([]byte(body))
	if err != nil || d == nil {
		t.Fatal(d, err)
	}
	if h == nil {
		h = http.Header{}
	}
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	var out []string
	for _, c := range s.Coolings(d, d.Outcomes(status, h, []byte(answer)), h, now, "id-1", "anna") {
		if c.ID != "id-1" || !strings.HasPrefix(c.Why, d.Service+" ") {
			t.Errorf("%+v", c)
		}
		out = append(out, fmt.Sprintf("%s %s[%s] for=%d least=%d grow=%d max=%d ramp=%d resumed=%v", c.Name, c.Account, c.Key, c.For, c.Least, c.Grow, c.Max, c.Ramp, c.Resumed))
	}
	return strings.Join(out, "; ")
}

// What a service says becomes the holds that the rules ask for, and nothing
// else.
func TestCoolings(t *testing.T) {
	const hour, day = 3600 * 1000, 24 * 3600 * 1000
	for _, c := range []struct {
		name, rules, target, body string
		status                    int
		want                      string
	}{
		{"throttled", "{on: throttled, for: 1h, grow: 2, max: 7d}", "https://chat.example/send", `{"to":["x"]}`, 429,
			fmt.Sprintf("throttled anna[] for=%d least=0 grow=2000 max=%d ramp=0 resumed=false", hour, 7*day)},
		{"another answer", "{on: throttled, for: 1h}", "https://chat.example/send", `{"to":["x"]}`, 403, ""},
		{"all is well", "{on: [throttled, restricted, challenged], for: 1h}", "https://chat.example/send", `{"to":["x"]}`, 200, ""},
		{"several answers", "{on: [throttled, challenged], for: 1h}", "https://chat.example/send", `{"to":["x"]}`, 302,
			fmt.Sprintf("challenged anna[] for=%d least=0 grow=0 max=0 ramp=0 resumed=false", hour)},
		{"until resumed", "{on: restricted, for: 30d, ramp: 60d, until: resumed}", "https://chat.example/send", `{"to":["x"]}`, 403,
			fmt.Sprintf("restricted anna[] for=%d least=0 grow=0 max=0 ramp=%d resumed=true", 30*day, 60*day)},
		{"another service", "{on: throttled, for: 1h, services: mail}", "https://chat.example/send", `{"to":["x"]}`, 429, ""},
		{"recipients", "{on: throttled, for: 1h, scope: recipient}", "https://chat.example/send", `{"to":["x","y","x"]}`, 429,
			fmt.Sprintf("throttled anna[<chat.recipient x>] for=%d least=0 grow=0 max=0 ramp=0 resumed=false; throttled anna[<chat.recipient y>] for=%[1]d least=0 grow=0 max=0 ramp=0 resumed=false", hour)},
		{"no recipient", "{on: throttled, for: 1h, scope: recipient}", "https://chat.example/send", `{}`, 429,
			fmt.Sprintf("throttled anna[unknown] for=%d least=0 grow=0 max=0 ramp=0 resumed=false", hour)},
		{"the service", "{on: throttled, for: 1h, scope: service}", "https://mail.example/send", `{}`, 429,
			fmt.Sprintf("throttled service:mail[] for=%d least=0 grow=0 max=0 ramp=0 resumed=false", hour)},
		{"the longest of two", "{on: throttled, for: 1h, grow: 3, max: 2h}\n  - {on: [throttled, restricted], for: 30m, grow: 2, max: 7d, ramp: 1d}", "https://chat.example/send", `{"to":["x"]}`, 429,
			fmt.Sprintf("throttled anna[] for=%d least=0 grow=3000 max=%d ramp=%d resumed=false", hour, 7*day, day)},
	} {
		s := matching(t, coolRules+"cooldowns:\n  - "+c.rules+"\n")
		if got := coolings(t, s, c.target, c.body, c.status, nil, ""); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// A cool-down of a file that one account uses is that account's alone.
func TestCoolingsOfOneAccount(t *testing.T) {
	for user, want := range map[string]bool{"anna": true, "bert": false} {
		s, err := loadText(t, strings.Replace(coolRules, "version: 1", "version: 1\naccounts:\n  "+user+": {identity: {proxy_user: "+user+"}, use: [./own.yaml]}", 1), "own.yaml", "version: 1\ncooldowns: [{on: throttled, for: 1h}]")
		if err != nil {
			t.Fatal(err)
		}
		if got := coolings(t, s, "https://chat.example/send", `{}`, 429, nil, ""); (got != "") != want {
			t.Errorf("%s: %q", user, got)
		}
	}
}

// How long a service asks to be left alone: seconds, or a date against its own
// clock, or what its JSON says.
func TestHowLongAServiceAsksToBeLeftAlone(t *testing.T) {
	s := matching(t, coolRules+"cooldowns: [{on: throttled, for: 1h}]\n")
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		after, date, answer string
		want                int64
	}{
		{"", "", "", 0},
		{"120", "", "", 120_000},
		{" 120 ", "", "", 120_000},
		{"1.5", "", "", 1500},
		{"0.0001", "", "", 1},
		{"-5", "", "", 0},
		{"soon", "", "", 0},
		{"NaN", "", "", 0},
		{"Inf", "", "", longestAsked},
		{"99999999999999999999", "", "", longestAsked},
		{"Sat, 21 Nov 2026 09:02:00 GMT", "", "", 120_000},
		{"Sat, 21 Nov 2026 09:02:00 GMT", "Sat, 21 Nov 2026 09:01:00 GMT", "", 60_000},
		{"Sat, 21 Nov 2026 08:00:00 GMT", "", "", 0},
		{"", "", `{"parameters":{"retry_after":35}}`, 35_000},
		{"60", "", `{"parameters":{"retry_after":35}}`, 60_000},
		{"5", "", `{"parameters":{"retry_after":35.25}}`, 35_250},
		{"5", "", `{"parameters":{"retry_after":"x"}}`, 5000},
		{"5", "", `{"parame`, 5000},
		// A time since 1970 is what some send who mean seconds.
		{fmt.Sprint(now.Unix() + 90), "", "", 90_000},
		{fmt.Sprint(now.UnixMilli() + 90_000), "", "", 90_000},
		{fmt.Sprint(now.Unix() - 90), "", "", 0},
		{"", "", fmt.Sprintf(`{"parameters":{"retry_after":%d.5}}`, now.Unix()+90), 90_500},
		{"Sat, 21 Nov 2099 09:00:00 GMT", "", "", longestAsked},
		{"86400000", "", "", longestAsked},
	} {
		h := http.Header{}
		if c.after != "" {
			h.Set("Retry-After", c.after)
		}
		if c.date != "" {
			h.Set("Date", c.date)
		}
		if got := coolings(t, s, "https://chat.example/send", `{}`, 429, h, c.answer); !strings.Contains(got, fmt.Sprintf(" least=%d ", c.want)) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// The ledger is told of those scopes and recipients alone that a cool-down may
// have put on hold.
func TestWatches(t *testing.T) {
	for rules, want := range map[string]string{
		"[{on: throttled, for: 1h}]":                                                              "[] []",
		"[{on: throttled, for: 1h, scope: service}]":                                              "[service:chat] []",
		"[{on: throttled, for: 1h, scope: recipient}]":                                            "[] [<chat.recipient x> <chat.recipient y>]",
		"[{on: throttled, for: 1h, scope: recipient}, {on: restricted, for: 1h, scope: service}]": "[service:chat] [<chat.recipient x> <chat.recipient y>]",
	} {
		s := matching(t, coolRules+"cooldowns: "+rules+"\n")
		sight := s.Look(call(t, "POST", "https://chat.example/send"))
		d, err := sight.Read([]byte(`{"to":["x","y","x"]}`))
		if err != nil {
			t.Fatal(err)
		}
		services, recipients := s.Watches(d)
		if got := fmt.Sprint(services, recipients); got != want {
			t.Errorf("%s: %s, want %s", rules, got, want)
		}
	}
}

func TestACooldownThatNothingBringsAboutIsWarnedOf(t *testing.T) {
	text := strings.Replace(coolRules, "      challenged: {status: 302}\n", "", 1)
	s := matching(t, text+"cooldowns: [{on: [throttled, challenged], for: 1h}]\n")
	if !slices.ContainsFunc(s.Warnings(), func(w Warning) bool { return strings.Contains(w.Message, "that it is challenged") }) {
		t.Errorf("%v", s.Warnings())
	}
	if slices.ContainsFunc(s.Warnings(), func(w Warning) bool { return strings.Contains(w.Message, "that it is throttled") }) {
		t.Errorf("%v", s.Warnings())
	}
}

// An answer may say both that nothing was sent and that it was too much: what
// was charged comes back, and the cool-down begins.
func TestWhatWasNotSentCoolsDownToo(t *testing.T) {
	s := matching(t, `
version: 1
services: {chat: {hosts: [chat.example]}}
messages:
  - name: chat.message
    match: {path: /send}
    account: {const: all}
    each: $.list[*]
    outcome: {items: '$.list[*]', not_sent: {status: [400, 429]}, throttled: {any: [{status: 429}, {json: {$.slow: true}}]}}
cooldowns: [{on: throttled, for: 1h}]
`)
	for _, c := range []struct {
		status   int
		answer   string
		outcomes string
		cools    int
	}{
		{429, `{}`, "[2 2]", 1},
		{400, `{}`, "[2 2]", 0},
		{400, `{"list":[{"slow":false},{"slow":true}]}`, "[2 2]", 1},
		{200, `{"list":[{},{"slow":true}]}`, "[0 3]", 1},
		{200, `{}`, "[0 0]", 0},
	} {
		sight := s.Look(call(t, "POST", "https://chat.example/send"))
		d, err := sight.Read([]byte(`{"list":[{},{}]}`))
		if err != nil {
			t.Fatal(err)
		}
		outcomes := d.Outcomes(c.status, http.Header{}, []byte(c.answer))
		cools := s.Coolings(d, outcomes, http.Header{}, time.Now(), "id", "anna")
		if fmt.Sprint(outcomes) != c.outcomes || len(cools) != c.cools {
			t.Errorf("%d %s: %v and %v", c.status, c.answer, outcomes, cools)
		}
	}
}
