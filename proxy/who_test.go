package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"quotagate/proxy"
)

// box is a service whose messages may name a mailbox, and always show who is
// logged in by a cookie or a token.
const box = `
version: 1
services: {box: {hosts: [chat.example]}}
messages:
  - name: box.message
    match: {method: POST, path: /send}
    account: [{json: $.mailbox, as: box.mailbox}, {cookie: sid, secret: true}, {bearer: true, secret: true}]
    recipients: {json: $.to}
  - name: box.batch
    match: {method: POST, path: /batch}
    each: $.list[*]
    account: [{json: $.mailbox, as: box.mailbox}, {json: $.sid, as: box.sid}, {cookie: sid, secret: true}]
    recipients: {json: $.to}
defaults: {wait: 0s}
limits: [{name: box.day, on: box.*, allow: 3, per: day}]
`

// A letter is a message to box; empty fields are left out.
type letter struct{ mailbox, cookie, token string }

func (w *world) letter(t *testing.T, c *http.Client, l letter) *http.Response {
	t.Helper()
	body := `{"to":"bob"}`
	if l.mailbox != "" {
		body = `{"to":"bob","mailbox":"` + l.mailbox + `"}`
	}
	return w.postAs(t, c, "/send", body, l)
}

func (w *world) postAs(t *testing.T, c *http.Client, path, body string, l letter) *http.Response {
	t.Helper()
	req, err := http.NewRequest("POST", "https://chat.example"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if l.cookie != "" {
		req.Header.Set("Cookie", "sid="+l.cookie)
	}
	if l.token != "" {
		req.Header.Set("Authorization", "Bearer "+l.token)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp
}

func TestAnotherCookieOrTokenOpensNoNewQuota(t *testing.T) {
	for name, letters := range map[string][]letter{
		"a new cookie of the same mailbox":   {{"m", "c1", ""}, {"m", "c2", ""}, {"m", "c3", ""}, {"m", "c4", ""}},
		"a new token of the same mailbox":    {{"m", "", "t1"}, {"m", "", "t2"}, {"m", "", "t3"}, {"m", "", "t4"}},
		"the cookie alone, once it was seen": {{"m", "c", ""}, {"", "c", ""}, {"", "c", ""}, {"", "c", ""}},
		"what the cookie had counted before": {{"", "c", ""}, {"", "c", ""}, {"", "c", ""}, {"m", "c", ""}},
		"from cookie to token to cookie":     {{"", "c1", "t1"}, {"", "", "t1"}, {"", "c2", "t1"}, {"", "c2", ""}},
		"two cookies that one mailbox joins": {{"", "c1", ""}, {"m", "c1", ""}, {"m", "c2", ""}, {"", "c2", ""}},
		"mailbox and cookie in turns":        {{"m", "c", ""}, {"", "c", ""}, {"m", "", ""}, {"", "c", ""}},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, http2=%v", name, h2), func(t *testing.T) {
				w := newWorld(t, five)
				w.set.Store(mustLoad(t, box))
				c := w.client(h2)
				account := ""
				for i, l := range letters {
					want := http.StatusOK
					if i == 3 {
						want = http.StatusTooManyRequests
					}
					if resp := w.letter(t, c, l); resp.StatusCode != want {
						t.Errorf("letter %d %+v: %s, want %d", i+1, l, resp.Status, want)
					}
					r := w.next()
					if i == 0 {
						account = r.Account
					}
					if r.Account != account {
						t.Errorf("letter %d %+v: the account changes its name from %s to %s", i+1, l, account, r.Account)
					}
				}
				if n := w.service.messages.Load(); n != 3 {
					t.Errorf("the service saw %d messages, want 3", n)
				}
			})
		}
	}
}

func TestEveryItemsIdentityIsTheAccounts(t *testing.T) {
	w := newWorld(t, five)
	w.set.Store(mustLoad(t, box))
	c := w.client(false)
	// What the second item alone shows is of the same account from here on.
	if resp := w.postAs(t, c, "/batch", `{"list":[{"to":"a","mailbox":"m"},{"to":"b","mailbox":"m","sid":"late"}]}`, letter{}); resp.StatusCode != 200 {
		t.Fatalf("%s", resp.Status)
	}
	account := w.next().Account
	if resp := w.postAs(t, c, "/batch", `{"list":[{"to":"c","sid":"late"}]}`, letter{}); resp.StatusCode != 200 {
		t.Errorf("the third message: %s", resp.Status)
	}
	if r := w.next(); r.Account != account {
		t.Errorf("charged to %s and not to %s", r.Account, account)
	}
	if resp := w.postAs(t, c, "/batch", `{"list":[{"to":"d","sid":"late"}]}`, letter{}); resp.StatusCode != 429 {
		t.Errorf("the fourth message: %s", resp.Status)
	}
	// Items of two accounts are nobody's.
	resp := w.postAs(t, c, "/batch", `{"list":[{"to":"a","mailbox":"m"},{"to":"b","mailbox":"n"}]}`, letter{})
	if resp.StatusCode != 429 || resp.Header.Get("Quotagate-Limit") != "ambiguous-account" {
		t.Errorf("two mailboxes in one batch: %s %v", resp.Status, resp.Header)
	}
}

func TestOnlyACheckedPasswordMakesAMessageManual(t *testing.T) {
	const listed = `
accounts: {anna: {identity: [{proxy_user: anna}], class: {anna: manual}}}
`
	users := func(check func(string, string) bool) option {
		return func(_ *world, c *proxy.Config, _ *proxy.Enforcer) { c.Authenticate = check }
	}
	for _, tc := range []struct {
		name  string
		check func(user, password string) bool
		class string
	}{
		{"checked", func(user, password string) bool { return user == "anna" && password == "right" }, "manual"},
		{"not checked", nil, "automated"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, five, users(tc.check))
			w.set.Store(mustLoad(t, chat+five+listed))
			c := w.client(false)
			c.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: w.addr, User: url.UserPassword("anna", "right")})
			if resp, _ := w.send(c, "token", "bob"); resp.StatusCode != 200 {
				t.Fatalf("%s", resp.Status)
			}
			if r := w.next(); r.Account != "anna" || r.Class != tc.class {
				t.Errorf("account %q, class %q; want anna, %q", r.Account, r.Class, tc.class)
			}
		})
	}
	// A Go program says so itself.
	w := newWorld(t, five)
	w.set.Store(mustLoad(t, chat+five+listed))
	for authenticated, class := range map[bool]string{true: "manual", false: "automated"} {
		ctx := proxy.WithClient(context.Background(), &proxy.Client{User: "anna", Authenticated: authenticated})
		resp, err := w.enforcer.RoundTrip(w.message(ctx, "token", "bob"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if r := w.next(); r.Class != class {
			t.Errorf("authenticated %v: class %q", authenticated, r.Class)
		}
	}
}
