package ratelimit

// The shared store, made safe to depend on: every call ends within a bounded
// time, a store that fails is not asked until it is well again, and nothing
// that this replica did to it is lost with it. See guarded_breaker.go for when
// it is asked, guarded_settle.go for what a store that came back is told,
// guarded_local.go for what is decided without it, logbook.go for the journal.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// GuardedOptions are how a shared store is guarded. The zero value works.
type GuardedOptions struct {
	Options // Now, for the journal, and Log
	// Timeout bounds every call; 0 is 300 ms.
	Timeout time.Duration
	// Beat is how often this replica makes itself known to the others, looks
	// at the store, and tries a store that failed; 0 is 500 ms.
	Beat time.Duration
	// Grace is how long a store that another master took over waits for the
	// other replicas to repeat what they sent; 0 is 3 s. A replica that is
	// silent for so long counts as gone.
	Grace time.Duration
	// Journal is the file of what was sent lately; "" keeps it in memory, and
	// a killed proxy forgets it.
	Journal string
	// Replica names this process among those that share the store.
	Replica string
}

func (o GuardedOptions) withDefaults() GuardedOptions {
	o.Options = o.Options.withDefaults()
	if o.Timeout <= 0 {
		o.Timeout = 300 * time.Millisecond
	}
	if o.Beat <= 0 {
		o.Beat = 500 * time.Millisecond
	}
	if o.Grace <= 0 {
		o.Grace = 3 * time.Second
	}
	if o.Replica == "" {
		o.Replica = newName()
	}
	return o
}

// A charger can charge what is known to have been sent.
type charger interface {
	Charge(ctx context.Context, r Request, at int64) error
}

// A witness is a shared store that knows when it is not the one that it was.
type witness interface {
	// generation grows whenever a server answers that was not known.
	generation() uint64
	// beat announces this replica and the state for which it has settled.
	beat(ctx context.Context, replica string, ttl int64, settled string) (rollCall, error)
	leave(ctx context.Context, replica string) error
	// mark gives the store a marker in the place of was, "" for none, if that is
	// the one that it has, and returns the one that it has then.
	mark(ctx context.Context, marker, was string) (string, error)
	// inspect finds what a person should know of the store.
	inspect(ctx context.Context) []finding
}

// Guarded is a Store in front of a shared one. While that one cannot be used,
// Reserve and Fire fail with ErrUnavailable, within Timeout and at once after
// the first few; what only informs or gives back (Keep, Cancel, CancelItems,
// Observe, Cool, Charge) is noted and told to the store when it is back, and
// what a person asks for (Pause, Give, Accounts) fails.
type Guarded struct {
	primary Store
	witness witness // nil: the store cannot be another than it was
	local   Store   // nil: nothing is decided without the primary
	o       GuardedOptions
	log     *slog.Logger
	book    *logbook
	gate    gate
	mirror  *mirror // nil without local

	listeners listeners

	mu       sync.Mutex
	open     map[string]*held // by id
	replicas []string         // last seen, this one too; nil: never
	closed   bool
	mirrored *closure // the outage for which what was open is in the mirror

	// settled is the generation of servers that know what we sent.
	settled atomic.Uint64
	keeper  keeper

	wake chan struct{}
	stop context.CancelFunc
	done chan struct{}
}

var _ Store = (*Guarded)(nil)

// held is an open reservation of ours.
type held struct {
	request Request
	account string // that was charged
	at      int64
	local   bool // decided by the local store
	sent    bool // let go
	items   []int
}

// NewGuarded guards primary. The local store, which may be nil, is where this
// replica's share is counted while the primary is away; nobody else may use it.
// Close closes both.
//
// What the journal of the last run says was sent is told to the store first.
func NewGuarded(primary Store, local *Embedded, o GuardedOptions) (*Guarded, error) {
	if local == nil {
		return newGuarded(primary, nil, o)
	}
	return newGuarded(primary, local, o)
}

func newGuarded(primary, local Store, o GuardedOptions) (*Guarded, error) {
	o = o.withDefaults()
	book, err := openLogbook(o.Journal, o.Now().UnixMilli())
	if err != nil {
		return nil, err
	}
	g := &Guarded{
		primary: primary, local: local, o: o, log: o.Log, book: book,
		open: map[string]*held{},
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	g.witness, _ = primary.(witness)
	g.gate.shut(&closure{cause: "not yet asked", err: errors.New("it was not yet asked"), since: o.Now()})
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	if local != nil {
		g.mirror = newMirror(local, o.Log)
	}
	g.tend(ctx) // so that a store that is well is open from the start
	go g.run(ctx)
	return g, nil
}

// call carries a call to the primary out, in bounded time. It does not end
// with its client: a reservation whose end nobody knows is worth less than the
// milliseconds.
func call[T any](ctx context.Context, g *Guarded, f func(ctx context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if c := g.gate.closed(); c != nil {
		return none, c.unavailable()
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.o.Timeout)
	answers := make(chan answer, 1)
	go func() {
		v, err := f(bounded)
		answers <- answer{v, err}
		cancel()
	}()
	var a answer
	select {
	case a = <-answers:
	case <-bounded.Done():
		select {
		case a = <-answers: // it had answered, or has seen the end itself
		default:
			a.err = bounded.Err()
		}
	}
	return a.value, g.judge(a.err)
}

// Reserve implements Store. A reservation whose end is not known is given back
// when the store answers again.
func (g *Guarded) Reserve(ctx context.Context, r Request) (Decision, error) {
	if g.superseded() {
		return Decision{}, g.wait()
	}
	d, err := call(ctx, g, func(ctx context.Context) (Decision, error) { return g.primary.Reserve(ctx, r) })
	switch {
	case err != nil:
		if !r.Dry && !refusedOutright(err) {
			g.giveBackLater(&held{request: r, account: r.Account})
		}
		return Decision{}, err
	case r.Dry || d.Verdict > Booked:
		return d, nil
	case g.superseded():
		g.giveBackLater(&held{request: r, account: d.Account})
		return Decision{}, g.wait()
	case r.Sooner && d.Repeated && g.find(r.ID) != nil: // it is what it was, and of other claims
		return d, nil
	}
	if d.Verdict == Booked { // what was to be given back of that id is this, or was
		g.noted(g.book.drop("r " + r.ID))
	}
	g.hold(&held{request: r, account: d.Account, at: d.At, sent: d.Verdict == Go})
	return d, nil
}

// Fire implements Store.
func (g *Guarded) Fire(ctx context.Context, id string) (Decision, error) {
	h := g.find(id)
	if h != nil && h.local {
		return g.fireLocally(ctx, h)
	}
	if g.superseded() {
		return Decision{}, g.wait()
	}
	d, err := call(ctx, g, func(ctx context.Context) (Decision, error) { return g.primary.Fire(ctx, id) })
	// Of what is on its way only the lease is prolonged: it stays charged,
	// whatever becomes of the question.
	onItsWay := h != nil && h.sent
	switch {
	case err != nil:
		if !onItsWay && !refusedOutright(err) {
			g.giveBackLater(heldOr(h, id))
		}
		return Decision{}, err
	case g.superseded():
		if !onItsWay {
			g.giveBackLater(heldOr(h, id))
		}
		return Decision{}, g.wait()
	case h == nil:
	case d.Verdict == Go:
		g.hold(&held{request: h.request, account: h.account, at: d.At, sent: true, items: h.items})
	case d.Verdict != Booked && !onItsWay:
		g.release(id)
	}
	return d, nil
}

// superseded reports whether there is a server that does not yet know what
// this replica sent through the one before it. What such a one decided is void.
func (g *Guarded) superseded() bool {
	return g.generation() != g.settled.Load()
}

func (g *Guarded) generation() uint64 {
	if g.witness == nil {
		return 0
	}
	return g.witness.generation()
}

// wait shuts the gate until the new server is told.
func (g *Guarded) wait() error {
	c := &closure{cause: "new master", err: errors.New("another server took over and is being told what was sent"), since: g.o.Now()}
	g.gate.shut(c)
	g.poke()
	if now := g.gate.closed(); now != nil {
		c = now // there may be a weightier reason
	}
	return c.unavailable()
}

// hold remembers a reservation that was made, and notes one that was let go.
func (g *Guarded) hold(h *held) {
	g.mu.Lock()
	g.open[h.request.ID] = h
	g.mu.Unlock()
	if h.sent && !h.local {
		g.noted(g.book.put(g.note(h)))
	}
}

func (g *Guarded) note(h *held) *note {
	n := g.about(h)
	n.Request, n.At, n.Items = &h.request, h.at, h.items
	return n
}

// about names a reservation, so that a process that did not make it, and a
// server that has forgotten its end, find it.
func (g *Guarded) about(h *held) *note {
	n := &note{Key: "r " + h.request.ID, When: g.now(), ID: h.request.ID, Account: h.account}
	for i := range h.request.Claims {
		if s := h.request.Claims[i].Scope; s != "" && s != h.account && !slices.Contains(n.Scopes, s) {
			n.Scopes = append(n.Scopes, s)
		}
	}
	return n
}

// heldOr is what is known of a reservation, if only its id.
func heldOr(h *held, id string) *held {
	if h == nil {
		h = &held{request: Request{ID: id}}
	}
	return h
}

func (g *Guarded) find(id string) *held {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open[id]
}

func (g *Guarded) release(id string) *held {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.open[id]
	delete(g.open, id)
	return h
}

// giveBackLater makes sure that nothing stays charged for a reservation that
// its caller was told nothing of.
func (g *Guarded) giveBackLater(h *held) {
	g.release(h.request.ID)
	n := g.about(h)
	n.Back, n.Owed, n.Doubt = true, true, true
	g.noted(g.book.put(n))
}

func (g *Guarded) now() int64 { return g.o.Now().UnixMilli() }

// noted reports a journal that cannot be kept, once.
func (g *Guarded) noted(err error) {
	if err == nil {
		return
	}
	g.gate.mu.Lock()
	defer g.gate.mu.Unlock()
	if !g.gate.told {
		g.gate.told = true
		g.log.Error("the journal of what was sent through the shared store cannot be kept; a failover may hand out quota that was used", "error", err)
	}
}

// Close lets what is under way finish, and leaves to the next run what the
// store could not be told.
func (g *Guarded) Close() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	g.mu.Unlock()
	g.stop()
	<-g.done
	var errs []error
	if g.witness != nil && g.gate.closed() == nil {
		ctx, cancel := context.WithTimeout(context.Background(), g.o.Timeout)
		_ = g.witness.leave(ctx, g.o.Replica) // or it is forgotten by itself
		cancel()
	}
	g.gate.shut(&closure{cause: "closed", err: ErrClosed, rank: ended})
	if g.mirror != nil {
		g.mirror.close()
		errs = append(errs, g.local.Close())
	}
	if err := errors.Join(append(errs, g.book.close(), g.primary.Close())...); err != nil {
		return fmt.Errorf("close the shared store: %w", err)
	}
	return nil
}
