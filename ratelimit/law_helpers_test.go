package ratelimit

import (
	"context"
	"testing"
)

// eachLaw runs a test of the laws against every store that knows all of them.
func eachLaw(t *testing.T, f func(s *testStore)) { eachStore(t, f) }

func (c Claim) to(recipient string) Claim     { c.Recipient = recipient; return c }
func (c Claim) scoped(scope string) Claim     { c.Scope = scope; return c }
func (c Claim) distinct() Claim               { c.Distinct = true; return c }
func (c Claim) ramped(from, over int64) Claim { c.Ramp = Ramp{from, over}; return c }
func (c Claim) paying(pots ...Pot) Claim      { c.Pots = pots; return c }
func (c Claim) returning(ms int64) Claim      { c.Returned = ms; return c }

func credits(limit string, pots ...Pot) Claim {
	return Claim{Limit: limit, Measure: Credits, Cost: 1, Pots: pots}
}

func concurrent(limit string, allow int64) Claim {
	return Claim{Limit: limit, Measure: Concurrent, Cost: 1, Allow: allow}
}

func (s *testStore) at(ms int64) *testStore { s.clock.set(ms); return s }

func (s *testStore) cool(c Cooling) Hold {
	s.t.Helper()
	if c.Account == "" {
		c.Account = "anna"
	}
	h, err := s.Cool(context.Background(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

func (s *testStore) observe(e Event) {
	s.t.Helper()
	if e.Account == "" {
		e.Account = "anna"
	}
	if err := s.Observe(context.Background(), e); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testStore) give(g Gift) {
	s.t.Helper()
	if err := s.Give(context.Background(), "anna", g); err != nil {
		s.t.Fatal(err)
	}
}

// used is what a claim's counter has counted.
func (s *testStore) used(c Claim) int64 {
	s.t.Helper()
	return s.look(c.costing(0)).Uses[0].Used
}

func (s *testStore) wantUsed(c Claim, n int64) {
	s.t.Helper()
	if got := s.used(c); got != n {
		s.t.Errorf("%s has counted %d, want %d", c.Limit, got, n)
	}
}

// as reserves for another account, under a new id.
func (s *testStore) as(account string, claims ...Claim) (Decision, string) {
	s.t.Helper()
	s.n++
	id := "as" + account + string(rune('a'+s.n%26)) + string(rune('a'+s.n/26))
	return s.request(Request{ID: id, Account: account, Claims: claims}), id
}
