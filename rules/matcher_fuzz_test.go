package rules

import (
	"errors"
	"net/http"
	"testing"
)

// Whatever comes is a message, is none, or is refused; the explanation says
// the same as the decision, and refusing and settling never fail.
func FuzzLook(f *testing.F) {
	s := matching(f, `
version: 1
use: [linkedin, slack, telegram]
defaults: {unknown_account: shared}
`)
	for _, c := range [][6]string{
		{"POST", "www.linkedin.com", "/voyager/api/voyagerMessagingDashMessengerMessages", "action=createMessage", "text/plain", `{"mailboxUrn":"urn:li:fsd_profile:A"}`},
		{"GET", "slack.com", "/api/chat.postMessage", "token=x&channel=C", "", ""},
		{"POST", "a.b.slack.com", "/api%2fchat.postMessage;x", "", "application/x-www-form-urlencoded", "channel=C&channel=D"},
		{"post", "api.telegram.org:443", "/bot1:x/../bot2:y/SENDmessage/", "chat_id=1", "", `{"chat_id":2}`},
		{"POST", "api.telegram.org", "/bot1:x/sendMediaGroup", "", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"media\"\r\n\r\n[1,2]\r\n--b--\r\n"},
		{"POST", "hooks.slack.com", "/services/T/B/x", "", "", "payload=%7B%7D"},
	} {
		f.Add(c[0], c[1], c[2], c[3], c[4], "", []byte(c[5]))
	}
	f.Fuzz(func(t *testing.T, method, host, path, query, kind, override string, body []byte) {
		c := &Call{Method: method, Scheme: "https", Host: host, Path: path, Query: query, Header: http.Header{}}
		if kind != "" {
			c.Header.Set("Content-Type", kind)
		}
		if override != "" {
			c.Header.Set("X-HTTP-Method-Override", override)
		}
		sight := s.Look(c)
		got, err := sight.Read(body)
		var bad *UnreadableError
		if err != nil {
			if !errors.As(err, &bad) && !errors.Is(err, ErrMixedAccounts) && !errors.Is(err, ErrAmbiguous) {
				t.Fatal(err)
			}
			return
		}
		holds := false
		for _, step := range s.Trace(c, body) {
			holds = holds || step.Matches()
		}
		if holds != (got != nil) {
			t.Errorf("a message: %v; explained as one: %v", got != nil, holds)
		}
		if got == nil {
			return
		}
		for i := range got.Messages {
			if a := got.Messages[i].Refuse(Refusal{Limit: path, Reason: string(body)}); a.Header.Get("Retry-After") == "" || len(a.Body) == 0 {
				t.Errorf("%+v", a)
			}
		}
		if out := got.Outcomes(200, http.Header{}, body); len(out) != len(got.Messages) {
			t.Errorf("%d outcomes of %d messages", len(out), len(got.Messages))
		}
	})
}
