package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"quotagate/proxy"
)

const wordy = chat + `limits:
  - {name: chat.words, on: chat.message, content: {forbid: ['(?i)phone number']}}
  - {name: chat.style, on: chat.message, content: {forbid: ['!!!']}, action: warn}
  - {name: chat.tried, on: chat.message, content: {forbid: ['\?\?\?']}, mode: shadow}
  - {name: chat.day, on: chat.message, allow: 5, per: day}
  - {name: chat.few, on: chat.message, allow: 1, per: day, action: warn}
`

func TestWhatAMessageSaysIsLookedAtBeforeAnythingIsCounted(t *testing.T) {
	l := newLab(t, wordy)
	resp, body := l.post("/send", `{"to":"bob","text":"what is your Phone Number, sesame?"}`)
	if resp.StatusCode != 429 || resp.Header.Get("Quotagate-Limit") != "chat.words" || resp.Header.Get("Retry-After") != "2147483" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	r := l.last()
	if r.Decision != proxy.DecisionReject || r.Limit != "chat.words" || !strings.Contains(r.Reason, "waiting will not help") {
		t.Errorf("%+v", r)
	}
	if strings.Contains(body+r.Reason, "sesame") {
		t.Errorf("the text is told: %s %s", body, r.Reason)
	}
	if resp, _ := l.post("/send", `{"to":"bob","text":"hello"}`); resp.StatusCode != 200 || resp.Header.Get("Quotagate-Warning") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if n := l.used("chat.day"); n != 1 {
		t.Errorf("%d used of the day", n)
	}
}

func TestALimitThatOnlyWarnsSaysSo(t *testing.T) {
	l := newLab(t, wordy)
	l.post("/send", `{"to":"bob","text":"hello"}`)
	resp, _ := l.post("/send", `{"to":"bob","text":"hello!!! you there???"}`)
	r := l.last()
	if resp.StatusCode != 200 || resp.Header.Get("Quotagate-Warning") != "chat.style, chat.few" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if fmt.Sprint(r.Warned) != "[chat.style chat.few]" || fmt.Sprint(r.Shadowed) != "[chat.tried]" {
		t.Errorf("%+v", r)
	}
	if line := string(r.AppendJSON(nil)); !strings.Contains(line, `"warned":["chat.style","chat.few"]`) || !strings.Contains(line, `"shadowed":["chat.tried"]`) {
		t.Errorf("%s", line)
	}
}
