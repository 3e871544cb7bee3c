package ratelimit

// Policy `local`: this replica's share of every limit, from its own store,
// while the shared one is away.
//
// What is exact: a replica sends no more than its share, allow ÷ replicas
// rounded down (which may be 0), within a window, counting what it sent itself
// while the shared store was up; in a window that begins during the outage all
// replicas together keep within the limit. What is not: in the window in which
// the outage began, a replica that had sent little may use its share although
// others had used more than theirs, so that together they may send up to
// twice the limit less one share; two replicas do not keep a pace's distance
// from each other, only its rate; and a replica that starts during the outage
// has no share, as the others do not count it.

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
)

// ReserveLocally decides a request on this replica's share of its limits. It is
// for a request that Reserve failed with ErrUnavailable for. Fire, Keep, Cancel
// and CancelItems find the reservation by its id; what was sent is charged to
// the shared store when it is back.
func (g *Guarded) ReserveLocally(ctx context.Context, r Request) (Decision, error) {
	n := g.Replicas()
	switch {
	case g.local == nil:
		return Decision{}, &unavailable{cause: "no local store", err: errors.New("this replica has no store of its own"), sure: true}
	case n == 0:
		return Decision{}, &unavailable{cause: "no local share", err: errors.New("this replica has not seen the shared store yet, so its share is not known"), sure: true}
	}
	g.mirrorOpen()
	g.mirror.flush() // what was sent until now counts
	mine := r
	mine.Claims = portion(r.Claims, int64(n))
	d, err := g.local.Reserve(ctx, mine)
	if err != nil || r.Dry || d.Verdict > Booked {
		return d, err
	}
	g.hold(&held{request: r, at: d.At, local: true, sent: d.Verdict == Go})
	if d.Verdict == Go {
		g.owe(r, d.At)
	}
	return d, nil
}

// mirrorOpen counts, once in an outage, what is still on its way. If it is
// given back now it stays counted here: this store learns it too early.
func (g *Guarded) mirrorOpen() {
	c := g.gate.closed()
	g.mu.Lock()
	defer g.mu.Unlock()
	if c == nil || g.mirrored == c {
		return
	}
	g.mirrored = c
	for _, h := range g.open {
		if h.sent && !h.local {
			g.mirror.charge(without(h.request, h.items), h.at)
		}
	}
}

// Replicas is how many share the store, as last seen; 0 is not yet.
func (g *Guarded) Replicas() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.replicas)
}

// portion is a replica's part of claims. What cannot be divided (hours, a share
// of good messages, how alike texts are) holds as it is, on what this replica
// knows.
func portion(claims []Claim, n int64) []Claim {
	if n == 1 {
		return claims
	}
	out := slices.Clone(claims)
	for i := range out {
		c := &out[i]
		switch c.Measure {
		case Pace:
			c.Span *= n
			c.Jitter *= n
		default:
			c.Allow /= n
			c.Ramp.From /= n
			c.WarnAt /= n
			c.Pots = slices.Clone(c.Pots)
			for j := range c.Pots {
				c.Pots[j].Units /= n
			}
		}
	}
	return out
}

func localNote(id string) string { return "l " + id }

// owe notes a message that was let go without the shared store. It is due when
// it is settled: until then it may be given back.
func (g *Guarded) owe(r Request, at int64) {
	id := r.ID
	r.ID += "+local" // the store may know the id from the call that failed
	g.noted(g.book.put(&note{Key: localNote(id), When: g.now(), ID: r.ID, Request: &r, At: at, Owed: true, held: true}))
}

func (g *Guarded) fireLocally(ctx context.Context, h *held) (Decision, error) {
	d, err := g.local.Fire(ctx, h.request.ID)
	switch {
	case err != nil:
		return d, err
	case d.Verdict == Go:
		g.hold(&held{request: h.request, at: d.At, local: true, sent: true, items: h.items})
		g.owe(h.request, d.At)
	case d.Verdict != Booked:
		g.release(h.request.ID)
	}
	return d, nil
}

func (g *Guarded) keepLocally(ctx context.Context, h *held) error {
	_, err := g.book.change(localNote(h.request.ID), func(n *note) { n.held = false })
	g.noted(err)
	return g.local.Keep(ctx, h.request.ID)
}

// A mirror copies what this replica did on the shared store to its own, beside
// the calls: nobody waits for it but who decides locally.
type mirror struct {
	to  Store
	log *slog.Logger

	mu      sync.Mutex
	change  *sync.Cond
	queue   []func(ctx context.Context) error
	busy    bool
	closing bool
	failed  bool
	done    chan struct{}
}

// mirrorMax bounds the queue; what comes then waits for room.
const mirrorMax = 10_000

func newMirror(to Store, log *slog.Logger) *mirror {
	m := &mirror{to: to, log: log, done: make(chan struct{})}
	m.change = sync.NewCond(&m.mu)
	go m.run()
	return m
}

func (m *mirror) add(f func(ctx context.Context) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.queue) >= mirrorMax && !m.closing {
		m.change.Wait()
	}
	if !m.closing {
		m.queue = append(m.queue, f)
		m.change.Broadcast()
	}
}

func (m *mirror) run() {
	defer close(m.done)
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		for len(m.queue) == 0 {
			if m.closing {
				return
			}
			m.change.Wait()
		}
		group := m.queue
		m.queue, m.busy = nil, true
		m.mu.Unlock()
		var failure error
		var wg sync.WaitGroup
		var mu sync.Mutex
		for part := range slices.Chunk(group, 64) { // the store commits what comes together together
			for _, f := range part {
				wg.Go(func() {
					if err := f(context.Background()); err != nil {
						mu.Lock()
						failure = err
						mu.Unlock()
					}
				})
			}
			wg.Wait()
		}
		m.mu.Lock()
		if m.busy = false; failure != nil && !m.failed {
			m.failed = true
			m.log.Error("this replica's own count of what it sent cannot be kept; with on_store_error: local it may send more than its share", "error", failure)
		}
		m.change.Broadcast()
	}
}

// flush waits until all that was added is done.
func (m *mirror) flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.queue) > 0 || m.busy {
		m.change.Wait()
	}
}

func (m *mirror) close() {
	m.mu.Lock()
	m.closing = true
	m.change.Broadcast()
	m.mu.Unlock()
	<-m.done
}

func (m *mirror) charge(r Request, at int64) {
	if c, ok := m.to.(charger); ok {
		m.add(func(ctx context.Context) error { return c.Charge(ctx, r, at) })
	}
}

func (m *mirror) observe(e Event) {
	m.add(func(ctx context.Context) error { return m.to.Observe(ctx, e) })
}

func (m *mirror) cool(c Cooling) {
	m.add(func(ctx context.Context) error { _, err := m.to.Cool(ctx, c); return err })
}

func (m *mirror) pause(account string, h *Hold) {
	m.add(func(ctx context.Context) error { return m.to.Pause(ctx, account, h) })
}
