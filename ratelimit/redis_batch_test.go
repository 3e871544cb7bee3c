package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// While the script runs nobody else is answered, so the largest request that is
// taken must be over long before the others' time is up (300 ms); and it grows
// evenly with the number of its claims, also to recipients of one limit.
func TestTheLargestRequestDoesNotBlockRedis(t *testing.T) {
	server := startRedis(t)
	_, s := sharedBy(t, server.url(), 1)
	store, ctx := s[0].Store.(*Redis), context.Background()
	spent := func() (sum time.Duration) { // by the server, however long it waited for a processor
		for _, field := range []string{"used_cpu_user", "used_cpu_sys"} {
			d, err := time.ParseDuration(server.info("cpu", field) + "s")
			if err != nil {
				t.Fatal(err)
			}
			sum += d
		}
		return sum
	}
	for name, claim := range map[string]func(who string) Claim{
		"distinct": func(who string) Claim { return rolling("distinct", 1<<30, day).distinct().to(who) },
		"returned": func(who string) Claim { return lifetime("returned", 1<<30).to(who).returning(day) },
		"to one":   func(string) Claim { return lifetime("one", 1<<30).to("who").returning(day) },
		"keyed":    func(who string) Claim { return lifetime("keyed", 9).by(who).to(who).returning(day) },
	} {
		took := func(n int) time.Duration {
			best := time.Hour
			for round := range 3 {
				r := Request{ID: fmt.Sprint(name, n, round), Account: fmt.Sprint(name, n, round)}
				for i := range n {
					r.Claims = append(r.Claims, claim(fmt.Sprint("to", i)).ofItem(i))
				}
				start := spent()
				if d, err := store.Reserve(ctx, r); err != nil || d.Verdict != Go {
					t.Fatalf("%s: %+v, %v", name, d.Verdict, err)
				}
				if err := store.Cancel(ctx, r.ID); err != nil {
					t.Fatalf("%s: cancel: %v", name, err)
				}
				best = min(best, spent()-start)
			}
			return best
		}
		few, all := took(mostClaims/8), took(mostClaims)
		t.Logf("%s: %v", name, all)
		if all > 24*few {
			t.Errorf("%s: %v for %d claims, %v for %d", name, few, mostClaims/8, all, mostClaims)
		}
	}
	many := func(n int, claim Claim) (list []Claim) {
		for i := range n {
			if claim.Scope != "" {
				claim.Scope = fmt.Sprint("service:", i)
			}
			list = append(list, claim)
		}
		return list
	}
	for name, c := range map[string]struct {
		n     int
		claim Claim
	}{
		"plain": {plainPart * mostClaims, lifetime("plain", 1<<30)}, "keyed": {mostClaims, lifetime("k", 1<<30).by("to")},
		"scoped": {mostScopes, lifetime("s", 1<<30).scoped("service")},
	} {
		if d, err := store.Reserve(ctx, Request{ID: name, Account: name, Claims: many(c.n, c.claim)}); err != nil || d.Verdict != Go {
			t.Errorf("%s: %+v, %v", name, d.Verdict, err)
		}
		r := Request{ID: name + "more", Account: name, Claims: many(c.n+1, c.claim)}
		if _, err := store.Reserve(ctx, r); !errors.Is(err, ErrInvalid) || !errors.Is(err, ErrTooMany) {
			t.Errorf("%s, one more: %v", name, err)
		}
		if err := store.Charge(ctx, r, 0); err != nil { // it was sent
			t.Errorf("%s, charged: %v", name, err)
		}
	}
}
