package proxy

// Slowing those who guess passwords. A wrong one costs its address a turn, and
// with no turn left nothing is hashed for that address any more, until one
// comes back: a guesser neither gets on nor takes the CPU. Passwords that were
// found right before are known without hashing and always pass, so that a
// guesser on the same machine, or behind the same gateway, locks nobody out who
// is at work.

import (
	"context"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Guesses bounds how many wrong passwords an address may try. Its methods may
// be called by any number of goroutines.
type Guesses struct {
	// Wrong counts the credentials that were no user's, and Refused those that
	// were not looked at.
	Wrong, Refused atomic.Int64

	turns   *lru.Cache[string, *rate.Limiter] // by network
	every   time.Duration                     // a turn comes back
	burst   int
	hashing chan struct{} // has room for as many as may hash at once
	now     func() time.Time
}

// guessers is how many addresses are remembered, some 200 bytes each. Whoever
// commands more begins anew with each; the passwords have to be good as well.
const guessers = 10_000

// NewGuesses lets an address try n wrong passwords in per, at most n at once.
func NewGuesses(n int64, per time.Duration, now func() time.Time) *Guesses {
	turns, _ := lru.New[string, *rate.Limiter](guessers) // its size is positive
	return &Guesses{turns: turns, every: per / time.Duration(n), burst: int(n), hashing: make(chan struct{}, runtime.GOMAXPROCS(0)), now: now}
}

// check asks whether a password is right, for a client at a socket's address.
// A wait says after how long it may ask again; then nothing was looked at.
func (g *Guesses) check(ctx context.Context, addr string, right func() bool) (ok bool, wait time.Duration) {
	from, now := network(addr), g.now()
	turns, known := g.turns.Get(from)
	if !known {
		turns = rate.NewLimiter(rate.Every(g.every), g.burst)
		if old, there, _ := g.turns.PeekOrAdd(from, turns); there {
			turns = old
		}
	}
	// Taken before the password is looked at, and given back if it is right:
	// many at once are no way round.
	if !turns.AllowN(now, 1) {
		g.Refused.Add(1)
		short := 1 - turns.TokensAt(now)
		return false, max(time.Duration(short*float64(g.every)), time.Millisecond)
	}
	select {
	case g.hashing <- struct{}{}:
	case <-ctx.Done():
		return false, 0
	}
	defer func() { <-g.hashing }()
	if !right() {
		g.Wrong.Add(1)
		return false, 0
	}
	turns.AllowN(now, -1) // a turn that is due cannot be cancelled, but one can be added
	return true, 0
}

// tooManyGuesses answers a client that has to wait before it tries again.
func tooManyGuesses(r *http.Request, wait time.Duration) *http.Response {
	a := problem(http.StatusTooManyRequests, "quotagate: too many wrong passwords came from this address; try again later", nil)
	a.Header.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	a.Header.Set(headerError, "guesses")
	return response(r, a)
}
