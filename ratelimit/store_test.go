package ratelimit

// What every store must do. The same tests run against each of them.

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A fakeClock is a wall clock that only a test moves.
type fakeClock struct {
	mu sync.Mutex
	ms int64
}

// t0 is Monday, 2026-11-23, 00:00 UTC.
const t0 = 1_795_392_000_000

const (
	second = 1000
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.UnixMilli(c.ms)
}

func (c *fakeClock) set(ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ms = ms
}

func (c *fakeClock) add(ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ms += ms
}

// A testStore is a store under test with its clock.
type testStore struct {
	Store
	t     testing.TB
	clock *fakeClock
	n     int
}

func openers(t testing.TB) map[string]func(Options) Store {
	return map[string]func(Options) Store{
		"memory": func(o Options) Store { return NewMemory(o) },
		"embedded": func(o Options) Store {
			s, err := OpenEmbedded(filepath.Join(t.TempDir(), "ledger.db"), o)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		"redis":     func(o Options) Store { return openShared(t, o) },
		"miniredis": func(o Options) Store { return openMini(t, o) },
	}
}

// eachStore runs a test against every store.
func eachStore(t *testing.T, f func(s *testStore)) { eachOf(t, openers(t), f) }

// eachEngine runs a test that looks into the engine of a store in process.
func eachEngine(t *testing.T, f func(s *testStore)) {
	stores := openers(t)
	delete(stores, "redis")
	delete(stores, "miniredis")
	eachOf(t, stores, f)
}

func eachOf(t *testing.T, stores map[string]func(Options) Store, f func(s *testStore)) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &fakeClock{ms: t0}
			s := &testStore{Store: open(Options{Now: c.now, Log: slog.New(slog.DiscardHandler)}), t: t, clock: c}
			f(s)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// days are the UTC days around a time.
func days(ms int64) *[3]Window {
	w := new([3]Window)
	start := ms - ms%day
	for i := range w {
		s := start + int64(i-1)*day
		w[i] = Window{time.UnixMilli(s).UTC().Format("2006-01-02"), s, s + day}
	}
	return w
}

func (s *testStore) daily(limit string, allow int64) Claim {
	return Claim{Limit: limit, Measure: Calendar, Unit: "day", Cost: 1, Allow: allow, Windows: days(s.clock.now().UnixMilli())}
}

func rolling(limit string, allow, span int64) Claim {
	return Claim{Limit: limit, Measure: Rolling, Cost: 1, Allow: allow, Span: span}
}

func lifetime(limit string, allow int64) Claim {
	return Claim{Limit: limit, Measure: Lifetime, Cost: 1, Allow: allow}
}

func pace(limit string, span int64) Claim {
	return Claim{Limit: limit, Measure: Pace, Cost: 1, Span: span}
}

func (c Claim) waiting(ms int64) Claim  { c.Wait = ms; return c }
func (c Claim) costing(n int64) Claim   { c.Cost = n; return c }
func (c Claim) by(key string) Claim     { c.Key = key; return c }
func (c Claim) ofItem(n int) Claim      { c.Item = n; return c }
func (c Claim) warning(at int64) Claim  { c.WarnAt = at; return c }
func (c Claim) shadow() Claim           { c.Shadow = true; return c }
func (c Claim) jittered(ms int64) Claim { c.Jitter = ms; return c }

// ask reserves for account "anna" under a new id.
func (s *testStore) ask(claims ...Claim) (Decision, string) {
	s.t.Helper()
	s.n++
	id := fmt.Sprint("r", s.n)
	return s.request(Request{ID: id, Account: "anna", Claims: claims}), id
}

func (s *testStore) request(r Request) Decision {
	s.t.Helper()
	d, err := s.Reserve(context.Background(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// look is a dry request.
func (s *testStore) look(claims ...Claim) Decision {
	s.t.Helper()
	return s.request(Request{Account: "anna", Claims: claims, Dry: true})
}

func (s *testStore) fire(id string) Decision {
	s.t.Helper()
	d, err := s.Fire(context.Background(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *testStore) cancel(id string) {
	s.t.Helper()
	if err := s.Cancel(context.Background(), id); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testStore) cancelItems(id string, items ...int) {
	s.t.Helper()
	if err := s.CancelItems(context.Background(), id, items); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testStore) keep(id string) {
	s.t.Helper()
	if err := s.Keep(context.Background(), id); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testStore) pause(account string, h *Hold) {
	s.t.Helper()
	if err := s.Pause(context.Background(), account, h); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testStore) want(d Decision, v Verdict, at int64, limit string) {
	s.t.Helper()
	if d.Verdict != v || d.At != at || d.Limit != limit {
		s.t.Errorf("got %v at t0%+d for %q, want %v at t0%+d for %q", d.Verdict, d.At-t0, d.Limit, v, at-t0, limit)
	}
}

func TestAnAllowanceIsSpentAndReturnsAtMidnight(t *testing.T) {
	eachStore(t, func(s *testStore) {
		for i := range 3 {
			d, _ := s.ask(s.daily("day", 3))
			s.want(d, Go, t0, "")
			if d.Uses[0].Used != int64(i+1) || d.Uses[0].Resets != t0+day {
				t.Errorf("use %d: %+v", i, d.Uses[0])
			}
		}
		d, _ := s.ask(s.daily("day", 3))
		s.want(d, Refused, t0+day, "day")
		s.clock.add(day - 1)
		d, _ = s.ask(s.daily("day", 3))
		s.want(d, Refused, t0+day, "day")
		s.clock.add(1)
		d, _ = s.ask(s.daily("day", 3))
		s.want(d, Go, t0+day, "")
	})
}
