package ratelimit

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// What a server had forgotten of the last seconds when it took over: what was
// given back, and who is whom. It is told both again.
func TestANewMasterIsToldAgainWhatWasGivenBackAndWhoIsWhom(t *testing.T) {
	server := startRedis(t)
	f := guardedReplicas(t, 1, server.url())
	g := f.replicas[0]
	ctx := context.Background()
	life := lifetime("life", 100)
	all := lifetime("all", 100).scoped("service:x")
	reserve := func(id, account string, aliases ...string) {
		t.Helper()
		d, err := g.Reserve(ctx, Request{ID: id, Account: account, Aliases: aliases, Claims: []Claim{life, life.ofItem(1), all}})
		if err != nil || d.Verdict != Go {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	for _, id := range []string{"back", "half", "sent"} {
		reserve(id, "anna")
	}
	if err := g.Keep(ctx, "sent"); err != nil {
		t.Fatal(err)
	}
	reserve("b", "bert")
	saved := save(t, server)
	reserve("c", "anna", "bert")
	if err := g.Cancel(ctx, "back"); err != nil {
		t.Fatal(err)
	}
	if err := g.CancelItems(ctx, "half", []int{1}); err != nil {
		t.Fatal(err)
	}
	used := func() [2]int64 {
		d, err := g.primary.Reserve(ctx, Request{Account: "anna", Claims: []Claim{life, all}, Dry: true})
		if err != nil {
			t.Fatal(err)
		}
		return [2]int64{d.Uses[0].Used, d.Uses[1].Used}
	}
	want := used()
	if want != [2]int64{1 + 2 + 2 + 2, 1 + 1 + 1 + 1} {
		t.Fatalf("%d are counted", want)
	}

	// The same server takes part: it lost the end of its history.
	load(t, server, saved)
	g.primary.(*Redis).watch.note("another")
	g.poke()
	eventually(t, "it is told", func() bool { return !g.superseded() && g.gate.closed() == nil })
	if got := used(); got != want {
		t.Errorf("%d are counted, want %d", got, want)
	}
	if name, err := g.Resolve(ctx, []string{"bert"}); err != nil || name != "anna" {
		t.Errorf("bert is %q, %v", name, err)
	}
}

// save returns all that a server has, for load.
func save(t testing.TB, s *redisServer) map[string]string {
	t.Helper()
	ctx, c := context.Background(), s.client()
	saved := map[string]string{}
	for _, key := range c.Keys(ctx, "*").Val() {
		text, err := c.Dump(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		saved[key] = text
	}
	return saved
}

func load(t testing.TB, s *redisServer, saved map[string]string) {
	t.Helper()
	_, err := s.client().TxPipelined(context.Background(), func(p redis.Pipeliner) error {
		p.FlushDB(context.Background())
		for key, text := range saved {
			p.Restore(context.Background(), key, 0, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A replica that was last heard of while the server's clock was years ahead is
// forgotten when the clock is right again.
func TestAReplicaOfTheFutureIsForgotten(t *testing.T) {
	server := startRedis(t)
	f := guardedReplicas(t, 1, server.url())
	key := rosterKey(f.replicas[0].primary.(*Redis).prefix)
	server.do("ZADD", key, time.Now().AddDate(10, 0, 0).UnixMilli(), "ghost")
	eventually(t, "it is forgotten", func() bool { return server.do("ZCARD", key) == int64(1) })
	if n := f.replicas[0].Replicas(); n != 1 {
		t.Errorf("%d replicas", n)
	}
}

func TestAHoldAndAGiftMayLastForever(t *testing.T) {
	eachStore(t, func(s *testStore) {
		const always = 1<<63 - 1
		life := lifetime("life", 3)
		s.give(Gift{ID: "g", Limit: "life", Units: 5, End: always})
		pots := Pot{Label: "bought", End: always, Units: 1}
		if d, _ := s.ask(life.costing(9).paying(pots)); d.Verdict != Go {
			s.t.Errorf("%+v", d)
		}
		if d, _ := s.ask(life.paying(pots)); d.Verdict != Refused {
			s.t.Errorf("%+v", d)
		}
		s.pause("anna", &Hold{Until: always})
		if d, _ := s.ask(lifetime("other", 3)); d.Verdict != Refused || d.Limit != PausedLimit {
			s.t.Errorf("%+v", d)
		}
	})
}
