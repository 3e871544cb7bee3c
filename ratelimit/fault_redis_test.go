package ratelimit

// What breaks between the proxies and a real Redis, and in it, while sixteen
// callers on two replicas of the proxy use one account: the history stays
// linearizable, nothing goes over, and in the end the store has counted what
// was sent and nothing else.

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"
)

// A faultTest is two replicas on one Redis.
type faultTest struct {
	*testing.T
	log      *logged
	replicas []*Guarded
}

// guardedReplicas opens n guarded stores of their own at an address.
func guardedReplicas(t *testing.T, n int, url string) *faultTest {
	t.Helper()
	f := &faultTest{T: t, log: &logged{}}
	for range n {
		f.replicas = append(f.replicas, f.open(url, GuardedOptions{}))
	}
	f.ready()
	return f
}

func (f *faultTest) open(url string, o GuardedOptions) *Guarded {
	f.Helper()
	o.Options.Log = slog.New(slog.NewTextHandler(f.log, nil))
	s, err := OpenRedis(context.Background(), url, RedisOptions{Options: o.Options})
	if err != nil {
		f.Fatal(err)
	}
	if o.Beat == 0 {
		o.Beat = 100 * time.Millisecond
	}
	g, err := NewGuarded(s, nil, o)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := g.Close(); err != nil {
			f.Error(err)
		}
		if f.Failed() && len(f.replicas) > 0 {
			f.replicas = nil // once
			f.Logf("the log:\n%s", f.log)
		}
	})
	return g
}

// ready waits until all replicas decide and know each other.
func (f *faultTest) ready() {
	f.Helper()
	eventually(f, "the replicas decide", func() bool {
		for _, g := range f.replicas {
			if g.gate.closed() != nil || g.superseded() || g.Replicas() != len(f.replicas) {
				return false
			}
		}
		return true
	})
}

// under runs histories while trouble goes on: it is called again and again
// until a history has ended, once at least for each.
func (f *faultTest) under(trouble func(round int)) {
	f.Helper()
	linearizable(f, linearRounds(), func(seed uint64) *linearRun {
		l := &linearRun{t: f, account: fmt.Sprint("anna", seed), ops: 150}
		for _, g := range f.replicas {
			l.stores = append(l.stores, g)
		}
		ctx, stop := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			for round := 0; ; round++ {
				trouble(round)
				if ctx.Err() != nil {
					return
				}
			}
		})
		l.run(seed)
		stop()
		wg.Wait()
		return l
	})
}

func TestLinearizableOnRedis(t *testing.T) {
	t.Run("undisturbed", func(t *testing.T) {
		t.Parallel()
		f := guardedReplicas(t, 2, startRedis(t).url())
		f.under(func(int) { pause(t.Context(), time.Millisecond) })
	})
	t.Run("stopped for 250 ms", func(t *testing.T) {
		t.Parallel()
		s := startRedis(t)
		f := guardedReplicas(t, 2, s.url())
		f.under(func(int) {
			pause(t.Context(), 20*time.Millisecond)
			s.pause()
			pause(t.Context(), 250*time.Millisecond)
			s.resume()
		})
	})
	t.Run("stopped for a second", func(t *testing.T) {
		t.Parallel()
		s := startRedis(t)
		f := guardedReplicas(t, 2, s.url())
		f.under(func(int) {
			pause(t.Context(), 30*time.Millisecond)
			s.pause()
			pause(t.Context(), time.Second)
			s.resume()
		})
	})
	t.Run("connections cut in the middle of the script", func(t *testing.T) {
		t.Parallel()
		w := startWire(t, startRedis(t).addr())
		f := guardedReplicas(t, 2, w.url())
		f.under(func(int) {
			w.lose(0.02, 0.02)
			pause(t.Context(), 5*time.Millisecond)
		})
		if w.broken() == 0 {
			t.Error("no connection was cut")
		}
	})
	t.Run("script flushed", func(t *testing.T) {
		t.Parallel()
		s := startRedis(t)
		f := guardedReplicas(t, 2, s.url())
		f.under(func(int) {
			s.insist("SCRIPT", "FLUSH")
			pause(t.Context(), 5*time.Millisecond)
		})
	})
	t.Run("killed and started again with its data", func(t *testing.T) {
		t.Parallel()
		s := startRedis(t, "appendonly yes", "appendfsync always")
		f := guardedReplicas(t, 2, s.url())
		f.under(func(int) {
			pause(t.Context(), 50*time.Millisecond)
			s.kill()
			s.restart()
			pause(t.Context(), 500*time.Millisecond)
		})
	})
	t.Run("read-only for a while", func(t *testing.T) {
		t.Parallel()
		s := startRedis(t, "replica-serve-stale-data yes")
		f := guardedReplicas(t, 2, s.url())
		f.under(func(int) {
			pause(t.Context(), 30*time.Millisecond)
			s.insist("REPLICAOF", "127.0.0.1", "1") // nobody there: it keeps what it has
			pause(t.Context(), 100*time.Millisecond)
			s.insist("REPLICAOF", "NO", "ONE")
			pause(t.Context(), 500*time.Millisecond)
		})
	})
	t.Run("out of memory for a while", func(t *testing.T) {
		t.Parallel()
		s := startRedis(t)
		f := guardedReplicas(t, 2, s.url())
		f.under(func(int) {
			pause(t.Context(), 30*time.Millisecond)
			s.insist("CONFIG", "SET", "maxmemory", "1")
			pause(t.Context(), 100*time.Millisecond)
			s.insist("CONFIG", "SET", "maxmemory", "0")
			pause(t.Context(), 300*time.Millisecond)
		})
	})
}
