package ratelimit

// A master that dies with what it had acknowledged, and the store that comes
// in its place.

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A judge is the upstream's own count of what arrived.
type judge struct{ arrived atomic.Int64 }

// flood sends as many messages of one account as the limit lets through, from
// 16 clients over all replicas, until each has been refused in a row, and
// returns how often a call failed as the store was away.
func (f *faultTest) flood(j *judge, account string, claims ...Claim) {
	f.Helper()
	var wg sync.WaitGroup
	deadline := time.Now().Add(40 * time.Second)
	for w := range 16 {
		wg.Go(func() {
			g := f.replicas[w%len(f.replicas)]
			for i, refused := 0, 0; refused < 20 && time.Now().Before(deadline); i++ {
				r := Request{ID: fmt.Sprintf("%s-%d-%d", account, w, i), Account: account, Claims: claims}
				d, err := g.Reserve(f.Context(), r)
				switch {
				case errors.Is(err, ErrUnavailable):
					pause(f.Context(), 5*time.Millisecond)
				case err != nil:
					f.Errorf("reserve: %v", err)
					return
				case d.Verdict == Go:
					refused = 0
					j.arrived.Add(1) // the upstream has it
					if err := g.Keep(f.Context(), r.ID); err != nil {
						f.Errorf("keep: %v", err)
					}
				default:
					refused++
					pause(f.Context(), 5*time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
}

// counted is what the store says of the first claim.
func (f *faultTest) counted(account string, claims ...Claim) int64 {
	f.Helper()
	var used int64
	eventually(f, "the store answers", func() bool {
		d, err := f.replicas[0].Reserve(f.Context(), Request{Account: account, Dry: true, Claims: claims})
		if err == nil {
			used = d.Uses[0].Used
		}
		return err == nil
	})
	return used
}

// TestNothingIsOverWhenAMasterDies kills the master while messages go, with a
// replica that lags: what it had acknowledged is not on the new one.
func TestNothingIsOverWhenAMasterDies(t *testing.T) {
	const allow = 3000
	claims := []Claim{lifetime("life", allow), rolling("roll", allow+100, day)}
	verdict := func(f *faultTest, j *judge) {
		t := f.T
		t.Helper()
		used, arrived := f.counted("anna", claims...), j.arrived.Load()
		if arrived > allow {
			t.Errorf("%d arrived, %d are allowed", arrived, allow)
		}
		if used < arrived {
			t.Errorf("%d are counted, %d arrived", used, arrived)
		}
		if arrived < allow-200 { // what had an unknown end was given back
			t.Errorf("only %d of %d arrived", arrived, allow)
		}
		t.Logf("%d arrived, %d counted, %d allowed; %d times another server took over", arrived, used, allow, f.replicas[0].generation()-1)
	}
	t.Run("promoted by hand", func(t *testing.T) {
		t.Parallel()
		m := startRedis(t)
		r := startReplica(t, m)
		w := startWire(t, m.addr())
		f := guardedReplicas(t, 3, w.url())
		eventually(t, "the replica knows the store", func() bool {
			v, err := r.try("EXISTS", markerKey("q1"))
			return err == nil && v == int64(1)
		})
		var j judge
		var wg sync.WaitGroup
		wg.Go(func() { f.flood(&j, "anna", claims...) })
		eventually(t, "messages go", func() bool { return j.arrived.Load() > 500 })
		r.pause() // it gets nothing any more: all from here on is lost
		before := j.arrived.Load()
		eventually(t, "messages go on", func() bool { return j.arrived.Load() > before+300 })
		m.kill()
		r.resume()
		r.promote()
		w.lead(r.addr())
		wg.Wait()
		verdict(f, &j)
	})
	t.Run("promoted by Sentinel", func(t *testing.T) {
		t.Parallel()
		set := startSentinels(t)
		f := guardedReplicas(t, 3, set.url())
		var j judge
		var wg sync.WaitGroup
		wg.Go(func() { f.flood(&j, "anna", claims...) })
		eventually(t, "messages go", func() bool { return j.arrived.Load() > 1000 })
		set.failOver()
		wg.Wait()
		verdict(f, &j)
	})
	t.Run("started again from an old file", func(t *testing.T) {
		t.Parallel()
		s := startRedis(t)
		f := guardedReplicas(t, 3, s.url())
		var j judge
		var wg sync.WaitGroup
		wg.Go(func() { f.flood(&j, "anna", claims...) })
		eventually(t, "messages go", func() bool { return j.arrived.Load() > 500 })
		s.do("SAVE")
		before := j.arrived.Load()
		eventually(t, "messages go on", func() bool { return j.arrived.Load() > before+300 })
		s.kill()
		s.restart()
		wg.Wait()
		verdict(f, &j)
	})
	t.Run("a shard of a cluster started again from an old file", func(t *testing.T) {
		t.Parallel()
		set := startCluster(t, "cluster-require-full-coverage yes")
		f := guardedReplicas(t, 3, set.url())
		var j judge
		var wg sync.WaitGroup
		wg.Go(func() { f.flood(&j, "anna", claims...) })
		eventually(t, "messages go", func() bool { return j.arrived.Load() > 500 })
		for _, n := range set.nodes {
			n.do("SAVE")
		}
		before := j.arrived.Load()
		eventually(t, "messages go on", func() bool { return j.arrived.Load() > before+300 })
		for _, n := range set.nodes {
			n.kill()
			n.restart()
		}
		wg.Wait()
		verdict(f, &j)
	})
}

// A server that comes back with nothing hands out nothing.
func TestARedisWithoutItsDataHandsOutNothing(t *testing.T) {
	lose := map[string]func(s *redisServer){
		"started again without its file": func(s *redisServer) { s.wipe(); s.restart() },
		"flushed":                        func(s *redisServer) { s.do("FLUSHALL") },
	}
	for name, lose := range lose {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t, "appendonly yes")
			f := guardedReplicas(t, 2, s.url())
			f.flood(&judge{}, "anna", lifetime("life", 5))
			lose(s)
			eventually(t, "the loss is noticed", func() bool { return strings.Count(f.log.String(), "came back without what it had counted") == 2 })
			for _, g := range f.replicas {
				if _, err := g.Reserve(t.Context(), Request{ID: "x", Account: "ben", Claims: []Claim{lifetime("life", 5)}}); !errors.Is(err, ErrForgot) || !errors.Is(err, ErrUnavailable) {
					t.Errorf("%v", err)
				}
			}
			if err := f.replicas[0].AcceptEmpty(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.ready()
			var j judge
			f.flood(&j, "anna", lifetime("life", 5)) // the journals know what was sent just now
			if n := j.arrived.Load(); n != 0 {
				t.Errorf("%d arrived beyond the limit", n)
			}
			f.flood(&j, "ben", lifetime("life", 5))
			if n := j.arrived.Load(); n != 5 {
				t.Errorf("%d arrived, 5 are allowed", n)
			}
		})
	}
}

// The new server's clock is behind: a window that was full stays full.
func TestAClockBehindAfterAFailoverOpensNothing(t *testing.T) {
	s := startRedis(t, "appendonly yes", "appendfsync always")
	clock := &fakeClock{ms: t0}
	store := openRedisAt(t, s.url(), Options{Now: clock.now})
	claims := func() []Claim {
		c := Claim{Limit: "minute", Measure: Calendar, Unit: "minute", Cost: 1, Allow: 2, Windows: new([3]Window)}
		at := clock.now().UnixMilli()
		for i := range c.Windows {
			start := at - at%minute + int64(i-1)*minute
			c.Windows[i] = Window{time.UnixMilli(start).UTC().Format("2006-01-02T15:04"), start, start + minute}
		}
		return []Claim{c, rolling("roll", 2, minute)}
	}
	send := func(id string) Verdict {
		d, err := store.Reserve(t.Context(), Request{ID: id, Account: "anna", Claims: claims()})
		if err != nil {
			t.Fatal(err)
		}
		return d.Verdict
	}
	for _, id := range []string{"a", "b"} {
		if v := send(id); v != Go {
			t.Fatalf("%v", v)
		}
	}
	s.kill()
	s.restart()
	clock.add(-30 * second) // into the minute before
	if v := send("c"); v != Refused {
		t.Errorf("with a clock behind: %v", v)
	}
	clock.add(30*second + 59*second)
	if v := send("d"); v != Refused {
		t.Errorf("in the same minute: %v", v)
	}
	clock.add(1 * second)
	if v := send("e"); v != Go {
		t.Errorf("a minute later: %v", v)
	}
}
