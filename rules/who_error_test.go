package rules

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// What cannot be charged to anybody is still a message of some name, and can
// be refused as its service would.
func TestAnErrorAboutTheAccountKnowsTheMessage(t *testing.T) {
	const pack = `
version: 1
services: {mail: {hosts: [mail.example], account: {bearer: true, secret: true}}}
accounts: {anna: {identity: {mail.key: a}}, bert: {identity: {mail.token: b}}}
messages:
  - name: mail.mail
    match: {method: POST, path: /send}
    each: $.list[*]
    account: [{json: $.from, as: mail.from}, {header: x-key, as: mail.key}]
    refuse: own
  - name: mail.ping
    match: {method: POST, path: /ping}
    account: {query: user}
refusals: {own: {long: {status: 200, json: {ok: false, why: '${reason}'}}}}
`
	s := matching(t, pack)
	for _, c := range []struct {
		target, body string
		headers      []string
		is           error
		name, want   string
	}{
		{"/send", `{}`, nil, ErrUnknownAccount, "mail.mail", "the request names no account: mail.mail looks for mail.from, mail.key or mail.token; with unknown_account: shared all such requests are one account"},
		{"/ping", `{}`, nil, ErrUnknownAccount, "mail.ping", "the request names no account: mail.ping looks for mail.user or mail.token; with unknown_account: shared all such requests are one account"},
		{"/send", `{}`, []string{"X-Key: a", "Authorization: Bearer b"}, ErrAmbiguous, "mail.mail", "the request names two accounts"},
		{"/send", `{"list":[{"from":"x"},{"from":"y"}]}`, nil, ErrMixedAccounts, "mail.mail", "the request carries messages of different accounts"},
	} {
		sight := s.Look(call(t, "POST", "https://mail.example"+c.target, c.headers...))
		sending, err := sight.Read([]byte(c.body))
		var whose *AccountError
		if sending != nil || !errors.Is(err, c.is) || !errors.As(err, &whose) || err.Error() != c.want || whose.Message.Name() != c.name {
			t.Errorf("%s %s: %+v %v, want %s", c.target, c.body, sending, err, c.want)
			continue
		}
		a := whose.Message.Refuse(Refusal{Limit: "unknown-account", Reason: err.Error(), Now: time.Unix(1e9, 0)})
		own := c.name == "mail.mail"
		if own != (a.Status == 200 && strings.Contains(string(a.Body), `"why":"`+c.want+`"`)) {
			t.Errorf("%s is refused with %d %s", c.name, a.Status, a.Body)
		}
	}
	bare := matching(t, "version: 1\nservices: {s: {hosts: [s.test]}}\nmessages: [{name: s.a, match: {path: /x}}]\n")
	sight := bare.Look(call(t, "POST", "https://s.test/x"))
	if _, err := sight.Read(nil); err == nil || !strings.Contains(err.Error(), "no account: says where s.a names one") {
		t.Error(err)
	}
}
