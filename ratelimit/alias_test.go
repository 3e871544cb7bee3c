package ratelimit

// Identities that turn out to be one account, on every store.

import (
	"context"
	"fmt"
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
		s.clock.add(3 * minute)
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

// marks is something that changes with everything that a store remembers: the
// bytes of the memory store, the numbers of the embedded one's last commits.
func (s *testStore) marks() string {
	s.look() // whatever Keep left to do is done
	if e, ok := s.Store.(*Embedded); ok {
		return fmt.Sprint(e.disk.journal.next, e.disk.committed())
	}
	if r, ok := s.Store.(*Redis); ok {
		return r.dump(s.t)
	}
	return string(s.Store.(*Memory).image())
}

// strangers are two accounts that counted a few things each.
func (s *testStore) strangers() {
	for i, name := range []string{"cookie", "urn"} {
		d := s.request(Request{ID: name, Account: name, Claims: []Claim{
			s.daily("day", 10).costing(3), rolling("roll", 10, hour).costing(3), lifetime("life", 10).costing(3),
			lifetime("to", 10).by("bert").costing(3), lifetime("to", 10).by(fmt.Sprint("only ", i)).costing(3),
		}})
		if d.Verdict != Go {
			s.t.Fatalf("%+v", d)
		}
		s.keep(name)
	}
}

func TestARefusedRequestMergesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		claims  func(s *testStore) []Claim
		aliases []string
		verdict Verdict
		at      int64 // after t0
		limit   string
	}{
		"a day that both filled":       {func(s *testStore) []Claim { return []Claim{s.daily("day", 6)} }, []string{"cookie"}, Refused, day, "day"},
		"an hour that both filled":     {func(*testStore) []Claim { return []Claim{rolling("roll", 6, hour)} }, []string{"cookie"}, Refused, hour, "roll"},
		"a life that both spent":       {func(*testStore) []Claim { return []Claim{lifetime("life", 6)} }, []string{"cookie"}, Refused, -t0, "life"},
		"a recipient of both":          {func(*testStore) []Claim { return []Claim{lifetime("to", 6).by("bert")} }, []string{"cookie"}, Refused, -t0, "to"},
		"a recipient of the alias":     {func(*testStore) []Claim { return []Claim{lifetime("to", 3).by("only 0")} }, []string{"cookie"}, Refused, -t0, "to"},
		"a stranger without counters":  {func(*testStore) []Claim { return []Claim{lifetime("life", 3)} }, []string{"token"}, Refused, -t0, "life"},
		"a new account and an old one": {func(*testStore) []Claim { return []Claim{lifetime("life", 0)} }, []string{"token", "cookie"}, Refused, -t0, "life"},
		"a recipient for whom it waits": {func(*testStore) []Claim {
			return []Claim{rolling("pair", 1, minute).by("bert").waiting(minute)}
		}, []string{"paired"}, Later, minute, "pair"},
	} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(s *testStore) {
				s.strangers()
				s.request(Request{ID: "paired", Account: "paired", Claims: []Claim{rolling("pair", 1, minute).by("bert")}})
				s.keep("paired")
				before := s.marks()
				d := s.request(Request{ID: "x", Account: "urn", Aliases: c.aliases, Claims: c.claims(s)})
				s.want(d, c.verdict, t0+c.at, c.limit)
				if d.Account != "urn" {
					s.t.Errorf("account %q", d.Account)
				}
				if after := s.marks(); after != before {
					s.t.Error("the store changed")
				}
				if got, _ := s.Accounts(context.Background()); !slices.Equal(got, []string{"cookie", "paired", "urn"}) {
					s.t.Errorf("accounts: %v", got)
				}
				for _, alias := range c.aliases {
					if got, _ := s.Resolve(context.Background(), []string{alias}); got != alias {
						s.t.Errorf("%s stands for %s", alias, got)
					}
				}
				// Alone, either has room as before.
				for _, u := range slices.Concat(s.look2("urn", lifetime("life", 10), lifetime("to", 10).by("bert")).Uses, s.look2("cookie", lifetime("life", 10)).Uses) {
					if u.Used != 3 {
						s.t.Errorf("%+v", u)
					}
				}
				// With room for it, they are merged.
				d = s.request(Request{ID: "y", Account: "urn", Aliases: c.aliases})
				s.want(d, Go, t0, "")
				if got, _ := s.Resolve(context.Background(), c.aliases); got != "urn" {
					s.t.Errorf("then %s stands for %s", c.aliases[0], got)
				}
			})
		})
	}
}

func TestARequestIsDecidedOnWhatItsAccountsCountedTogether(t *testing.T) {
	eachStore(t, func(s *testStore) {
		s.strangers()
		d := s.request(Request{ID: "x", Account: "urn", Aliases: []string{"cookie"}, Claims: []Claim{
			s.daily("day", 7), rolling("roll", 7, hour), lifetime("life", 7), lifetime("to", 7).by("bert"), lifetime("to", 7).by("only 0"),
		}})
		s.want(d, Go, t0, "")
		for i, used := range []int64{7, 7, 7, 7, 4} {
			if d.Uses[i].Used != used {
				s.t.Errorf("use %d: %+v", i, d.Uses[i])
			}
		}
	})
}

// Where the accounts have holds or bookings, the trial must see what the merged
// account would: else a request is merged and then refused.
func TestTheHoldsAndBookingsOfStrangersCount(t *testing.T) {
	p := pace("pace", 10*second).waiting(30 * second)
	for name, c := range map[string]struct {
		before  func(s *testStore)
		claims  []Claim
		verdict Verdict
		at      int64
		limit   string
	}{
		"the alias is paused": {func(s *testStore) { s.pause("cookie", &Hold{}) }, []Claim{p}, Refused, -t0, PausedLimit},
		"both are paused": {func(s *testStore) {
			s.pause("cookie", &Hold{Until: t0 + 15*second})
			s.pause("urn", &Hold{Until: t0 + 40*second})
		}, []Claim{p}, Refused, 40 * second, PausedLimit},
		"the alias is, within the wait": {func(s *testStore) { s.pause("cookie", &Hold{Until: t0 + 15*second}) }, []Claim{p}, Booked, 15 * second, PausedLimit},
		"a pause that has ended":        {func(s *testStore) { s.pause("cookie", &Hold{Until: t0 + second}); s.clock.add(second) }, []Claim{p}, Go, second, ""},
		"the alias has a queue":         {func(s *testStore) { s.queue("cookie", 3, p) }, []Claim{p}, Booked, 30 * second, "pace"},
		"a queue that is full":          {func(s *testStore) { s.queue("cookie", 4, p) }, []Claim{p}, Refused, 40 * second, "pace"},
		"both have a queue":             {func(s *testStore) { s.queue("cookie", 4, p); s.queue("urn", 4, p) }, []Claim{p.waiting(hour)}, Booked, 50 * second, "pace"},
		"a pause that moves the queue": {func(s *testStore) { s.queue("urn", 3, p); s.pause("cookie", &Hold{Until: t0 + 15*second}) },
			[]Claim{p}, Refused, 35 * second, "pace"},
		"a queue that nobody came for": {func(s *testStore) { s.queue("cookie", 4, p, lifetime("life", 4)); s.clock.add(5 * minute) },
			[]Claim{p, lifetime("life", 2)}, Go, 5 * minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(s *testStore) {
				s.request(Request{ID: "1", Account: "urn", Claims: []Claim{lifetime("other", 9)}})
				c.before(s)
				before := s.marks()
				d := s.request(Request{ID: "x", Account: "urn", Aliases: []string{"cookie"}, Claims: c.claims})
				s.want(d, c.verdict, t0+c.at, c.limit)
				if refused, changed := d.Verdict > Booked, s.marks() != before; refused == changed {
					s.t.Errorf("refused %v, changed %v", refused, changed)
				}
			})
		})
	}
}

// queue lets one message of an account go and holds the others.
func (s *testStore) queue(account string, n int, claims ...Claim) {
	for i := range n {
		s.request(Request{ID: fmt.Sprint(account, i), Account: account, Claims: claims})
	}
}

// names answers without the committer: it must forget what it knew once an
// identity comes to stand for another account.
func TestAnIdentityIsResolvedAnewAfterItsMerge(t *testing.T) {
	eachStore(t, func(s *testStore) {
		s.strangers()
		for _, want := range []string{"cookie", "urn"} {
			for range 2 { // the second time from memory
				if got, err := s.Resolve(context.Background(), []string{"cookie"}); err != nil || got != want {
					s.t.Errorf("cookie stands for %q, %v; want %q", got, err, want)
				}
			}
			s.request(Request{ID: "x", Account: "urn", Aliases: []string{"cookie"}})
		}
	})
}
