package ruletest

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
)

// acme is a service for tests.
const acme = `
set:
  version: 1
  services:
    acme: {hosts: [api.acme.test], account: {bearer: true}}
  messages:
    - name: acme.message
      match: {method: POST, path: /send}
      account: [{json: $.from}, {form: from}, {cookie: session}, {bearer: true}, {query: from}]
      recipients: [{json: '$.to[*]'}, {form: to}]
      outcome:
        not_sent: {status: 400}
        throttled: {status: 429}
        challenged: {status: 403}
    - name: acme.batch
      match: {method: POST, path: /batch}
      account: {json: $.from}
      each: '$.items[*]'
  events:
    - {name: acme.reply, match: {path: /inbox}, means: reply, each: '$.from[*]', account: {query: from}, recipient: {json: $}}
  cooldowns:
    - {on: throttled, for: 1h}
    - {on: challenged, until: resumed}
  limits:
    - {name: acme.patience, on: acme.message, unanswered: 1, by: recipient, when: 'facts.patient == true'}
    - {name: acme.hint, on: acme.message, allow: 0, per: day, action: warn, when: 'plan == "hinted"'}
    - {name: acme.quiet, on: acme.message, allow: 0, per: day, mode: shadow, when: 'plan == "hinted"'}
    - {name: acme.calls, on: acme.request, rate: 2, per: minute, when: 'plan == "calls"'}
    - {name: acme.day, on: acme.*, allow: 3, per: day, when: 'plan != "big"'}
    - {name: acme.once, on: acme.message, allow: 1, per: lifetime, by: recipient, when: 'facts.careful == true'}
    - {name: acme.pace, on: acme.message, pace: 10s, wait: 5s}
  accounts:
    anna: {identity: [{proxy_user: anna}], class: {anna: manual}, facts: {careful: false}}
tests:
`

// playAcme runs tests on acme and returns what failed, or the error.
func playAcme(t *testing.T, tests string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.test.yaml")
	writeFile(t, file, acme+tests)
	files, err := Run(t.Context(), []string{file}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if files[0].Err != nil {
		t.Fatal(files[0].Err)
	}
	var failures []string
	for _, one := range files[0].Tests {
		for _, f := range one.Failures {
			failures = append(failures, f.Text)
		}
	}
	return failures
}

const (
	hello = `send: {request: POST https://api.acme.test/send, json: {from: anna, to: [r1]}}`
	start = `
  - name: one
    start: 2026-11-21T09:00:00Z
    given: {facts: {careful: false, patient: false}}
    steps:
`
)

// What is expected and holds is silent.
func TestWhatHoldsIsSilent(t *testing.T) {
	for name, steps := range map[string]string{
		"a message": `
      - {` + hello + `, expect: {decision: forward, account: acme~anna, class: automated, message: acme.message, messages: 1, recipients: 1, status: 200, limit: acme.day, used: {acme.day: 1}, json: {ok: true}, body: '"ok"', header: {quotagate-decision: forward}}}`,
		"what is no message": `
      - {send: {request: GET https://api.acme.test/send}, expect: {decision: pass, status: 200}}
      - {send: {request: POST https://example.com/send}, expect: {decision: pass}}`,
		"a hold moves the clock": `
      - {` + hello + `}
      - {after: 6s, send: {repeat: last}, expect: {decision: hold, held_for: 4s}}
      - {after: 6s, send: {repeat: last}, expect: {decision: forward, held_for: 4s, used: {acme.day: 3}}}`,
		"a refusal": `
      - {` + hello + `}
      - {send: {repeat: last}, expect: {decision: reject, limit: acme.pace, retry_after: 10s, retry_at: 2026-11-21T09:00:10Z, never: false, status: 429, reason: acme.pace, json: {limit: acme.pace}, header: {retry-after: "10"}}}`,
		"a batch that never fits": `
      - {send: {request: POST https://api.acme.test/batch, json: {from: anna, items: [1, 2, 3, 4]}}, expect: {decision: reject, messages: 4, never: true, reason: 3 would fit}}`,
		"what the service does not take": `
      - {` + hello + `, upstream: {status: 400, header: {x-a: b}, json: {no: way}}, expect: {decision: forward, status: 400, header: {x-a: b}, json: {no: way}, used: {acme.day: 0}}}`,
		"what may have arrived": `
      - {` + hello + `, upstream: {fails: true}, expect: {decision: error, status: 502, used: {acme.day: 1}}}`,
		"the number, in every place": `
      - {send: {request: 'POST https://api.acme.test/send?from=q${n}'}, times: 2, every: 1m, expect: {used: {acme.day: 1}}}
      - {send: {request: POST https://api.acme.test/send, form: {from: 'f${n}', to: 'r${n}'}}, times: 2, every: 1m, expect: {used: {acme.day: 1}}}
      - {send: {request: POST https://api.acme.test/send, cookie: {session: 'c${n}'}}, times: 2, every: 1m, expect: {used: {acme.day: 1}}}
      - {send: {request: POST https://api.acme.test/send, bearer: 'b${n}'}, times: 2, every: 1m, expect: {used: {acme.day: 1}}}
      - {send: {repeat: last}, after: 1m, expect: {account: acme~b2, used: {acme.day: 2}}}`,
		"the proxy's user": `
      - {send: {request: POST https://api.acme.test/send, proxy_user: anna}, expect: {account: anna, class: manual}}
      - {after: 1m, send: {request: POST https://api.acme.test/send, proxy_user: anna, unverified: true}, expect: {account: anna, class: automated, used: {acme.day: 2}}}`,
		"a pause and its end": `
      - {` + hello + `, expect: {decision: forward, cooldowns: [], warnings: [], warned: [], shadowed: []}}
      - {pause: {for: 1h, why: holidays}, after: 1m, send: {repeat: last}, expect: {decision: reject, limit: paused, retry_after: 1h, reason: holidays}}
      - {pause: {account: other}}
      - {resume: {}, send: {repeat: last}, expect: {decision: forward}}
      - {resume: {account: other}}`,
		"a cool-down and its end": `
      - {` + hello + `, upstream: {status: 429, header: {retry-after: "7200"}}, expect: {decision: forward, outcome: throttled, cooldowns: [throttled]}}
      - {after: 1h, send: {repeat: last}, expect: {decision: reject, limit: paused, retry_after: 1h}}
      - {after: 1h, send: {repeat: last}, upstream: {status: 403}, expect: {decision: forward, outcome: challenged, cooldowns: [challenged]}}
      - {after: 9999h, send: {repeat: last}, expect: {decision: reject, limit: paused, never: true}}
      - {resume: {}, send: {repeat: last}, expect: {decision: forward}}`,
		"time alone, and until": `
      - {after: 1h}
      - {until: 2026-11-22T00:00:00Z, ` + hello + `, expect: {decision: forward}}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, f := range playAcme(t, start+steps) {
				t.Error(f)
			}
		})
	}
}

// What an answer shows is learned before the next step.
func TestAnswersAreLearnedFrom(t *testing.T) {
	for _, f := range playAcme(t, `
  - name: a reply
    given: {facts: {careful: false, patient: true}}
    steps:
      - {`+hello+`, expect: {decision: forward}}
      - {after: 1m, send: {repeat: last}, expect: {decision: reject, limit: acme.patience, never: true}}
      - {send: {request: 'GET https://api.acme.test/inbox?from=anna'}, upstream: {json: {from: [r2]}}, expect: {decision: pass}}
      - {`+hello+`, expect: {decision: reject, limit: acme.patience}}
      - {send: {request: 'GET https://api.acme.test/inbox?from=anna'}, upstream: {json: {from: [r1]}}, expect: {decision: pass}}
      - {after: 1s, `+hello+`, expect: {decision: forward}}
  - name: limits that only warn
    given: {plan: hinted, facts: {careful: false, patient: false}}
    steps:
      - {`+hello+`, expect: {decision: forward, warned: [acme.hint], shadowed: [acme.quiet]}}
  - name: calls
    given: {plan: calls, facts: {careful: false, patient: false}}
    steps:
      - {send: {request: 'GET https://api.acme.test/inbox', bearer: x}, times: 2, expect: {decision: pass}}
      - {send: {repeat: last}, expect: {decision: reject, limit: acme.calls, status: 429}}
      - {after: 1m, send: {repeat: last}, expect: {decision: pass}}
`) {
		t.Error(f)
	}
}

// What is expected and does not hold is said in plain words.
func TestWhatDoesNotHoldIsSaid(t *testing.T) {
	const when = "2026-11-21T09:00:00Z: "
	for _, c := range []struct{ expect, want string }{
		{`decision: reject`, "the decision is forward, want reject"},
		{`limit: acme.pace`, "the limit is acme.day, want acme.pace"},
		{`account: anna`, "the account is acme~anna, want anna"},
		{`class: manual`, "the class is automated, want manual"},
		{`message: acme.batch`, "the message is acme.message, want acme.batch"},
		{`messages: 2`, "messages: got 1, want 2"},
		{`recipients: 0`, "recipients: got 1, want 0"},
		{`retry_at: 2026-11-21T10:00:00Z`, "it was not refused, want 2026-11-21T10:00:00Z"},
		{`retry_after: 1s`, "it was not refused, want it after 1s"},
		{`held_for: 1s`, "it was held for 0s, want 1s"},
		{`status: 201`, "the status is 200, want 201"},
		{`header: {x: y}`, `the header x is "", want "y"`},
		{`json: {ok: false}`, `the answer is {"ok":true}, want at least {"ok":false}`},
		{`body: no`, `the answer is "{\"ok\":true}", want it to contain "no"`},
		{`reason: because`, `the reason is "", want it to contain "because"`},
		{`used: {acme.day: 2}`, "1 are used of acme.day, want 2"},
		{`used: {acme.year: 2}`, "no limit acme.year binds the account"},
		{`never: true`, "it was not refused, want never"},
		{`outcome: sent`, "the outcome is missing, want sent"},
		{`cooldowns: [throttled, challenged]`, "the cool-downs are none, want challenged, throttled"},
		{`warnings: [acme.day]`, "the warnings are none, want acme.day"},
		{`warned: [acme.day]`, "the limits that warn are none, want acme.day"},
		{`shadowed: [acme.day]`, "the shadow limits without room are none, want acme.day"},
	} {
		got := playAcme(t, start+"      - {"+hello+", expect: {"+c.expect+"}}")
		if len(got) != 1 || got[0] != when+c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.expect, got, when+c.want)
		}
	}
}

// What is given holds for every account, listed or not.
func TestGivenHoldsForEveryAccount(t *testing.T) {
	for _, f := range playAcme(t, `
  - name: plan
    given: {plan: big, facts: {careful: false, patient: false}}
    steps:
      - {`+hello+`, times: 10, every: 1m, expect: {decision: forward}}
  - name: timezone
    start: 2026-03-28T12:00:00+01:00
    given: {timezone: Europe/Berlin, facts: {careful: true, patient: false}}
    steps:
      - {`+hello+`}
      - {after: 1m, `+hello+`, expect: {decision: reject, limit: acme.once, never: true}}
      - {after: 1m, send: {request: POST https://api.acme.test/send, json: {from: anna, to: ['s${n}']}}, times: 2, every: 1m, expect: {decision: forward}}
      - {after: 1m, send: {request: POST https://api.acme.test/send, json: {from: anna, to: [t]}}, expect: {decision: reject, retry_at: 2026-03-29T00:00:00+01:00}}
`) {
		t.Error(f)
	}
}

func TestAStepThatIsLateEndsTheTest(t *testing.T) {
	got := playAcme(t, start+`
      - {until: 2026-11-20T00:00:00Z, `+hello+`}
      - {`+hello+`, expect: {decision: reject}}`)
	want := "it is 2026-11-21T09:00:00Z already, later than until: 2026-11-20T00:00:00Z"
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestARunCanBeStopped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.test.yaml")
	writeFile(t, file, acme+start+fmt.Sprintf("      - {%s, times: 1000000}\n", hello))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, []string{file}, Options{}); err == nil {
		t.Error("a run that was stopped reports no error")
	}
}
