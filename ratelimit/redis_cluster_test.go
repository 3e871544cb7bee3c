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

// The parts of a booking lie on several servers, and go sooner together or not at
// all.
func TestOnAClusterABookingGoesSoonerInAllItsPartsOrInNone(t *testing.T) {
	_, list := sharedBy(t, startCluster(t).url(), 1)
	s := list[0]
	own := func(span int64) Claim { return pace("own", span).waiting(hour) }
	all := func(span int64) Claim { return pace("all", span).scoped("service:x").waiting(hour) }
	life := lifetime("life", 9).scoped("service:x")
	s.ask(own(minute), all(minute), life)
	_, first := s.ask(own(minute), all(minute), life)
	_, next := s.ask(own(minute), all(minute), life)
	slots := func(want ...int64) {
		t.Helper()
		for i, id := range []string{first, next} {
			s.want(s.fire(id), Booked, t0+want[i]*second, "own")
			if d, err := s.Store.(*Redis).fireOne(context.Background(), scoped(id, "service:x"), 0); err != nil || d.At != t0+want[i]*second {
				t.Errorf("%s: %+v, %v", id, d, err)
			}
		}
		if u := s.look(own(minute), life).Uses[1]; u.Used != 3 {
			t.Errorf("life: %+v", u)
		}
	}
	slots(60, 120)
	s.kept(s.sooner("anna", first, own(30*second), all(minute), life), t0+minute, "own") // the scope has no room
	s.kept(s.sooner("anna", first, own(minute), all(30*second), life), t0+minute, "own") // the account has none
	s.kept(s.sooner("anna", first, own(90*second), all(90*second), life), t0+minute, "own")
	s.kept(s.sooner("anna", first, own(minute), all(minute), lifetime("none", 0)), t0+minute, "own")
	slots(60, 120)
	s.want(s.sooner("anna", first, own(30*second), all(30*second), life), Booked, t0+30*second, "own")
	slots(30, 120)
	s.want(s.sooner("anna", next, own(30*second), all(30*second), life), Booked, t0+minute, "own")
	slots(30, 60)
	if d := s.sooner("anna", first, life); d.Verdict != Go || d.Repeated {
		t.Errorf("%+v", d)
	}
	if d := s.sooner("anna", first, own(minute), life); d.Verdict != Go || !d.Repeated {
		t.Errorf("it is on its way: %+v", d)
	}
	s.cancel(first)
	s.cancel(next)
	if u := s.look(own(minute), all(minute), life).Uses; u[2].Used != 1 || u[1].Resets != t0+minute {
		t.Errorf("given back, there is left %+v", u)
	}
}

// A scope that the new rules do not ask is given back.
func TestOnAClusterAScopeThatIsLeftOutIsGivenBack(t *testing.T) {
	_, list := sharedBy(t, startCluster(t).url(), 1)
	s := list[0]
	own, life := pace("own", minute).waiting(hour), lifetime("life", 9).scoped("service:x")
	for _, sooner := range []bool{false, true} {
		s.ask(own)
		_, id := s.ask(own, life)
		if d := s.request(Request{ID: id, Account: "anna", Claims: []Claim{lifetime("other", 9)}, Replace: true, Sooner: sooner}); d.Verdict != Go {
			t.Errorf("%+v", d)
		}
		if u := s.look(life).Uses[0]; u.Used != 0 {
			t.Errorf("sooner %v: %d are counted", sooner, u.Used)
		}
	}
}

// Between the question and the change another message may take the room.
func TestOnAClusterABookingWhoseRoomIsTakenMeanwhileIsNeverHalf(t *testing.T) {
	ctx := context.Background()
	_, list := sharedBy(t, startCluster(t).url(), 1)
	s := list[0]
	store := s.Store.(*Redis)
	paced := pace("own", minute).waiting(hour)
	for i, c := range []struct {
		own, all int64 // that are allowed
		taker    string
		want     Verdict
	}{
		{9, 2, "bea", Booked}, // the scope's is gone: it keeps what it has
		{2, 9, "", Later},     // the account's, when the scope's was changed already
		{9, 9, "bea", Go},
	} {
		me := fmt.Sprint("anna", i)
		own, all := rolling("own2", c.own, hour), rolling("all", c.all, hour).scoped(fmt.Sprint("service:", i))
		s.as(me, paced, own, all)
		_, id := s.as(me, paced, own.costing(0), all.costing(0))
		r := &Request{ID: id, Account: me, Claims: []Claim{own, all}, Replace: true, Sooner: true}
		v := divided(r)
		v.kept, _ = store.booking(id)
		agreed, err := store.askParts(ctx, &v)
		if err != nil || agreed == nil {
			t.Fatal(agreed, err)
		}
		if c.taker == "" {
			s.as(me, own)
		} else {
			s.as(c.taker, all)
		}
		d, err := store.changeParts(ctx, r, &v, agreed)
		if err != nil || d.Verdict != c.want {
			t.Errorf("%d: %+v, %v", i, d, err)
		}
		used := s.request(Request{Account: me, Dry: true, Claims: []Claim{own.costing(0), all.costing(0)}}).Uses
		if total := used[0].Used + used[1].Used; c.want == Go && total != 5 || c.want != Go && total != 3 {
			t.Errorf("%d: %+v", i, used)
		}
		if c.want == Later {
			s.want(s.fire(id), Gone, s.clock.ms, "")
		}
	}
}
