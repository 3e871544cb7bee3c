package ratelimit

// The memory store: the engine on maps, under one lock. For rule tests, for
// explain, and for whoever can afford to forget.

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Memory is a Store that keeps everything in memory and forgets it on Close.
type Memory struct {
	mu     sync.Mutex
	shelf  memoryShelf
	engine *engine
	closed bool
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory(o Options) *Memory {
	m := &Memory{shelf: memoryShelf{accounts: map[string]*memoryAccount{}}}
	m.engine = newEngine(o.withDefaults(), &m.shelf)
	return m
}

func (m *Memory) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	return nil
}

// Reserve implements Store.
func (m *Memory) Reserve(ctx context.Context, r Request) (Decision, error) {
	if err := m.enter(ctx); err != nil {
		return Decision{}, err
	}
	defer m.mu.Unlock()
	d, err := m.engine.reserve(&r)
	if err == nil && d.Verdict <= Booked && !r.Dry && !d.Repeated {
		m.shelf.sweep(d.Now)
	}
	return d, err
}

// Fire implements Store.
func (m *Memory) Fire(ctx context.Context, id string) (Decision, error) {
	if err := m.enter(ctx); err != nil {
		return Decision{}, err
	}
	defer m.mu.Unlock()
	return m.engine.fire(id)
}

// Keep implements Store.
func (m *Memory) Keep(ctx context.Context, id string) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.engine.keep(id)
	return nil
}

// Cancel implements Store.
func (m *Memory) Cancel(ctx context.Context, id string) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	return m.engine.cancel(id)
}

// CancelItems implements Store.
func (m *Memory) CancelItems(ctx context.Context, id string, items []int) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	return m.engine.cancelItems(id, items)
}

// Resolve implements Store.
func (m *Memory) Resolve(ctx context.Context, identities []string) (string, error) {
	if err := m.enter(ctx); err != nil {
		return "", err
	}
	defer m.mu.Unlock()
	return m.engine.resolve(identities)
}

// Pause implements Store.
func (m *Memory) Pause(ctx context.Context, account string, h *Hold) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	return m.engine.pause(account, h)
}

// Cool implements Store.
func (m *Memory) Cool(ctx context.Context, c Cooling) (Hold, error) {
	if err := m.enter(ctx); err != nil {
		return Hold{}, err
	}
	defer m.mu.Unlock()
	return m.engine.cool(&c)
}

// Observe implements Store.
func (m *Memory) Observe(ctx context.Context, ev Event) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	return m.engine.observe(&ev)
}

// Give implements Store.
func (m *Memory) Give(ctx context.Context, account string, gift Gift) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	return m.engine.give(account, &gift)
}

// Accounts implements Store.
func (m *Memory) Accounts(ctx context.Context) ([]string, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.shelf.accounts))
	for name, a := range m.shelf.accounts {
		if a.wide.aliasOf == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Close implements Store.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// memoryShelf is every account's records. The engine creates the account-wide
// record before any other.
type memoryShelf struct {
	accounts map[string]*memoryAccount
	keyed    []*record // all that have a key, in the order of the sweep
	made     int       // of them since the last sweep
}

type memoryAccount struct {
	wide  *record
	keyed map[string]*record
}

func (s *memoryShelf) load(account, key string) (*record, error) {
	a := s.accounts[account]
	switch {
	case a == nil:
		return nil, nil
	case key == "":
		return a.wide, nil
	}
	return a.keyed[key], nil
}

func (s *memoryShelf) create(account, key string) *record {
	rec := &record{account: account, key: key}
	if key == "" {
		s.accounts[account] = &memoryAccount{wide: rec}
		return rec
	}
	s.keyed = append(s.keyed, rec)
	s.made++
	a := s.accounts[account]
	if a.keyed == nil {
		a.keyed = map[string]*record{}
	}
	a.keyed[key] = rec
	return rec
}

func (s *memoryShelf) keys(account string) ([]string, error) {
	a := s.accounts[account]
	if a == nil {
		return nil, nil
	}
	return slices.Sorted(maps.Keys(a.keyed)), nil
}

func (s *memoryShelf) remove(rec *record) {
	delete(s.accounts[rec.account].keyed, rec.key)
}

func (s *memoryShelf) touch(*record)       {}
func (s *memoryShelf) book(*reservation)   {}
func (s *memoryShelf) unbook(*reservation) {}
