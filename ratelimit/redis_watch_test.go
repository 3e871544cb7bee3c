package ratelimit

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
)

// watchedClient is a client as the store has it.
func watchedClient(t testing.TB, w *serverWatch, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, MaxRetries: -1, DialerRetries: 1, OnConnect: w.connected, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestANewMasterIsNoticedBeforeItAnswers(t *testing.T) {
	m := startRedis(t, "appendonly yes")
	r := startReplica(t, m)
	wire := startWire(t, m.addr())
	var w serverWatch
	c := watchedClient(t, &w, wire.addr())
	ctx := context.Background()
	met := func(what string, want uint64) {
		t.Helper()
		// One answer may be lost with its connection; the next comes over a new one.
		if err := c.Ping(ctx).Err(); err != nil {
			err = c.Ping(ctx).Err()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if got := w.generation(); got != want {
			t.Errorf("%s: generation %d, want %d", what, got, want)
		}
	}
	met("first contact", 1)
	wire.cut()
	met("the same server over another connection", 1)
	m.restart()
	met("the server started again", 2)
	wire.lead(r.addr())
	met("a replica decides nothing", 2)
	m.kill()
	r.promote()
	wire.cut()
	met("the replica was promoted", 3)
	m.restart()
	r.follow(m)
	r.eventually("the former replica follows", func() bool { return r.info("replication", "master_link_status") == "up" })
	r.promote()
	wire.cut()
	met("the same process was promoted once more", 4)
}

func TestTheRollCallKnowsWhoIsThereAndWhatIsMissing(t *testing.T) {
	stores := map[string]func(t *testing.T, w *serverWatch) (redis.UniversalClient, func()){
		"server": func(t *testing.T, w *serverWatch) (redis.UniversalClient, func()) {
			s := startRedis(t)
			return watchedClient(t, w, s.addr()), func() { s.do("FLUSHALL") }
		},
		"cluster": func(t *testing.T, w *serverWatch) (redis.UniversalClient, func()) {
			set := startCluster(t)
			c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{set.nodes[0].addr()}, Protocol: 2, OnConnect: w.connected})
			t.Cleanup(func() { _ = c.Close() })
			return c, func() { // one of three masters loses its data, not the one that knows the roster
				home := c.ClusterKeySlot(t.Context(), rosterKey("q1")).Val()
				set.nodes[(int(home)*3/clusterSlots+1)%3].do("FLUSHALL")
			}
		},
	}
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			var w serverWatch
			c, lose := start(t, &w)
			if _, err := w.beat(ctx, c, "q1", "a", 60_000, ""); err != nil {
				t.Fatal(err)
			}
			roll, err := w.beat(ctx, c, "q1", "b", 60_000, "this")
			if err != nil || len(roll.Replicas) != 2 || roll.Settled["b"] != "this" || roll.State == "" || roll.Marker != "" || roll.Now == 0 {
				t.Fatalf("roll %+v, %v", roll, err)
			}
			if got, err := writeMarker(ctx, c, "q1", "one", ""); err != nil || got != "one" {
				t.Fatalf("marked %q, %v", got, err)
			}
			if got, err := writeMarker(ctx, c, "q1", "two", ""); err != nil || got != "one" {
				t.Fatalf("marked %q over one, %v", got, err)
			}
			if roll, err = w.beat(ctx, c, "q1", "b", 60_000, "this"); err != nil || roll.Marker != "one" {
				t.Fatalf("roll %+v, %v", roll, err)
			}
			// a is not heard of any more: everybody older than nothing goes.
			if roll, err = w.beat(ctx, c, "q1", "b", 0, "this"); err != nil || len(roll.Replicas) != 1 || len(roll.Settled) != 1 {
				t.Errorf("roll %+v, %v", roll, err)
			}
			lose()
			if roll, err = w.beat(ctx, c, "q1", "b", 60_000, "this"); err != nil || roll.Marker != "" {
				t.Errorf("after a loss: roll %+v, %v", roll, err)
			}
		})
	}
}

func TestEveryPartOfAClusterHasAMarker(t *testing.T) {
	if got := crc16("123456789"); got != 0x31C3 { // the specification's own example
		t.Errorf("crc16 is %x", got)
	}
	for part, key := range clusterMarkers {
		if key == "" {
			t.Errorf("part %d has no marker", part)
		}
	}
}
