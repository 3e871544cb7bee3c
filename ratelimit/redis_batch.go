package ratelimit

// How much one request may ask of Redis: while the script runs, nobody else is
// answered, and the others wait 300 ms at most.

import (
	"errors"
	"fmt"
)

// ErrTooMany refuses a request of more messages than are decided in one step.
var ErrTooMany = errors.New("it has more messages than a shared store decides in one step: send it in parts")

// A claim takes the script about 5 µs, one that looks at its recipient 15 to 40
// (redis-server 7.0.15, one busy core of two, 2026-11-21): the largest request
// takes about 150 ms. A script also has names for so many scopes only.
const (
	mostClaims = 4000
	mostScopes = 60
	plainPart  = 8 // so many plain claims take as long as one with a recipient
)

// fits finds what would keep the others waiting.
func (r *Request) fits() error {
	weight, scopes := 0, map[string]bool{}
	for i := range r.Claims {
		cl := &r.Claims[i]
		weight++
		if cl.Key != "" || cl.Distinct || cl.Returned > 0 || cl.Measure == Similar || cl.Measure == Ratio {
			weight += plainPart - 1
		}
		if cl.Scope != "" {
			scopes[cl.Scope] = true
		}
	}
	for _, service := range r.Services {
		scopes[service] = true
	}
	if weight > plainPart*mostClaims || len(scopes) > mostScopes || len(r.Recipients) > 2*mostClaims {
		return fmt.Errorf("reserve %s: %w: %w", r.ID, ErrInvalid, ErrTooMany)
	}
	return nil
}
