package rules

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"quotagate/ratelimit"
)

// testHash names things readably in tests.
func testHash(kind, value string) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%s", kind, value)
	return fmt.Sprintf("%08x", h.Sum32())
}

// load reads rules from texts; the first is named rules.yaml.
func loadText(t testing.TB, text string, more ...string) (*Set, error) {
	t.Helper()
	return LoadFS(filesOf(text, more...), []string{"rules.yaml"}, Options{Hash: testHash})
}

// filesOf is rules.yaml and pairs of name and text.
func filesOf(text string, more ...string) fstest.MapFS {
	fsys := fstest.MapFS{"rules.yaml": {Data: []byte(text)}}
	for i := 0; i < len(more); i += 2 {
		fsys[more[i]] = &fstest.MapFile{Data: []byte(more[i+1])}
	}
	return fsys
}

func mustLoad(t testing.TB, text string, more ...string) *Set {
	t.Helper()
	s, err := loadText(t, text, more...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wire describes two services.
const wire = `
services:
  acme:
    hosts: [api.acme.test]
    account: [{bearer: true, secret: true}, {header: X-Box, as: acme.box}]
  other:
    hosts: [api.other.test]
    account: {bearer: true, secret: true}
messages:
  - name: acme.message
    match: {method: POST, path: /send}
    recipients: {json: '$.to[*]'}
    text: {json: $.text}
  - name: acme.bulk
    match: {method: POST, path: /bulk}
    recipients: {json: '$.to[*]'}
    cost: recipients
  - name: acme.post
    match: {method: POST, path: /post}
  - name: other.message
    match: {method: POST, path: /send}
`

const wired = "version: 1\n" + wire

// sending is one message that a pack described.
func sending(s *Set, name string, recipients ...string) *Sending {
	service, kind := split(name)
	m := Message{Service: service, Kind: kind, Recipients: recipients, Cost: 1, Segments: 1}
	for _, def := range s.messages {
		if def.Name == name {
			m.def = def
			if def.Cost.By == "recipients" {
				m.Cost = int64(max(1, len(recipients)))
			}
		}
	}
	return &Sending{Service: service, Class: automated, Messages: []Message{m}}
}

func claimText(claims []ratelimit.Claim) string {
	var b strings.Builder
	for _, c := range claims {
		fmt.Fprintf(&b, "%s", c.Limit)
		if c.Key != "" {
			fmt.Fprintf(&b, "[%s]", c.Key)
		}
		fmt.Fprintf(&b, " %d/%d", c.Cost, c.Allow)
		if c.Unit != "" {
			fmt.Fprintf(&b, " %s=%s", c.Unit, c.Windows[1].Label)
		}
		if c.Span != 0 {
			fmt.Fprintf(&b, " span=%d", c.Span)
		}
		if c.Shadow {
			b.WriteString(" shadow")
		}
		if c.Item != 0 {
			fmt.Fprintf(&b, " item=%d", c.Item)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestAFileOfMessagesAndLimitsLoadsAndClaims(t *testing.T) {
	s := mustLoad(t, wired+`
defaults: {timezone: Europe/Berlin, plan: free, wait: 2s}
accounts:
  anna:
    identity: [{acme.box: a-1}, {proxy_user: anna}]
    plan: gold
    timezone: America/Los_Angeles
    class: {browser: manual}
    facts: {friends: 1200}
limits:
  - {name: day, on: acme.*, allow: {free: 10, gold: 50}, per: day, warn_at: 80%}
  - {name: silver-only, on: acme.*, plans: [silver], allow: 1, per: day}
  - {name: last-hours, on: [acme.message, acme.bulk], allow: 5, per: 24h, by: recipient, wait: 0}
  - {name: life, on: "*", allow: 1000, per: lifetime, mode: shadow}
  - {name: apart, on: acme.message, pace: 10s, jitter: 0.3}
  - {name: popular, on: acme.message, allow: 3, per: week, when: 'facts.friends > 1000 && class == "automated"'}
`)
	now := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		account, name string
		to            []string
		want          string
	}{
		{"anna", "acme.message", []string{"r1", "r2"}, `day 1/50 day=2026-11-21
last-hours[r1] 1/5 span=86400000
last-hours[r2] 1/5 span=86400000
life 1/1000 shadow
apart 1/0 span=10000
popular 1/3 week=2026-W47
`},
		{"acme~1234", "acme.bulk", []string{"r1", "r2"}, `day 2/10 day=2026-11-22
last-hours[r1] 1/5 span=86400000
last-hours[r2] 1/5 span=86400000
life 2/1000 shadow
`},
		{"anna", "acme.post", nil, "day 1/50 day=2026-11-21\nlife 1/1000 shadow\n"},
		{"anna", "acme.message", nil, "day 1/50 day=2026-11-21\nlast-hours[unknown] 1/5 span=86400000\nlife 1/1000 shadow\napart 1/0 span=10000\npopular 1/3 week=2026-W47\n"},
		{"x", "other.message", nil, "life 1/1000 shadow\n"},
	} {
		claims := s.Claims(sending(s, c.name, c.to...), c.account, now)
		if got := claimText(claims); got != c.want {
			t.Errorf("%s sends %s:\n%swant\n%s", c.account, c.name, got, c.want)
		}
		for _, cl := range claims {
			switch cl.Limit {
			case "day":
				if cl.Wait != 2000 || cl.WarnAt != cl.Allow*8/10 {
					t.Errorf("day: wait %d, warn at %d", cl.Wait, cl.WarnAt)
				}
			case "last-hours":
				if cl.Wait != 0 {
					t.Errorf("last-hours waits %d", cl.Wait)
				}
			case "apart":
				if cl.Jitter != 3000 || cl.Measure != ratelimit.Pace {
					t.Errorf("apart: %+v", cl)
				}
			}
		}
	}
	// The whole account at a glance.
	if got, want := claimText(s.AccountClaims("anna", now)), "day 0/50 day=2026-11-21\nlife 0/1000 shadow\napart 0/0 span=10000\npopular 0/3 week=2026-W47\n"; got != want {
		t.Errorf("account claims:\n%swant\n%s", got, want)
	}
}

func TestBatchesClaimPerMessage(t *testing.T) {
	s := mustLoad(t, wired+"limits: [{name: day, on: '*', allow: 1, per: day}, {name: pace, on: '*', pace: 5s}]")
	d := sending(s, "acme.post")
	d.Messages = append(d.Messages, sending(s, "acme.bulk", "a", "b").Messages...)
	got := claimText(s.Claims(d, "x", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
	want := "day 1/1 day=2026-01-01\npace 1/0 span=5000\nday 2/1 day=2026-01-01 item=1\npace 1/0 span=5000 item=1\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestARegimeOfOneAccountBindsNobodyElse(t *testing.T) {
	s := mustLoad(t, `version: 1
use: [wire.yaml]
accounts: {anna: {identity: {acme.box: a}, use: ./slow.yaml}, bert: {identity: {acme.box: b}}}
limits: [{name: everybody, on: "*", allow: 9, per: day}]
`, "wire.yaml", wired, "slow.yaml", `version: 1
use: wire.yaml
limits: [{name: slow, on: acme.*, allow: 1, per: day}]
`)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for account, want := range map[string]string{
		"anna": "slow 1/1 day=2026-01-01\neverybody 1/9 day=2026-01-01\n",
		"bert": "everybody 1/9 day=2026-01-01\n", "x~1": "everybody 1/9 day=2026-01-01\n",
	} {
		if got := claimText(s.Claims(sending(s, "acme.post"), account, now)); got != want {
			t.Errorf("%s: got\n%swant\n%s", account, got, want)
		}
	}
}

func TestOverridesChangeWhatARegimeBrought(t *testing.T) {
	s := mustLoad(t, `version: 1
use: [r.yaml]
override:
  - {limit: day, allow: {gold: 7}, wait: 1s, mode: shadow}
  - {limit: pace, pace: 20s}
`, "r.yaml", wired+"limits: [{name: day, on: acme.post, allow: {free: 1, gold: 2}, per: day}, {name: pace, on: acme.post, pace: 5s, jitter: 0.5}]")
	claims := s.Claims(sending(s, "acme.post"), "x", time.Now())
	if len(claims) != 2 || claims[0].Allow != 1 || claims[0].Wait != 1000 || !claims[0].Shadow || claims[1].Span != 20000 || claims[1].Jitter != 10000 {
		t.Errorf("claims are %+v", claims)
	}
}

func TestParametersOfAFile(t *testing.T) {
	const p = `version: 1
params: {host: the host of your server}
services: {m: {hosts: ["${host}"], account: {bearer: true}}}
messages: [{name: m.message, match: {path: /x}}]
refusals: {m: {short: {status: 429, text: "${reason} ${host}"}}}
`
	s := mustLoad(t, "version: 1\nuse: [{./p.yaml: {host: matrix.example.org}}]", "p.yaml", p)
	if !s.Names("matrix.example.org") || s.Names("other.example.org") {
		t.Error("the parameter did not become the host")
	}
	_, err := loadText(t, "version: 1\nuse: [./p.yaml]", "p.yaml", p)
	if err == nil || !strings.Contains(err.Error(), `needs the parameter "host": the host of your server`) {
		t.Error(err)
	}
	_, err = loadText(t, "version: 1\nuse: [{./p.yaml: {host: a.test, hots: b}}]", "p.yaml", p)
	if err == nil || !strings.Contains(err.Error(), `takes no parameter "hots"`) || !strings.Contains(err.Error(), `did you mean "host"?`) {
		t.Error(err)
	}
}

func TestFilesThatUseEachOther(t *testing.T) {
	_, err := loadText(t, "version: 1\nuse: [a.yaml]", "a.yaml", "version: 1\nuse: ./b.yaml", "b.yaml", "version: 1\nuse: [a.yaml]")
	if err == nil || !strings.Contains(err.Error(), "b.yaml:2:7: a.yaml uses itself: a.yaml → b.yaml → a.yaml") {
		t.Error(err)
	}
	// A file that two others use is read once.
	mustLoad(t, "version: 1\nuse: [a.yaml, b.yaml]", "a.yaml", "version: 1\nuse: ./c.yaml", "b.yaml", "version: 1\nuse: c.yaml", "c.yaml", wired)
	// A pattern leaves out the file that it stands in, and rule tests.
	s := mustLoad(t, "version: 1\nuse: ./*.yaml", "a.yaml", wired, "a.test.yaml", "no rules")
	if len(s.Files()) != 2 {
		t.Error(s.Files())
	}
}

func TestRevisionNamesTheContent(t *testing.T) {
	a, b, c := mustLoad(t, wired), mustLoad(t, wired), mustLoad(t, wired+"# more")
	if a.Revision() != b.Revision() || a.Revision() == c.Revision() || len(a.Revision()) != 12 {
		t.Error(a.Revision(), b.Revision(), c.Revision())
	}
}

func TestErrorsAreErrors(t *testing.T) {
	_, err := loadText(t, "version: 2")
	var all Errors
	var one *Error
	if !errors.As(err, &all) || !errors.As(err, &one) || len(all) != 1 || one.Pos.Line != 1 {
		t.Errorf("%#v", err)
	}
}

func TestOnStoreErrorForwardsOnlyIfAllLimitsSaySo(t *testing.T) {
	s := mustLoad(t, wired+`
limits:
  - {name: a, on: acme.*, allow: 1, per: day, on_store_error: forward}
  - {name: b, on: acme.bulk, allow: 1, per: day}
`)
	if got := s.OnStoreError(sending(s, "acme.post"), "x"); got != "forward" {
		t.Error(got)
	}
	if got := s.OnStoreError(sending(s, "acme.bulk"), "x"); got != "reject" {
		t.Error(got)
	}
}
