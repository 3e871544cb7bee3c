package ratelimit

// A shared store that fails as a test asks it to, for replicas in one process
// and in fake time.

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A fakeServer is what several replicas share: the data of one master.
type fakeServer struct {
	mu         sync.Mutex
	data       *Memory
	charged    map[string]bool // ids that Charge has taken
	generation uint64
	marker     string
	beats      map[string]time.Time
	settled    map[string]string
	reserves   atomic.Int64

	fail error // every call fails with it
	lost bool  // calls are carried out, and their answer never comes
	hang bool  // calls are not carried out, and their answer never comes
	// stuck are calls that a frozen server has in its sockets.
	freeze bool
	stuck  []func()
}

func newFakeServer() *fakeServer {
	s := &fakeServer{}
	s.replace("")
	return s
}

// replace is another master without the data of this one.
func (s *fakeServer) replace(marker string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data, s.charged = NewMemory(Options{}), map[string]bool{}
	s.generation++
	s.marker = marker
}

func (s *fakeServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// thaw carries out what was stuck, the latest first.
func (s *fakeServer) thaw() {
	s.mu.Lock()
	stuck := s.stuck
	s.freeze, s.stuck = false, nil
	s.mu.Unlock()
	for _, f := range slices.Backward(stuck) {
		f()
	}
}

// used is what a lifetime limit of anna's has counted.
func (s *fakeServer) used(t testing.TB, limit string) int64 {
	t.Helper()
	d, err := s.data.Reserve(context.Background(), Request{Account: "anna", Dry: true, Claims: []Claim{lifetime(limit, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	return d.Uses[0].Used
}

// fakePrimary is one replica's connection to it.
type fakePrimary struct{ s *fakeServer }

func reach[T any](ctx context.Context, p fakePrimary, f func(m *Memory) (T, error)) (T, error) {
	var none T
	s := p.s
	s.mu.Lock()
	fail, lost, hang, freeze, m := s.fail, s.lost, s.hang, s.freeze, s.data
	if freeze {
		s.stuck = append(s.stuck, func() { _, _ = f(s.data) })
	}
	s.mu.Unlock()
	switch {
	case fail != nil:
		return none, fail
	case lost:
		_, _ = f(m)
		fallthrough
	case hang || freeze:
		<-ctx.Done()
		return none, ctx.Err()
	}
	return f(m)
}

func nothing(err error) (struct{}, error) { return struct{}{}, err }

func (p fakePrimary) Reserve(ctx context.Context, r Request) (Decision, error) {
	p.s.reserves.Add(1)
	return reach(ctx, p, func(m *Memory) (Decision, error) { return m.Reserve(context.Background(), r) })
}
func (p fakePrimary) Fire(ctx context.Context, id string) (Decision, error) {
	return reach(ctx, p, func(m *Memory) (Decision, error) { return m.Fire(context.Background(), id) })
}
func (p fakePrimary) Keep(ctx context.Context, id string) error {
	_, err := reach(ctx, p, func(m *Memory) (struct{}, error) { return nothing(m.Keep(context.Background(), id)) })
	return err
}
func (p fakePrimary) Cancel(ctx context.Context, id string) error {
	_, err := reach(ctx, p, func(m *Memory) (struct{}, error) { return nothing(m.Cancel(context.Background(), id)) })
	return err
}
func (p fakePrimary) CancelItems(ctx context.Context, id string, items []int) error {
	_, err := reach(ctx, p, func(m *Memory) (struct{}, error) { return nothing(m.CancelItems(context.Background(), id, items)) })
	return err
}
func (p fakePrimary) Resolve(ctx context.Context, names []string) (string, error) {
	return reach(ctx, p, func(m *Memory) (string, error) { return m.Resolve(context.Background(), names) })
}
func (p fakePrimary) Pause(ctx context.Context, account string, h *Hold) error {
	_, err := reach(ctx, p, func(m *Memory) (struct{}, error) { return nothing(m.Pause(context.Background(), account, h)) })
	return err
}
func (p fakePrimary) Cool(ctx context.Context, c Cooling) (Hold, error) {
	return reach(ctx, p, func(m *Memory) (Hold, error) { return m.Cool(context.Background(), c) })
}
func (p fakePrimary) Observe(ctx context.Context, e Event) error {
	_, err := reach(ctx, p, func(m *Memory) (struct{}, error) { return nothing(m.Observe(context.Background(), e)) })
	return err
}
func (p fakePrimary) Give(ctx context.Context, account string, gift Gift) error {
	_, err := reach(ctx, p, func(m *Memory) (struct{}, error) { return nothing(m.Give(context.Background(), account, gift)) })
	return err
}
func (p fakePrimary) Accounts(ctx context.Context) ([]string, error) {
	return reach(ctx, p, func(m *Memory) ([]string, error) { return m.Accounts(context.Background()) })
}
func (p fakePrimary) Close() error { return nil }

// Charge counts a request whatever the room: all its claims as shadows of
// themselves, which are charged and never decide.
func (p fakePrimary) Charge(ctx context.Context, r Request, _ int64) error {
	_, err := reach(ctx, p, func(m *Memory) (struct{}, error) { return nothing(forceCharge(p.s, m, r)) })
	return err
}

func forceCharge(s *fakeServer, m *Memory, r Request) error {
	s.mu.Lock()
	known := s.charged[r.ID]
	s.mu.Unlock()
	if known {
		return nil
	}
	r.Claims = slices.Clone(r.Claims)
	for i := range r.Claims {
		r.Claims[i].Shadow = true
	}
	d, err := m.Reserve(context.Background(), r) // nothing if the id is open
	if err != nil {
		return err
	}
	s.set(func() { s.charged[r.ID] = true })
	if d.Repeated {
		return nil
	}
	return m.Keep(context.Background(), r.ID)
}

func (p fakePrimary) generation() uint64 {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return p.s.generation
}

func (p fakePrimary) beat(ctx context.Context, replica string, ttl int64, settled string) (rollCall, error) {
	return reach(ctx, p, func(*Memory) (rollCall, error) {
		s := p.s
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.beats == nil {
			s.beats, s.settled = map[string]time.Time{}, map[string]string{}
		}
		now := time.Now()
		s.beats[replica], s.settled[replica] = now, settled
		maps.DeleteFunc(s.beats, func(_ string, at time.Time) bool { return now.Sub(at).Milliseconds() > ttl })
		return rollCall{
			Now: now.UnixMilli(), State: fmt.Sprint("master ", s.generation), Marker: s.marker,
			Replicas: slices.Sorted(maps.Keys(s.beats)), Settled: maps.Clone(s.settled),
		}, nil
	})
}

func (p fakePrimary) inspect(context.Context) []finding { return nil }

func (p fakePrimary) leave(_ context.Context, replica string) error {
	p.s.set(func() { delete(p.s.beats, replica) })
	return nil
}

func (p fakePrimary) mark(ctx context.Context, marker, was string) (string, error) {
	return reach(ctx, p, func(*Memory) (string, error) {
		p.s.mu.Lock()
		defer p.s.mu.Unlock()
		if p.s.marker == was {
			p.s.marker = marker
		}
		return p.s.marker, nil
	})
}

// A logged is a log that a test reads.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
