package rules

import (
	"errors"
	"slices"
	"testing"
)

const accountsOf = `
accounts:
  anna:
    identity: [{acme.box: a-1}, {acme.box: a-2}, {proxy_user: anna}, {proxy_user: browser}]
    class: {browser: manual, anna: automated}
  bert: {identity: [{acme.box: b-1}, {acme.token: secret}, {proxy_user: bert}]}
  carl: {identity: {proxy_user: carl}}
`

func TestWho(t *testing.T) {
	box := func(v string) identity { return identity{"acme.box", v} }
	token := func(v string) identity { return identity{"acme.token", v} }
	name := func(id identity) string { return Options{Hash: testHash}.name(id) }
	for _, c := range []struct {
		law           string
		ids           []identity
		user          string
		authenticated bool
		account       string
		class         string
		names         []string
		err           error
	}{
		{law: "a listed identity names its account", ids: []identity{box("a-1")}, account: "anna", names: []string{name(box("a-1"))}},
		{law: "any of them does, not only the first", ids: []identity{token("new"), box("a-2")}, account: "anna", names: []string{name(token("new")), name(box("a-2"))}},
		{law: "two listed accounts are ambiguous", ids: []identity{box("a-1"), token("secret")}, err: ErrAmbiguous},
		{law: "two identities of one account are not", ids: []identity{box("b-1"), token("secret")}, account: "bert", names: []string{name(box("b-1")), name(token("secret"))}},
		{law: "an identity that is not listed names itself", ids: []identity{token("x"), box("y")}, names: []string{name(token("x")), name(box("y"))}},
		{law: "the same identity twice is one", ids: []identity{box("y"), box("y")}, names: []string{name(box("y"))}},
		{law: "an empty value is none", ids: []identity{box(""), token("x")}, names: []string{name(token("x"))}},
		{law: "a listed proxy user names its account", user: "carl", account: "carl"},
		{law: "also beside an identity that says nothing of it", ids: []identity{token("x")}, user: "anna", account: "anna", names: []string{name(token("x"))}},
		{law: "not against an identity of a kind that the account lists", ids: []identity{box("z-9")}, user: "anna", names: []string{name(box("z-9"))}},
		{law: "not against another listed account", ids: []identity{box("b-1")}, user: "anna", account: "bert", names: []string{name(box("b-1"))}},
		{law: "a proxy user that is not listed names nobody", user: "zoe", err: ErrUnknownAccount},
		{law: "nobody at all", err: ErrUnknownAccount},
		{law: "manual, for an authenticated proxy user", user: "browser", authenticated: true, account: "anna", class: manual},
		{law: "not for one who only says so", user: "browser", account: "anna"},
		{law: "not for the account's other users", user: "anna", authenticated: true, account: "anna"},
		{law: "not for another account", ids: []identity{box("b-1")}, user: "browser", authenticated: true, account: "bert", names: []string{name(box("b-1"))}},
		{law: "the proxy's user is not an identity on the wire", ids: []identity{{proxyUser, "zoe"}}, err: ErrUnknownAccount},
	} {
		s := mustLoad(t, wired+accountsOf)
		account, class, names, err := s.who(c.ids, c.user, c.authenticated)
		if c.err != nil {
			if !errors.Is(err, c.err) {
				t.Errorf("%s: err is %v, want %v", c.law, err, c.err)
			}
			continue
		}
		if c.class == "" {
			c.class = automated
		}
		if err != nil || account != c.account || class != c.class || !slices.Equal(names, c.names) {
			t.Errorf("%s: got %q %s %v %v, want %q %s %v", c.law, account, class, names, err, c.account, c.class, c.names)
		}
	}
}

func TestEverybodyUnknownIsOneAccountIfTheRulesSaySo(t *testing.T) {
	s := mustLoad(t, wired+"defaults: {unknown_account: shared}\n")
	account, class, names, err := s.who(nil, "zoe", true)
	if account != "shared" || class != automated || len(names) != 0 || err != nil {
		t.Error(account, class, names, err)
	}
	if account, _, names, _ := s.who([]identity{{"acme.box", "x"}}, "", false); account != "" || len(names) != 1 {
		t.Error("who can be told apart is not shared:", account, names)
	}
}

func TestAnIdentityMayBeListedByItsPublicName(t *testing.T) {
	id := identity{"acme.token", "secret"}
	public := Options{Hash: testHash}.name(id)
	s := mustLoad(t, wired+"accounts: {anna: {identity: {acme.token: "+public+"}}}\n")
	if account, _, _, err := s.who([]identity{id}, "", false); account != "anna" || err != nil {
		t.Error(account, err)
	}
	// The name, which logs show, is not a credential.
	if account, _, _, err := s.who([]identity{{"acme.token", public}}, "", false); account != "" || err != nil {
		t.Error(account, err)
	}
}
