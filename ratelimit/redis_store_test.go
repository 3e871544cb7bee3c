package ratelimit

// What only a store has that several processes share, over a network that
// loses answers, on servers that restart and on several at once.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// sharedBy opens stores of one ledger, under one clock: as many processes.
func sharedBy(t *testing.T, url string, n int) (*fakeClock, []*testStore) {
	t.Helper()
	return sharedAt(t, slices.Repeat([]string{url}, n)...)
}

// sharedAt does so with a way to the server for each.
func sharedAt(t *testing.T, urls ...string) (*fakeClock, []*testStore) {
	t.Helper()
	c := &fakeClock{ms: t0}
	o := RedisOptions{Options: Options{Now: c.now}, Prefix: fmt.Sprint("t", prefixes.Add(1)), argumentClock: true}
	list := make([]*testStore, len(urls))
	for i, url := range urls {
		if !strings.Contains(url, "?") {
			url += patience
		}
		var s *Redis
		eventually(t, "the store opens", func() (open bool) { // a hasty one may not at first
			var err error
			if s, err = OpenRedis(context.Background(), url, o); err != nil {
				t.Log(err)
			}
			return err == nil
		})
		t.Cleanup(func() { _ = s.Close() })
		list[i] = &testStore{Store: s, t: t, clock: c, n: 1000 * i}
	}
	return c, list
}

func sharedURL(t testing.TB) string {
	t.Helper()
	url, err := sharedRedis()
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func TestProcessesShareBookingsHoldsAndWarnings(t *testing.T) {
	c, s := sharedBy(t, sharedURL(t), 2)
	p := pace("pace", minute).waiting(hour)
	warned := 0
	for i := range 6 {
		d, id := s[i%2].ask(p, lifetime("life", 100).warning(3))
		if want := t0 + int64(i)*minute; d.At != want {
			t.Errorf("message %d goes at t0%+d, want t0%+d", i, d.At-t0, want-t0)
		}
		if d.Uses[1].Warn {
			warned++
		}
		if i > 4 {
			s[i%2].cancel(id)
		}
	}
	if warned != 1 {
		t.Errorf("warned %d times", warned)
	}
	s[0].pause("anna", &Hold{Until: t0 + hour, Why: "challenged"})
	s[1].want(s[1].look(lifetime("life", 100)), Refused, t0+hour, PausedLimit)
	c.add(minute)
	s[1].want(s[1].fire("r1001"), Booked, t0+hour, PausedLimit)
}

// The server charges, the answer is lost, the client asks again: by go-redis
// itself, and by whoever was told of the error.
func TestALostAnswerChargesOnce(t *testing.T) {
	server := startRedis(t)
	wire := startWire(t, server.addr())
	_, s := sharedAt(t, wire.url()+"?read_timeout=100ms&max_retries=3", server.url())
	life := lifetime("life", 1000)
	s[1].ask(life)
	wire.lose(0.3, 0)
	ctx := context.Background()
	want := int64(1)
	for i := range 30 {
		r := Request{ID: fmt.Sprint("m", i), Account: "anna", Claims: []Claim{life}}
		_, err := s[0].Reserve(ctx, r)
		for err != nil {
			_, err = s[0].Reserve(ctx, r)
		}
		want++
		if i%3 == 0 {
			for s[0].Cancel(ctx, r.ID) != nil {
				continue
			}
			want--
		}
	}
	if wire.broken() == 0 {
		t.Fatal("no answer was lost")
	}
	if got := s[1].look(life.costing(0)).Uses[0].Used; got != want {
		t.Errorf("%d are charged, want %d", got, want)
	}
}

// A server that is stopped keeps what has arrived: go-redis asks three times,
// and all of them are carried out when it goes on.
func TestAServerThatStoodStillChargesOnce(t *testing.T) {
	server := startRedis(t)
	_, s := sharedAt(t, server.url()+"?read_timeout=50ms&max_retries=3", server.url())
	hasty, patient := s[0], s[1]
	life := lifetime("life", 1000)
	ctx := context.Background()
	first, x := Request{ID: "w", Account: "anna", Claims: []Claim{life}}, Request{ID: "x", Account: "anna", Claims: []Claim{life}}
	_, err := hasty.Reserve(ctx, first) // leaves a connection that x is written to
	for err != nil {
		_, err = hasty.Reserve(ctx, first)
	}
	server.pause()
	_, err = hasty.Reserve(ctx, x)
	_, err2 := hasty.Reserve(ctx, Request{ID: "y", Account: "anna", Claims: []Claim{life}})
	server.resume()
	if err == nil || err2 == nil {
		t.Fatal("it answered while it stood still")
	}
	server.eventually("what waited is carried out", func() bool { return patient.look(life.costing(0)).Uses[0].Used >= 2 })
	d, err := hasty.Reserve(ctx, x)
	for err != nil { // it gives up on a busy machine too
		d, err = hasty.Reserve(ctx, x)
	}
	if !d.Repeated {
		t.Errorf("asked again: %+v", d)
	}
	for hasty.Cancel(ctx, "y") != nil {
		continue
	}
	if got := patient.look(life.costing(0)).Uses[0].Used; got != 2 {
		t.Errorf("%d are charged, want 2", got)
	}
}

// What was given back before it arrived is not charged when it does.
func TestACallThatComesAfterItsCancelChargesNothing(t *testing.T) {
	_, s := sharedBy(t, sharedURL(t), 1)
	ctx := context.Background()
	store := s[0].Store.(*Redis)
	life := lifetime("life", 10)
	r := Request{ID: "late", Account: "anna", Claims: []Claim{life}}
	g := group(r.Claims)
	call := store.reservation(&r, &g, "token1", 0)
	store.keepTicket("late", &ticket{account: "anna", home: "anna", token: "token1"}, true)
	s[0].cancel("late")
	if reply, err := store.run(ctx, call); err != nil || reply.what != 'x' {
		t.Errorf("the late call: %q, %v", reply.what, err)
	}
	if u := s[0].look(life).Uses[0]; u.Used != 0 {
		t.Errorf("it charged: %+v", u)
	}
	// The id is free for another reservation.
	s[0].want(s[0].request(r), Go, t0, "")
}

func TestAScriptThatWasFlushedIsLoadedAgain(t *testing.T) {
	server := startRedis(t)
	_, s := sharedBy(t, server.url(), 1)
	for range 3 {
		s[0].ask(lifetime("life", 10))
		server.do("SCRIPT", "FLUSH")
	}
	if u := s[0].look(lifetime("life", 10)).Uses[0]; u.Used != 3 {
		t.Errorf("%+v", u)
	}
}

func TestAnotherHashKeyIsRefused(t *testing.T) {
	ctx := context.Background()
	o := RedisOptions{Prefix: fmt.Sprint("t", prefixes.Add(1)), KeyID: "aaaaaaaaaaaa"}
	s, err := OpenRedis(ctx, sharedURL(t), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	o.KeyID = "bbbbbbbbbbbb"
	if _, err := OpenRedis(ctx, sharedURL(t), o); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "QUOTAGATE_HASH_KEY_FILE") {
		t.Errorf("another key: %v", err)
	}
}

func TestAnAddressThatCannotBeReadSaysNoPassword(t *testing.T) {
	for _, url := range []string{
		"redis//secret@host", "http://u:secret@host", "redis+sentinel://u:secret@host", "redis://u:secret@host:port/x",
		"redis://u:secret@host?durability=much", "redis+cluster://u:secret@a,b/3", "redis://u:secret@host?nonsense=1",
	} {
		s, err := OpenRedis(context.Background(), url, RedisOptions{})
		if err == nil {
			_ = s.Close()
			t.Errorf("%s was taken", url)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", url, err)
		}
	}
}

// No expiry may end a quota: a month is longer than 30 days, and a lifetime has
// no end.
func TestExpiryOnlyTidies(t *testing.T) {
	_, s := sharedBy(t, sharedURL(t), 1)
	store := s[0].Store.(*Redis)
	ttl := func(account string) time.Duration {
		t.Helper()
		d, err := store.client.PTTL(context.Background(), store.prefix+":"+tag(account)+":a").Result()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	month := s[0].daily("month", 5)
	month.Unit = "month"
	month.Windows = &[3]Window{{"2026-10", t0 - 50*day, t0 - 22*day}, {"2026-11", t0 - 22*day, t0 + 8*day}, {"2026-12", t0 + 8*day, t0 + 39*day}}
	s[0].request(Request{ID: "1", Account: "a", Claims: []Claim{month}})
	if got := ttl("a"); got < (8+32)*24*time.Hour {
		t.Errorf("a month ends after %v", got)
	}
	s[0].request(Request{ID: "2", Account: "a", Claims: []Claim{lifetime("life", 5)}})
	s[0].request(Request{ID: "3", Account: "a", Claims: []Claim{month}})
	if got := ttl("a"); got != -1 {
		t.Errorf("a lifetime ends after %v", got)
	}
	s[0].pause("b", &Hold{})
	if got := ttl("b"); got != -1 {
		t.Errorf("a hold until resumed ends after %v", got)
	}
}

func TestRecipientsAreForgottenInRedis(t *testing.T) {
	c, s := sharedBy(t, sharedURL(t), 1)
	store := s[0].Store.(*Redis)
	fields := func() int64 { return store.client.HLen(context.Background(), store.prefix+":{anna}:a").Val() }
	for i := range 400 {
		_, id := s[0].ask(rolling("pair", 9, day).by(fmt.Sprint("to", i)))
		s[0].keep(id)
	}
	if n := fields(); n < 400 {
		t.Fatalf("%d fields: some were forgotten while they count", n)
	}
	c.add(33*day + 1)
	for i := range 1000 {
		_, id := s[0].ask(rolling("pair", 9, day).by(fmt.Sprint("new", i)))
		s[0].keep(id)
	}
	if n := fields(); n > 1150 {
		t.Errorf("%d fields are left of 1400, 1000 of which count", n)
	}
}

func TestAClusterReservesScopesAndJoinsNames(t *testing.T) {
	_, s := sharedBy(t, startCluster(t).url(), 2)
	own, all := lifetime("life", 10), rolling("all", 3, hour).scoped("service:x")
	ask := func(i int, id, account string, aliases ...string) Decision {
		t.Helper()
		return s[i].request(Request{ID: id, Account: account, Aliases: aliases, Claims: []Claim{own, all}})
	}
	used := func(account string, want ...int64) {
		t.Helper()
		d := s[0].look2(account, own, all)
		for i, n := range want {
			if len(d.Uses) != 2 || d.Uses[i].Used != n {
				t.Errorf("%s has used %+v, want %v", account, d.Uses, want)
				return
			}
		}
	}
	s[0].want(ask(0, "1", "anna"), Go, t0, "")
	s[1].want(ask(1, "2", "bert"), Go, t0, "")
	s[1].want(ask(1, "3", "bert"), Go, t0, "")
	s[0].want(ask(0, "4", "anna"), Refused, t0+hour, "all") // the account's is given back
	used("anna", 1, 3)
	used("bert", 2, 3)
	s[1].cancel("3")
	used("bert", 1, 2)
	s[0].keep("1")
	s[0].cancel("1") // it was kept
	used("anna", 1, 2)

	s[0].want(ask(0, "5", "carl", "anna", "bert", "new"), Go, t0, "")
	used("carl", 3, 3)
	for _, name := range []string{"anna", "bert", "new"} {
		if got, err := s[1].Resolve(context.Background(), []string{name}); err != nil || got != "carl" {
			t.Errorf("%s stands for %q, %v", name, got, err)
		}
	}
	got, err := s[1].Accounts(context.Background())
	if err != nil || fmt.Sprint(got) != "[carl service:x]" {
		t.Errorf("accounts: %v, %v", got, err)
	}
	// A service that cools down holds the accounts of all servers.
	s[1].cool(Cooling{ID: "c", Account: "service:x", Name: "throttled", For: minute})
	d := s[0].request(Request{ID: "6", Account: "dora", Services: []string{"service:x"}, Claims: []Claim{own}})
	s[0].want(d, Refused, t0+minute, PausedLimit)
}
