package ratelimit

// Tests of the tests: each breaks the Redis store in a way that limiters in the
// field are broken, and asks that the property which the break violates is
// seen to be violated. The same property holds for the store as it is.

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// mutate replaces a part of the script, which must be in it once.
func (s *Redis) mutate(t testing.TB, from, to string) {
	t.Helper()
	clock := ""
	if s.tested {
		clock = argumentClock
	}
	text, err := scriptText(clock)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(text, from); n != 1 {
		t.Fatalf("the script has %q %d times: this mutation has to follow it", from, n)
	}
	s.script = redis.NewScript(strings.Replace(text, from, to, 1))
}

// mutation asks for a property of the store as it is and of the broken one.
func mutation(t *testing.T, property func(t *testing.T, broken bool) error) {
	t.Helper()
	if err := property(t, false); err != nil {
		t.Errorf("the store as it is: %v", err)
	}
	if err := property(t, true); err == nil {
		t.Error("the broken store passes: nothing would notice")
	} else {
		t.Logf("the broken store is found out: %v", err)
	}
}

func TestAStoreThatForgetsIdsIsFoundOut(t *testing.T) {
	mutation(t, func(t *testing.T, broken bool) error {
		s := openShared(t, Options{})
		if broken {
			s.mutate(t, "local text = call('GET', idKey)\nif text then", "local text\nif text then")
		}
		r := Request{ID: "a", Account: "anna", Claims: []Claim{lifetime("life", 10)}}
		var d Decision
		var err error
		for range 3 { // as a client that sends again, or a retry on the wire
			if d, err = s.Reserve(t.Context(), r); err != nil {
				return err
			}
		}
		if d.Uses[0].Used != 1 || !d.Repeated {
			return fmt.Errorf("one message asked three times is counted %d times", d.Uses[0].Used)
		}
		return nil
	})
}

func TestAStoreWithTheClientsClockIsFoundOut(t *testing.T) {
	mutation(t, func(t *testing.T, broken bool) error {
		url, err := sharedRedis()
		if err != nil {
			return err
		}
		prefix := fmt.Sprint("t", prefixes.Add(1))
		for replica, ahead := range []time.Duration{0, 24 * time.Hour} { // the second proxy's clock is a day ahead
			now := func() time.Time { return time.Now().Add(ahead) }
			s, err := OpenRedis(t.Context(), url, RedisOptions{Options: Options{Now: now}, Prefix: prefix, argumentClock: broken})
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			d, err := s.Reserve(t.Context(), Request{ID: fmt.Sprint(replica), Account: "anna", Claims: []Claim{
				{Limit: "day", Measure: Calendar, Unit: "day", Cost: 1, Allow: 1, Windows: days(now().UnixMilli())},
			}})
			if err != nil {
				return err
			}
			if replica == 1 && d.Verdict == Go {
				return fmt.Errorf("a proxy whose clock is ahead has tomorrow's quota today")
			}
		}
		return nil
	})
}

func TestAMonthOfThirtyDaysIsFoundOut(t *testing.T) {
	mutation(t, func(t *testing.T, broken bool) error {
		server := miniredis.RunT(t)
		start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
		clock := &fakeClock{ms: start.UnixMilli()}
		s := openRedisAt(t, "redis://"+server.Addr(), Options{Now: clock.now})
		if broken {
			s.mutate(t, "call('PEXPIRE', a.key, format('%d', set - now))", "call('PEXPIRE', a.key, '2592000000')")
		}
		month := Claim{Limit: "month", Measure: Calendar, Unit: "month", Cost: 1, Allow: 1, Windows: new([3]Window)}
		for i := range month.Windows {
			from := start.AddDate(0, i-1, 0)
			month.Windows[i] = Window{from.Format("2006-01"), from.UnixMilli(), from.AddDate(0, 1, 0).UnixMilli()}
		}
		for i, day := range []int64{0, 30} { // the 1st and the 31st
			clock.set(start.UnixMilli() + day*24*hour + hour)
			server.FastForward(time.Duration(day) * 24 * time.Hour)
			d, err := s.Reserve(t.Context(), Request{ID: fmt.Sprint(i), Account: "anna", Claims: []Claim{month}})
			if err != nil {
				return err
			}
			if i == 1 && d.Verdict == Go {
				return fmt.Errorf("on the 31st the month's quota is open again")
			}
		}
		return nil
	})
}

// twoCalls looks first and writes then, as a limiter on single commands does.
// All callers have looked before one of them writes: that it may happen is what
// is wrong with it.
type twoCalls struct {
	*Redis
	looked *turnstile
}

// A turnstile lets so many through once all of them are there, again and again.
type turnstile struct {
	of   int
	mu   sync.Mutex
	here int
	open chan struct{}
}

func (b *turnstile) pass() {
	b.mu.Lock()
	if b.open == nil {
		b.open = make(chan struct{})
	}
	open := b.open
	if b.here++; b.here == b.of {
		b.here, b.open = 0, nil
		close(open)
	}
	b.mu.Unlock()
	<-open
}

func (s twoCalls) Reserve(ctx context.Context, r Request) (Decision, error) {
	look := r
	look.Dry = true
	d, err := s.Redis.Reserve(ctx, look)
	s.looked.pass()
	if err == nil && d.Verdict == Go {
		err = s.Charge(ctx, r, d.Now)
	}
	return d, err
}

func TestAStoreThatLooksAndThenWritesIsFoundOut(t *testing.T) {
	mutation(t, func(t *testing.T, broken bool) error {
		const allow, callers = 50, 16
		redis := openShared(t, Options{})
		var s Store = redis
		if broken {
			s = twoCalls{redis, &turnstile{of: callers}}
		}
		var sent atomic.Int64
		var wg sync.WaitGroup
		for w := range callers {
			wg.Go(func() {
				for i := range 10 {
					d, err := s.Reserve(t.Context(), Request{ID: fmt.Sprint(w, "-", i), Account: "anna", Claims: []Claim{lifetime("life", allow)}})
					if err != nil {
						t.Error(err)
					} else if d.Verdict == Go {
						sent.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := sent.Load(); n != allow {
			return fmt.Errorf("%d were let go, %d are allowed", n, allow)
		}
		return nil
	})
}
