package ratelimit

// What an account costs in Redis, in bytes, as its MEMORY USAGE says. The
// figures stand in docs/ledger.md; run with -v to see them.

import (
	"context"
	"fmt"
	"testing"
)

func TestMemoryInRedisStaysSmall(t *testing.T) {
	ctx := context.Background()
	usage := func(s *testStore, key string) int64 {
		t.Helper()
		store := s.Store.(*Redis)
		n, err := store.client.MemoryUsage(ctx, store.prefix+":{anna}:"+key, 0).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	account := func(n int, claims ...Claim) (*testStore, int64) {
		_, s := sharedBy(t, sharedURL(t), 1)
		for i := range n {
			s[0].clock.add(10)
			d := s[0].request(Request{ID: fmt.Sprintf("01KAHJ0000000000000000%04d", i), Account: "anna", Claims: claims})
			if d.Verdict != Go {
				t.Fatalf("message %d: %+v", i, d)
			}
		}
		return s[0], usage(s[0], "a")
	}
	sized := func(what string, got, most int64) {
		t.Helper()
		t.Logf("%s: %d bytes", what, got)
		if got > most {
			t.Errorf("%s takes %d bytes, more than %d", what, got, most)
		}
	}
	_, bare := account(1)
	sized("an account", bare, 200)
	day := func(i int) Claim {
		c := &testStore{clock: &fakeClock{ms: t0}}
		return c.daily(fmt.Sprint("linkedin.day", i), 1000)
	}
	eight := make([]Claim, 8)
	for i := range eight {
		eight[i] = day(i)
	}
	_, one := account(1, day(0))
	s, many := account(1, eight...)
	sized("each of eight limits per day", (many-bare)/8, 150)
	sized("the first of them", one-bare, 150)
	sized("a reservation with eight limits, for 15 minutes", usage(s, "i:01KAHJ00000000000000000000"), 900)
	_, few := account(100, rolling("roll", 2000, day24))
	_, full := account(1100, rolling("roll", 2000, day24))
	sized("a logged message", (full-few)/1000, 20)
	claims := make([]Claim, 100)
	for i := range claims {
		claims[i] = rolling("pair", 3, 7*day24).by(fmt.Sprintf("%064x", i))
	}
	_, recipients := account(1, claims...)
	sized("a recipient with one limit", (recipients-bare)/100, 330)
	for i := range claims {
		claims[i] = Claim{Limit: "reach", Measure: Rolling, Distinct: true, Cost: 1, Allow: 1000, Span: day24, Recipient: fmt.Sprintf("%064x", i)}
	}
	_, distinct := account(1, claims...)
	sized("a recipient that is counted", (distinct-bare)/100, 110)
}
