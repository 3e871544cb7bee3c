package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// onCluster opens stores of one ledger on a Cluster, by its servers' clocks.
func onCluster(t *testing.T, url string, n int) (list []*Redis) {
	t.Helper()
	prefix := fmt.Sprint("t", prefixes.Add(1))
	for range n {
		s, err := OpenRedis(context.Background(), url+patience, RedisOptions{Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		list = append(list, s)
	}
	return list
}

func TestOnAClusterNoServersClockIsTheOthers(t *testing.T) {
	ctx := context.Background()
	url := startCluster(t).url()
	s := onCluster(t, url, 1)[0]
	own, all := lifetime("own", 1000), rolling("all", 1000, hour).scoped("service:x")
	road := concurrent("road", 150).scoped("service:x")
	for i := range 100 { // each now on the one is not now on the other
		r := Request{ID: fmt.Sprint("r", i), Account: fmt.Sprint("anna", i), Claims: []Claim{own, all, road}}
		if d, err := s.Reserve(ctx, r); err != nil || d.Verdict != Go {
			t.Fatalf("message %d: %+v, %v", i, d, err)
		}
	}

	// A booking is fired by the account's server; the scope's is behind.
	_, list := sharedBy(t, url, 1)
	fake := list[0]
	fake.ask(pace("pace", minute).scoped("service:x"))
	d, _ := fake.ask(pace("pace", minute).scoped("service:x").waiting(hour), own)
	fake.want(d, Later, t0+minute, "pace")
	_, _ = fake.ask(pace("both", minute), pace("pace2", minute).scoped("service:x"))
	d, id := fake.ask(pace("both", minute).waiting(hour), pace("pace2", minute).scoped("service:x").waiting(hour))
	fake.want(d, Booked, t0+minute, "both")
	fake.clock.add(minute - 5)
	store := fake.Store.(*Redis)
	part, err := store.fireOne(ctx, scoped(id, "service:x"), t0+minute)
	if err != nil {
		t.Fatal(err)
	}
	fake.want(part, Go, t0+minute, "")
}

// A process that dies while an alias moves from one server to another leaves
// nothing uncounted: whoever asks for it next ends the move.
func TestAMoveThatWasInterruptedIsEnded(t *testing.T) {
	ctx := context.Background()
	s := onCluster(t, startCluster(t).url(), 4)
	life := lifetime("life", 100)
	ask := func(s *Redis, id, account string, aliases ...string) int64 {
		t.Helper()
		d, err := s.Reserve(ctx, Request{ID: id, Account: account, Aliases: aliases, Claims: []Claim{life}})
		if err != nil || d.Verdict != Go {
			t.Fatalf("%+v, %v", d, err)
		}
		return d.Uses[0].Used
	}
	for i, next := range []func(alias, account string) int64{
		func(alias, account string) int64 { return ask(s[1], "1"+alias, account, alias) },
		func(alias, _ string) int64 { return ask(s[2], "2"+alias, alias) },
		func(alias, _ string) int64 {
			name, err := s[3].Resolve(ctx, []string{alias})
			if err != nil {
				t.Fatal(err)
			}
			return ask(s[3], "3"+alias, name)
		},
	} {
		alias, account := fmt.Sprint("bert", i), fmt.Sprint("carl", i)
		ask(s[0], "a"+alias, alias)
		ask(s[0], "b"+alias, alias)
		ask(s[0], "c"+alias, account)
		target := func(_ *redisCall, b []byte) []byte { return appendText(append(b, ','), account) }
		if _, err := s[0].once(ctx, &redisCall{verb: "freeze", names: []string{alias}, rest: target}); err != nil {
			t.Fatal(err)
		}
		if used := next(alias, account); used != 4 {
			t.Errorf("%d: %d are counted after the move, want 4", i, used)
		}
	}
}

// What was charged on one server and could not be given back, because the other
// failed, is found by a later Cancel.
func TestACancelFindsThePartsOfAReservationThatFailed(t *testing.T) {
	ctx := context.Background()
	s := onCluster(t, startCluster(t).url(), 1)[0]
	own, all := lifetime("own", 9), lifetime("all", 9).scoped("service:x")
	r := Request{ID: "1", Account: "anna", Claims: []Claim{own, all}}
	if d, err := s.Reserve(ctx, r); err != nil || d.Verdict != Go {
		t.Fatalf("%+v, %v", d, err)
	}
	// Its account is given back already; then the call to the scope failed.
	if known, err := s.tryCancel(ctx, "1"); !known || err != nil {
		t.Fatal(known, err)
	}
	if err := s.Cancel(ctx, "1"); err != nil {
		t.Fatal(err)
	}
	d, err := s.Reserve(ctx, Request{Account: "anna", Claims: r.Claims, Dry: true})
	if err != nil || d.Uses[0].Used != 0 || d.Uses[1].Used != 0 {
		t.Errorf("%+v, %v", d.Uses, err)
	}
	if f := faultOf(&halfway{errors.New("CLUSTERDOWN")}); f == nil || f.sure {
		t.Errorf("a failure halfway is taken for one that did nothing: %+v", f)
	}
}
