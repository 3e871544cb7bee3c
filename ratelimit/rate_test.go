package ratelimit

// What Rates must do, in process and in Redis: the same tests over all of
// them, on a clock that the test moves where there is one.

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// A ratesUnderTest counts, and its time passes as the test says.
type ratesUnderTest struct {
	Rates
	*testing.T
	advance func(time.Duration)
	// passed bounds how much time went by while the test did something: 0 on
	// a clock that stands still.
	passed func() time.Duration
}

// ratesUnit is the time in which these tests earn one request: no machine is so
// busy that it earns one unseen on the real server's clock.
const ratesUnit = time.Hour

func eachRates(t *testing.T, f func(s *ratesUnderTest)) {
	still := func() time.Duration { return 0 }
	t.Run("local", func(t *testing.T) {
		c := &fakeClock{ms: t0}
		f(&ratesUnderTest{NewLocalRates(Options{Now: c.now}), t, func(d time.Duration) { c.add(d.Milliseconds()) }, still})
	})
	t.Run("miniredis", func(t *testing.T) {
		m, client := miniRates(t)
		now := time.UnixMilli(t0)
		f(&ratesUnderTest{newRedisRates(client), t, func(d time.Duration) {
			now = now.Add(d)
			m.SetTime(now)
			m.FastForward(d)
		}, still})
	})
	t.Run("redis", func(t *testing.T) {
		start := time.Now()
		client := onceClient(t, startRedis(t).addr(), 30*time.Second)
		f(&ratesUnderTest{newRedisRates(client), t, func(d time.Duration) {
			// Its clock is the machine's: what is earned by waiting is earned
			// by having asked earlier. redis_rate notes when, in seconds.
			for _, key := range client.Keys(context.Background(), "rate:*").Val() {
				if err := client.IncrByFloat(context.Background(), key, -d.Seconds()).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}, func() time.Duration { return time.Since(start) }})
	})
}

func miniRates(t testing.TB) (*miniredis.Miniredis, *redis.Client) {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	m.SetTime(time.UnixMilli(t0))
	return m, onceClient(t, m.Addr(), 30*time.Second)
}

// onceClient repeats nothing by itself.
func onceClient(t testing.TB, addr string, patience time.Duration) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ReadTimeout: patience, DialTimeout: patience})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// unit is a rate that earns one request in every ratesUnit.
func unit(burst int64) Rate {
	return Rate{Limit: "unit", Key: "unit", N: 10, Per: 10 * ratesUnit.Milliseconds(), Burst: burst}
}

func (s *ratesUnderTest) take(r Rate, n int64) (wait time.Duration, never bool) {
	s.Helper()
	wait, never, err := s.Take(context.Background(), r, n)
	if err != nil {
		s.Fatal(err)
	}
	return wait, never
}

func (s *ratesUnderTest) takes(r Rate, n int64) {
	s.Helper()
	if wait, never := s.take(r, n); wait != 0 || never {
		s.Fatalf("taking %d: wait %v, never %v", n, wait, never)
	}
}

// waits wants to be told to wait so long, less the time that passed since the
// rate was first asked. redis_rate's sums are off by less than a millisecond.
func (s *ratesUnderTest) waits(r Rate, n int64, want time.Duration) {
	s.Helper()
	wait, never := s.take(r, n)
	if never || wait > want+time.Millisecond || wait < want-s.passed()-time.Millisecond || wait <= 0 {
		s.Fatalf("taking %d: wait %v, never %v; want a wait of %v", n, wait, never, want)
	}
}

func TestRateLetsTheBurstThroughAndThenOneForEachEarned(t *testing.T) {
	eachRates(t, func(s *ratesUnderTest) {
		r := unit(4)
		for range 4 {
			s.takes(r, 1)
		}
		s.waits(r, 1, ratesUnit)
		s.advance(ratesUnit)
		s.takes(r, 1)
		s.waits(r, 1, ratesUnit)
		s.advance(20 * ratesUnit) // no more than the burst is ever saved up
		for range 4 {
			s.takes(r, 1)
		}
		s.waits(r, 1, ratesUnit)
	})
}

func TestRateBurstIsNWhereNoneIsGiven(t *testing.T) {
	eachRates(t, func(s *ratesUnderTest) {
		r := Rate{Limit: "day", Key: "day", N: 3, Per: day}
		for range 3 {
			s.takes(r, 1)
		}
		s.waits(r, 1, 8*time.Hour)
	})
}

func TestRateTakesSeveralOrNone(t *testing.T) {
	eachRates(t, func(s *ratesUnderTest) {
		r := Rate{Limit: "hour", Key: "hour", N: 6, Per: hour, Burst: 5}
		s.takes(r, 3)
		for range 5 { // what is refused takes nothing
			s.waits(r, 3, 10*time.Minute)
		}
		s.takes(r, 2)
		s.waits(r, 5, 50*time.Minute)
	})
}

func TestRateNeverLetsThroughWhatCanNotFit(t *testing.T) {
	eachRates(t, func(s *ratesUnderTest) {
		for _, c := range []struct {
			r Rate
			n int64
		}{
			{Rate{Key: "none", N: 0, Per: hour}, 1},
			{Rate{Key: "none", N: 0, Per: hour, Burst: 5}, 1},
			{Rate{Key: "below", N: -3, Per: hour}, 1},
			{Rate{Key: "burst", N: 6, Per: minute}, 7},
			{Rate{Key: "burst", N: 60, Per: minute, Burst: 2}, 3},
		} {
			if wait, never := s.take(c.r, c.n); !never || wait != 0 {
				s.Errorf("%+v, %d: wait %v, never %v", c.r, c.n, wait, never)
			}
		}
		s.takes(Rate{Key: "burst", N: 6, Per: minute}, 6) // nothing was taken by asking
	})
}

func TestRateOfNothingIsFree(t *testing.T) {
	eachRates(t, func(s *ratesUnderTest) {
		r := Rate{Key: "k", N: 2, Per: hour}
		s.takes(r, 0)
		s.takes(r, 2)
		s.takes(r, 0)
		s.takes(Rate{Key: "none", N: 0, Per: hour}, 0)
	})
}

func TestRateThatNobodyCanMeanIsInvalid(t *testing.T) {
	eachRates(t, func(s *ratesUnderTest) {
		for _, c := range []struct {
			r Rate
			n int64
		}{
			{Rate{N: 1, Per: 0}, 1},
			{Rate{N: 1, Per: -5}, 1},
			{Rate{N: 1, Per: 1, Burst: -1}, 1},
			{Rate{N: 5, Per: minute}, -1},
			{Rate{N: 10_000_000, Per: second}, 1},
			{Rate{N: 1, Per: 400 * 365 * day}, 1},
			{Rate{N: math.MaxInt64, Per: math.MaxInt64}, 1},
			{Rate{N: 1, Per: day, Burst: 1 << 40}, 1},
		} {
			if _, _, err := s.Take(context.Background(), c.r, c.n); !errors.Is(err, ErrInvalid) {
				s.Errorf("%+v, %d: %v", c.r, c.n, err)
			}
		}
	})
}

func TestRatesAreCountedApart(t *testing.T) {
	eachRates(t, func(s *ratesUnderTest) {
		// One a day, used up; then the plan is one an hour: it must not wait
		// for tomorrow, as redis_rate by itself does (23h59m59s).
		s.takes(Rate{Key: "a", N: 1, Per: day}, 1)
		s.takes(Rate{Key: "a", N: 1, Per: hour}, 1)
		s.waits(Rate{Key: "a", N: 1, Per: hour}, 1, time.Hour)
		s.waits(Rate{Key: "a", N: 1, Per: day}, 1, 24*time.Hour)
		s.takes(Rate{Key: "b", N: 1, Per: day}, 1)
	})
}

func TestRateIsNeverOverHoweverManyAsk(t *testing.T) {
	eachRates(t, func(s *ratesUnderTest) {
		r := Rate{Key: "k", N: 20, Per: day}
		var through atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					wait, never, err := s.Take(context.Background(), r, 1)
					if err != nil || never {
						s.Error(never, err)
					} else if wait == 0 {
						through.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := through.Load(); n != 20 {
			s.Errorf("%d went through at once, of a burst of 20", n)
		}
	})
}

// Both count alike, whatever is asked and whenever. A millisecond is what
// redis_rate's floating point may be off by.
func TestRatesInProcessAndInRedisAreTheSame(t *testing.T) {
	m, client := miniRates(t)
	rapid.Check(t, func(t *rapid.T) {
		m.FlushAll()
		now := int64(t0)
		m.SetTime(time.UnixMilli(now))
		clock := &fakeClock{ms: now}
		local, shared := NewLocalRates(Options{Now: clock.now}), newRedisRates(client)
		r := Rate{
			Key:   "k",
			N:     rapid.Int64Range(1, 50).Draw(t, "n"),
			Per:   rapid.SampledFrom([]int64{second, minute, hour, 7 * day}).Draw(t, "per"),
			Burst: rapid.Int64Range(0, 20).Draw(t, "burst"),
		}
		for range 30 {
			step := rapid.Int64Range(0, r.Per/r.N).Draw(t, "step")
			clock.add(step)
			now += step
			m.FastForward(time.Duration(step) * time.Millisecond)
			m.SetTime(time.UnixMilli(now))
			n := rapid.Int64Range(0, 4).Draw(t, "cost")
			a, neverA, errA := local.Take(context.Background(), r, n)
			b, neverB, errB := shared.Take(context.Background(), r, n)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			if neverA != neverB || (a-b).Abs() > time.Millisecond {
				t.Fatalf("in process: %v, %v; in Redis: %v, %v", a, neverA, b, neverB)
			}
			if (a == 0) != (b == 0) {
				// Which side of the edge: bring them together again.
				return
			}
		}
	})
}

func TestRateOfAStoppedRedisTakesAtMostOnce(t *testing.T) {
	server := startRedis(t)
	hasty, patient := onceClient(t, server.addr(), 100*time.Millisecond), onceClient(t, server.addr(), 30*time.Second)
	// A repetition would need a connection that stands before the server stops.
	var open []*redis.Conn
	for len(open) < 5 {
		c := hasty.Conn()
		if c.Ping(context.Background()).Err() == nil { // it gives up on a busy machine too
			open = append(open, c)
		}
	}
	for _, c := range open {
		_ = c.Close() // back into the pool
	}
	r := Rate{Limit: "tier", Key: "k", N: 3, Per: day}
	take := func(client *redis.Client) (time.Duration, error) {
		wait, _, err := newRedisRates(client).Take(context.Background(), r, 1)
		return wait, err
	}
	if _, err := take(patient); err != nil { // the script is loaded now
		t.Fatal(err)
	}
	key := patient.Keys(context.Background(), "rate:*").Val()[0]
	first := patient.Get(context.Background(), key).Val()
	server.pause()
	_, err := take(hasty)
	server.resume()
	if err == nil || !strings.Contains(err.Error(), "rate tier") {
		t.Fatalf("a server that stands still: %v", err)
	}
	server.eventually("what waited is carried out", func() bool { return patient.Get(context.Background(), key).Val() != first })
	if wait, err := take(patient); err != nil || wait != 0 {
		t.Errorf("three in all: wait %v, %v; the one that nobody answered was taken more than once", wait, err)
	}
	server.kill()
	if _, err := take(patient); err == nil {
		t.Error("a dead server let it through")
	}
}

func TestRateKeysExpireWhenTheBurstIsEarnedBack(t *testing.T) {
	m, client := miniRates(t)
	s := newRedisRates(client)
	if _, _, err := s.Take(context.Background(), Rate{Key: "a1b2", N: 60, Per: minute, Burst: 5}, 3); err != nil {
		t.Fatal(err)
	}
	const key = "rate:quotagate:{a1b2}:60/60000/5"
	if got := m.Keys(); len(got) != 1 || got[0] != key {
		t.Errorf("keys %q", got)
	}
	if ttl := m.TTL(key); ttl != 3*time.Second {
		t.Errorf("expires in %v", ttl)
	}
}

func TestLocalRatesForgetTheLeastRecentFirst(t *testing.T) {
	c := &fakeClock{ms: t0}
	l := newLocalRates(Options{Now: c.now}, 2)
	take := func(key string) time.Duration {
		wait, _, err := l.Take(context.Background(), Rate{Key: key, N: 1, Per: day}, 1)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	take("a")
	take("b")
	if take("a") == 0 { // asked again: b is the least recent
		t.Fatal("a went through twice")
	}
	take("c")
	if l.at.Len() != 2 || take("a") == 0 {
		t.Errorf("%d remembered; a was forgotten before b", l.at.Len())
	}
}

func TestLocalRatesDoNotStandStillUnderAClockThatWentBack(t *testing.T) {
	c := &fakeClock{ms: t0}
	l := NewLocalRates(Options{Now: c.now})
	r := Rate{Key: "k", N: 2, Per: hour}
	for range 2 {
		if _, _, err := l.Take(context.Background(), r, 1); err != nil {
			t.Fatal(err)
		}
	}
	c.add(-10 * day)
	if wait, _, err := l.Take(context.Background(), r, 1); err != nil || wait != 30*time.Minute {
		t.Errorf("wait %v, %v; the burst was used up just now, so half an hour", wait, err)
	}
}
