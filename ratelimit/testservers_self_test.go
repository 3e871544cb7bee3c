package ratelimit

// That the servers for tests do what other tests rely on.

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestServersForTestsKeepWhatTheyPromise(t *testing.T) {
	t.Run("restart with and without data", func(t *testing.T) {
		t.Parallel()
		s := startRedis(t, "appendonly yes")
		s.do("SET", "a", "1")
		s.kill()
		s.restart()
		if got := s.do("GET", "a"); got != "1" {
			t.Errorf("after a restart the key is %v", got)
		}
		s.wipe()
		s.restart()
		if got := s.do("GET", "a"); got != nil {
			t.Errorf("after a restart without data the key is %v", got)
		}
	})
	t.Run("pause and promote", func(t *testing.T) {
		t.Parallel()
		m := startRedis(t)
		r := startReplica(t, m)
		m.do("SET", "a", "1")
		r.eventually("the key arrives", func() bool { return r.do("GET", "a") == "1" })
		m.pause()
		c := m.client()
		defer func() { _ = c.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := c.WithTimeout(50 * time.Millisecond).Ping(ctx).Err(); err == nil {
			t.Error("a paused server answers")
		}
		m.kill()
		r.promote()
		r.do("SET", "a", "2")
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		set := startSentinels(t)
		set.failOver()
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		set := startCluster(t)
		var addrs []string
		for _, n := range set.nodes {
			addrs = append(addrs, n.addr())
		}
		c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, Protocol: 2})
		defer func() { _ = c.Close() }()
		for _, key := range []string{"a", "b", "c", "d"} {
			if err := c.Set(t.Context(), key, 1, 0).Err(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("wire", func(t *testing.T) {
		t.Parallel()
		s := startRedis(t)
		w := startWire(t, s.addr())
		c := redis.NewClient(&redis.Options{Addr: w.addr(), MaxRetries: -1, Protocol: 2})
		defer func() { _ = c.Close() }()
		if err := c.Incr(t.Context(), "n").Err(); err != nil {
			t.Fatal(err)
		}
		w.lose(1, 0)
		if err := c.Incr(t.Context(), "n").Err(); err == nil {
			t.Error("an answer that was lost arrived")
		}
		w.lose(0, 1)
		if err := c.Incr(t.Context(), "n").Err(); err == nil {
			t.Error("a request that was lost was answered")
		}
		w.lose(0, 0)
		if n, err := c.Incr(t.Context(), "n").Result(); err != nil || n < 2 {
			t.Errorf("afterwards: %d, %v", n, err)
		}
		w.refuse(true)
		if err := c.Ping(t.Context()).Err(); err == nil {
			t.Error("a wire that refuses answers")
		}
	})
}
