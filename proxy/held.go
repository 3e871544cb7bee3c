package proxy

// The waiting room: who is held now, of which account. A request enters when it
// first has to wait and leaves when it is sent, refused or given up; asked about
// in between, it keeps its place.

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"quotagate/ratelimit"
)

// The most requests that wait at once, in all and of one account.
const (
	defaultMaxHeld           = 10000
	defaultMaxHeldPerAccount = 1000
)

var (
	// errTooManyHeld refuses a hold where too many requests wait already.
	errTooManyHeld = errors.New("too many requests wait already")
	// errTooManyOfAccount does so where they are all of one account.
	errTooManyOfAccount = fmt.Errorf("%w: of this account", errTooManyHeld)
	// errTooManyOfClient does so where they are all of one client, whatever
	// accounts it names.
	errTooManyOfClient = fmt.Errorf("%w: of this client", errTooManyHeld)
)

// errLook wakes a request that is to be decided anew.
var errLook = errors.New("something has changed")

// A waitingRoom has everybody who waits. The zero value is empty.
type waitingRoom struct {
	mu      sync.Mutex
	lines   map[string][]*waiter // by account
	clients map[string]int64     // how many of each wait
	held    int64
	order   uint64 // of the latest to enter
	changed changes
	changes atomic.Uint64 // how many there were
	leases  map[ratelimit.Place]*leaseLine
	hears   atomic.Bool // what other processes change

	refused, refusedOfAccount, refusedOfClient atomic.Int64
}

// A waiter is one request in the room. The room's lock guards it.
type waiter struct {
	account string
	client  string   // "": nobody's
	index   int      // in its account's line, which has no order of its own
	scopes  []string // whose counters and holds it looks at besides the account's
	shared  string   // the scope that has a counter that it takes from; "": none
	order   uint64   // of entering
	at      int64    // when it is due (ms)
	// asleep: it has waited for the ledger. inLine: it has not, but for a rate.
	asleep, inLine bool
	// wake is there while it waits; told, when it is to be decided anew, is
	// closed once it was.
	wake context.CancelCauseFunc
	told chan struct{}
	left bool
}

// enter takes a request in, if the bounds let it.
func (r *waitingRoom) enter(account, client string, most, mostOfAccount, mostOfClient int64) (*waiter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.held >= most:
		r.refused.Add(1)
		return nil, errTooManyHeld
	case int64(len(r.lines[account])) >= mostOfAccount:
		r.refusedOfAccount.Add(1)
		return nil, errTooManyOfAccount
	case client != "" && r.clients[client] >= mostOfClient:
		r.refusedOfClient.Add(1)
		return nil, errTooManyOfClient
	}
	if r.clients == nil {
		r.clients = map[string]int64{}
	}
	r.held++
	r.order++
	r.clients[client]++
	w := &waiter{order: r.order, client: client}
	r.stand(w, account)
	return w, nil
}

// stand puts a waiter into a line. The lock is held.
func (r *waitingRoom) stand(w *waiter, account string) {
	if r.lines == nil {
		r.lines = map[string][]*waiter{}
	}
	w.account, w.index = account, len(r.lines[account])
	r.lines[account] = append(r.lines[account], w)
}

// step takes a waiter out of its line. The lock is held.
func (r *waitingRoom) step(w *waiter) {
	line := r.lines[w.account]
	last := len(line) - 1
	line[w.index] = line[last]
	line[w.index].index = w.index
	line[last] = nil
	if last == 0 {
		delete(r.lines, w.account)
		return
	}
	r.lines[w.account] = line[:last]
}

// leave lets a waiter go, and whoever waits for it to be decided anew.
func (r *waitingRoom) leave(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.left {
		return
	}
	w.left = true
	r.held--
	if r.clients[w.client]--; r.clients[w.client] == 0 {
		delete(r.clients, w.client)
	}
	r.step(w)
	w.answer()
}

// answer tells that it was decided anew. The lock is held.
func (w *waiter) answer() {
	if w.told != nil {
		close(w.told)
		w.told = nil
	}
}

// doze notes what a request waits for and how to wake it. A change that came
// since its answer was asked for wakes it at once.
func (r *waitingRoom) doze(w *waiter, t *transit, wake context.CancelCauseFunc) {
	scopes, shared := t.scopes()
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.account != t.account { // new rules, or an identity that was merged
		r.step(w)
		r.stand(w, t.account)
	}
	w.scopes, w.shared, w.at, w.asleep, w.inLine, w.wake = scopes, shared, t.decision.At, true, false, wake
	due := t.stand(w)
	if due || w.told != nil || t.outdated() {
		wake(errLook)
	}
}

// standBy notes how to wake a request that waits for a rate.
func (r *waitingRoom) standBy(w *waiter, t *transit, wake context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.inLine, w.wake = true, wake; w.told != nil || t.set != t.e.Rules() {
		wake(errLook)
	}
}

// outdated reports whether something changed since the ledger was asked.
func (t *transit) outdated() bool {
	return t.heard != t.e.room.changes.Load() || t.set != t.e.Rules()
}

// rise notes that a request does not wait now.
func (r *waitingRoom) rise(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.wake = nil
}

// looked tells that a request was decided anew.
func (r *waitingRoom) looked(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.answer()
}

// scopes are whose counters and holds the request looks at besides its
// account's; shared is the first of them that has a counter.
func (t *transit) scopes() (all []string, shared string) {
	all = t.request.Services
	for i := range t.claims {
		scope := t.claims[i].Scope
		if scope == "" {
			continue
		}
		if shared == "" {
			shared = scope
		}
		if !slices.Contains(all, scope) {
			all = append(slices.Clip(all), scope)
		}
	}
	return all, shared
}

// Held is the number of requests that wait now.
func (e *Enforcer) Held() int64 {
	e.room.mu.Lock()
	defer e.room.mu.Unlock()
	return e.room.held
}

// HeldRefused is how many were refused, since the start, because too many
// waited already: in all, and of their own account.
func (e *Enforcer) HeldRefused() (all, ofAccount int64) {
	return e.room.refused.Load(), e.room.refusedOfAccount.Load()
}

// HeldRefusedOfClient is how many were refused because too many of their client
// waited.
func (e *Enforcer) HeldRefusedOfClient() int64 { return e.room.refusedOfClient.Load() }

func (e *Enforcer) maxHeld() int64 {
	if e.MaxHeld > 0 {
		return e.MaxHeld
	}
	return defaultMaxHeld
}

func (e *Enforcer) maxHeldPerAccount() int64 {
	if e.MaxHeldPerAccount > 0 {
		return e.MaxHeldPerAccount
	}
	return min(defaultMaxHeldPerAccount, e.maxHeld())
}

// heldOf is whose place a client's request takes: its user's, where a password
// was checked, or else its network's; "" where nobody told. Whoever opens
// accounts by made-up tokens takes no more than most.
func (e *Enforcer) heldOf(c *Client) (client string, most int64) {
	most = e.MaxHeldPerClient
	switch {
	case c.Authenticated:
		client = "user " + c.User
	case c.Addr != "":
		client = network(c.Addr)
		if ip, err := netip.ParseAddr(client); most == 0 && (err == nil && ip.IsLoopback() || client == "::/64") {
			most = e.maxHeld() // this machine's own programs
		}
	}
	if most == 0 {
		most = max(e.maxHeld()/2, 1)
	}
	return client, most
}
