package ratelimit

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// TestTheQuickWayDecidesAsTheWholeScript plays plain requests, repeated ids and
// cancels on two stores, of which one has no quick way: the same answers, and in
// the end the same bytes.
func TestTheQuickWayDecidesAsTheWholeScript(t *testing.T) {
	t.Parallel()
	const call = "ARGV[5] ~= '' and quick(now)\n"
	clock := &fakeClock{ms: t0}
	counted, whole := openShared(t, Options{Now: clock.now}), openShared(t, Options{Now: clock.now})
	counted.mutate(t, "return done\n", "redis.call('INCR', '{'..KEYS[1]..'}quick')\nreturn done\n")
	whole.mutate(t, call, "false\n")

	random := rand.New(rand.NewPCG(20261121, 3))
	one := func(measure Measure, limit string, claim Claim) Claim {
		claim.Measure, claim.Limit, claim.Cost = measure, limit, 1+random.Int64N(9)/8
		return claim
	}
	var ids []string
	asked := 0
	for i := range 4000 {
		now := clock.now().UnixMilli()
		all := []Claim{
			one(Calendar, "day", Claim{Unit: "day", Allow: 700, WarnAt: 500, Windows: days(now)}),
			one(Rolling, "second", Claim{Span: 1000, Allow: 12, WarnAt: 9}),
			one(Lifetime, "life", Claim{Allow: 1500 * int64(i/2000), WarnAt: 1000}), // which nothing ever forgets
			one(Pace, "pace", Claim{Span: 20, Jitter: 30}),
			one(Rolling, "pair", Claim{Span: 3000, Allow: 30}),
		}
		// What sweeps numbers sweeps recipients too, by chance: each has an account.
		if i >= 2000 {
			all[4].Key = fmt.Sprint("r%", random.IntN(3))
		}
		claims := []Claim{}
		for j, mask := 0, 1+random.IntN(31); j < len(all); j++ {
			if mask>>j&1 == 1 {
				claims = append(claims, all[j])
			}
		}
		id := fmt.Sprint("q", i)
		if len(ids) > 0 && random.IntN(12) == 0 {
			id = ids[random.IntN(len(ids))] // said again
		}
		account := fmt.Sprint("account", i/2000)
		if strings.HasPrefix(id, "q") && random.IntN(40) == 0 && len(ids) > 0 {
			gone := ids[len(ids)-1]
			if err := counted.Cancel(t.Context(), gone); err != nil {
				t.Fatal(err)
			}
			if err := whole.Cancel(t.Context(), gone); err != nil {
				t.Fatal(err)
			}
		}
		r := Request{ID: id, Account: account, Claims: claims}
		if i < 2000 && random.IntN(2) == 0 {
			r.Same, r.Dedupes = fmt.Sprint("message%", i-random.IntN(6)/5), random.IntN(2) == 0
		}
		a, err := counted.Reserve(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := whole.Reserve(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("request %d, %+v:\nthe quick way  %+v\nthe whole script %+v", i, claims, a, b)
		}
		if a.Verdict == Go {
			// But for the token, a reservation is remembered as the same.
			ours, _ := counted.client.Get(t.Context(), last(counted.keys([]string{account}, account, id))).Result()
			theirs, _ := whole.client.Get(t.Context(), last(whole.keys([]string{account}, account, id))).Result()
			if untokened(ours) != untokened(theirs) {
				t.Fatalf("request %d:\nthe quick way    %q\nthe whole script %q", i, ours, theirs)
			}
		}
		asked++
		if r.Same != "" && a.Verdict == Go && random.IntN(2) == 0 {
			if err := counted.Keep(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if err := whole.Keep(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if a.Verdict == Go && !a.Repeated {
			ids = append(ids, id)
			if len(ids) > 20 {
				ids = ids[1:]
			}
		}
		switch random.IntN(40) {
		case 0:
			clock.add(day / 4) // expiry is put off by the week
		case 1, 2, 3:
		default:
			clock.add(1 + random.Int64N(60))
		}
	}
	// After a quiet fortnight, what expires has to be put off.
	clock.add(14 * day)
	for _, s := range []*Redis{counted, whole} {
		r := Request{ID: "late", Account: "account0", Claims: []Claim{{Limit: "second", Measure: Rolling, Span: 1000, Allow: 12, Cost: 1}}}
		if d, err := s.Reserve(t.Context(), r); err != nil || d.Verdict != Go {
			t.Fatal(d, err)
		}
	}
	ways := 0
	for _, account := range []string{"account0", "account1"} {
		mine, other := counted.keys([]string{account}, account, "x")[0], whole.keys([]string{account}, account, "x")[0]
		a, err := counted.client.HGetAll(t.Context(), mine).Result()
		if err != nil || len(a) == 0 {
			t.Fatal(len(a), err)
		}
		b, err := whole.client.HGetAll(t.Context(), other).Result()
		if err != nil {
			t.Fatal(err)
		}
		stillNumbered(a, clock.now().UnixMilli()-day)
		stillNumbered(b, clock.now().UnixMilli()-day)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s:\nthe quick way    %v\nthe whole script %v", account, a, b)
		}
		n, _ := counted.client.Get(t.Context(), "{"+mine+"}quick").Int()
		ways += n
	}
	t.Logf("%d of %d went the quick way", ways, asked)
	if ways < asked/10 {
		t.Errorf("only %d of %d requests went the quick way: this test says nothing", ways, asked)
	}
}

func last(list []string) string { return list[len(list)-1] }

// untokened is a reservation's text without its token.
func untokened(text string) string {
	state, rest, _ := strings.Cut(text, ",")
	_, rest, _ = strings.Cut(rest, ",")
	return state + rest
}

// stillNumbered takes from an account's fields the messages' numbers that are no
// longer known: which of them were forgotten is chance.
func stillNumbered(fields map[string]string, before int64) {
	for name, text := range fields {
		var known []any
		if strings.HasPrefix(name, "m|") && json.Unmarshal([]byte(text), &known) == nil && int64(known[1].(float64)) <= before {
			delete(fields, name)
		}
	}
}
