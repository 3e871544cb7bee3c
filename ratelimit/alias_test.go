package ratelimit

// Identities that turn out to be one account, on every store.

import (
	"context"
	"slices"
	"testing"
)

func TestAliasesAreAddedTogether(t *testing.T) {
	eachStore(t, func(s *testStore) {
		as := func(id, account string, aliases []string, claims ...Claim) Decision {
			return s.request(Request{ID: id, Account: account, Aliases: aliases, Claims: claims})
		}
		all := func() []Claim {
			return []Claim{
				s.daily("day", 10), rolling("roll", 10, hour), lifetime("life", 10),
				lifetime("to", 10).by("bert"), pace("pace", minute).waiting(hour),
			}
		}
		as("1", "cookie", nil, all()...)
		s.clock.add(30 * second)
		as("2", "urn", nil, all()...)
		d := as("3", "urn", []string{"cookie", "token", "urn"}, all()...)
		s.want(d, Booked, t0+90*second, "pace")
		for i, u := range d.Uses[:4] {
			if u.Used != 3 {
				s.t.Errorf("use %d: %+v", i, u)
			}
		}
		// They stand for it from now on, whoever asks.
		d = as("4", "cookie", nil, all()...)
		s.want(d, Booked, t0+150*second, "pace")
		if d.Account != "urn" || d.Uses[2].Used != 4 {
			s.t.Errorf("asked by its alias: %+v", d)
		}
		if d = as("5", "token", nil, lifetime("life", 10)); d.Account != "urn" || d.Uses[0].Used != 5 {
			s.t.Errorf("asked by an alias without counters: %+v", d)
		}
		// What the alias had charged is given back to the account.
		s.cancel("1")
		if u := s.look2("cookie", all()...).Uses; u[0].Used != 3 || u[1].Used != 3 || u[2].Used != 4 || u[3].Used != 3 {
			s.t.Errorf("after giving back: %+v", u)
		}
		// Chains resolve.
		if d = as("6", "anna", []string{"token"}, lifetime("life", 10)); d.Account != "anna" || d.Uses[0].Used != 5 {
			s.t.Errorf("chain: %+v", d)
		}
		for _, c := range []struct {
			ask  []string
			want string
		}{
			{[]string{"cookie"}, "anna"}, {[]string{"nobody", "urn"}, "anna"}, {[]string{"nobody"}, "nobody"}, {[]string{"anna", "x"}, "anna"},
		} {
			if got, err := s.Resolve(context.Background(), c.ask); err != nil || got != c.want {
				s.t.Errorf("resolve %v: %q, %v", c.ask, got, err)
			}
		}
		// Bookings follow and fire.
		s.clock.add(hour)
		s.want(s.fire("4"), Go, t0+150*second, "")
		as("7", "zoe", nil)
		as("8", "bob", nil)
		got, err := s.Accounts(context.Background())
		if err != nil || !slices.Equal(got, []string{"anna", "bob", "zoe"}) {
			s.t.Errorf("accounts: %v, %v", got, err)
		}
	})
}

// look2 is look for another account.
func (s *testStore) look2(account string, claims ...Claim) Decision {
	s.t.Helper()
	return s.request(Request{Account: account, Claims: claims, Dry: true})
}

func TestAnAliasBringsItsPause(t *testing.T) {
	eachStore(t, func(s *testStore) {
		s.pause("cookie", &Hold{Until: t0 + hour, Why: "challenged"})
		d := s.request(Request{ID: "1", Account: "urn", Aliases: []string{"cookie"}, Claims: []Claim{lifetime("life", 5)}})
		s.want(d, Refused, t0+hour, PausedLimit)
		s.pause("cookie", nil)
		s.want(s.look2("urn", lifetime("life", 5)), Go, t0, "")
	})
}

func TestADryRequestMergesNothing(t *testing.T) {
	eachStore(t, func(s *testStore) {
		s.request(Request{ID: "1", Account: "cookie", Claims: []Claim{lifetime("life", 5)}})
		d := s.request(Request{Account: "urn", Aliases: []string{"cookie"}, Claims: []Claim{lifetime("life", 5)}, Dry: true})
		if d.Uses[0].Used != 0 {
			s.t.Errorf("use: %+v", d.Uses)
		}
		if got, _ := s.Accounts(context.Background()); !slices.Equal(got, []string{"cookie"}) {
			s.t.Errorf("accounts: %v", got)
		}
	})
}
