package proxy_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// cooling is a service that says when it has had enough.
const cooling = `
version: 1
services: {chat: {hosts: [chat.example], account: [{bearer: true, secret: true}]}}
messages:
  - name: chat.message
    match: {method: POST, path: /send}
    recipients: [{json: $.to}]
    outcome: {sent: {status: 2xx}, throttled: {status: 429}, challenged: {status: 403}}
defaults: {wait: 30s}
limits: [{name: chat.pace, on: chat.message, pace: 1s}, {name: chat.pair, on: chat.message, allow: 9, per: day, by: recipient}]
cooldowns:
  - {on: throttled, for: 10s, grow: 2, max: 60s}
  - {on: challenged, until: resumed, scope: recipient}
`

func saying(status int, header ...string) func(*http.Request) *http.Response {
	return func(*http.Request) *http.Response {
		r := answerOf(status, "{}")
		for _, h := range header {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		return r
	}
}

func TestWhatTheServiceSaysIsANewHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, cooling)
		l.answer = saying(429)
		if resp, _ := l.post("/send", `{"to":"bob"}`); resp.StatusCode != 429 || resp.Header.Get("Quotagate-Decision") != "forward" {
			t.Errorf("the service's answer: %d %v", resp.StatusCode, resp.Header)
		}
		r := l.last()
		if len(r.Coolings) != 1 || r.Coolings[0].Name != "throttled" || r.Coolings[0].Account != r.Account || !r.Coolings[0].Until.Equal(l.begin.Add(10*time.Second)) {
			t.Errorf("%+v", r)
		}
		if line := string(r.AppendJSON(nil)); !strings.Contains(line, `"cooldowns":[{"name":"throttled","account":"`+r.Account+`","until":"`) {
			t.Errorf("%s", line)
		}
		l.answer = saying(200)
		if resp, body := l.post("/send", `{"to":"bob"}`); resp.StatusCode != 200 {
			t.Errorf("the next: %d %s", resp.StatusCode, body)
		}
		if sent := l.sent(); len(sent) != 2 || sent[1].after != 10*time.Second {
			t.Errorf("the next went after %v", sent)
		}
	})
}

func TestTheServicesOwnRetryAfterHoldsIfItIsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, cooling)
		l.answer = saying(429, "Retry-After: 20")
		l.post("/send", `{"to":"bob"}`)
		l.answer = saying(200)
		l.post("/send", `{"to":"bob"}`)
		if sent := l.sent(); len(sent) != 2 || sent[1].after != 20*time.Second {
			t.Errorf("%v", sent)
		}
	})
}

func TestAHeldMessageMeetsTheHoldThatCameWhileItWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, cooling)
		l.answer = func(*http.Request) *http.Response {
			pass(500 * time.Millisecond)
			return answerOf(429, "{}")
		}
		first := l.start(context.Background(), `{"to":"bob"}`)
		held := l.start(context.Background(), `{"to":"carl"}`) // for the pace: 1 s
		<-first
		l.mu.Lock()
		l.answer = saying(200)
		l.mu.Unlock()
		if p := <-held; p.resp.StatusCode != 200 || p.after != 10500*time.Millisecond {
			t.Errorf("%+v", p)
		}
	})
}

func TestAChallengeStopsTheRecipientUntilSomeoneResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, cooling)
		l.answer = saying(403)
		l.post("/send", `{"to":"bob"}`)
		l.answer = saying(200)
		pass(time.Hour)
		resp, body := l.post("/send", `{"to":"bob"}`)
		if resp.StatusCode != 429 || resp.Header.Get("Quotagate-Limit") != ratelimit.PausedLimit || !strings.Contains(body, "until someone resumes it") || !strings.Contains(body, "the recipient") {
			t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
		}
		if resp, _ := l.post("/send", `{"to":"carl"}`); resp.StatusCode != 200 {
			t.Errorf("another recipient: %d", resp.StatusCode)
		}
		if err := l.ledger.Pause(context.Background(), l.name(), nil); err != nil {
			t.Fatal(err)
		}
		if resp, _ := l.post("/send", `{"to":"bob"}`); resp.StatusCode != 200 {
			t.Errorf("resumed: %d", resp.StatusCode)
		}
	})
}

func TestAHoldThatTheLedgerCannotNoteIsToldOf(t *testing.T) {
	l := newLab(t, cooling)
	l.Ledger = hotLedger{l.ledger}
	l.answer = saying(429)
	if resp, _ := l.post("/send", `{"to":"bob"}`); resp.StatusCode != 429 || resp.Header.Get("Quotagate-Decision") != proxy.DecisionForward {
		t.Errorf("%d", resp.StatusCode)
	}
	if log := l.log.String(); !strings.Contains(log, "the ledger could not note it") || !strings.Contains(log, "cooldown=throttled") {
		t.Errorf("the log says %q", log)
	}
}

type hotLedger struct{ ratelimit.Store }

func (hotLedger) Cool(context.Context, ratelimit.Cooling) (ratelimit.Hold, error) {
	return ratelimit.Hold{}, errAway
}
