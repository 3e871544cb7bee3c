package ratelimit

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever is in a name, no other name is meant and nothing breaks.
func TestNamesMayHaveAnyBytes(t *testing.T) {
	names := []string{
		"{", "}", "{}", "|", "\n", "\x00", `"`, `\`, "%", "%00", ";", "\t", "\v", "\f", "\xff\xfe", "a,b", "=", "&", " ", "~m", "*",
		strings.Repeat("é", 4000),
	}
	eachStore(t, func(s *testStore) {
		ctx := context.Background()
		must := func(err error) {
			t.Helper()
			if err != nil {
				s.t.Fatal(err)
			}
		}
		for i, x := range names {
			if strings.HasSuffix(s.t.Name(), "/miniredis") && !utf8.ValidString(x) {
				x = "ÿ" // its JSON is Go's, not Redis's
			}
			claims := []Claim{
				lifetime("life"+x, 9), lifetime("by", 9).by("k" + x), lifetime("all"+x, 9).scoped("s" + x),
				concurrent("own"+x, 9), concurrent("road"+x, 9).scoped("s" + x),
				lifetime("back"+x, 9).to("w" + x).returning(day), rolling("people"+x, 9, day).distinct().to("w" + x).scoped("s" + x),
			}
			for round := range 4 {
				id := fmt.Sprint("id", round, x)
				d := s.request(Request{
					ID: id, Account: "a" + x, Aliases: []string{"b" + x}, Claims: claims, Same: "m" + id,
					Services: []string{"t" + x}, Recipients: []string{"w" + x},
				})
				s.want(d, Go, t0, "")
				s.want(s.fire(id), Go, t0, "")
				if round == 1 {
					s.cancel(id)
				} else if round == 2 {
					s.cancelItems(id, 0)
				} else {
					s.keep(id)
				}
			}
			must(s.Observe(ctx, Event{Account: "a" + x, Recipient: "th" + x, Kind: SameAs, Is: "w" + x}))
			must(s.Give(ctx, "a"+x, Gift{ID: "g" + x, Limit: "life" + x, Units: 1}))
			d := s.look2("a"+x, claims...)
			for j, want := range []int64{2, 2, 2, 0, 0, 2, 1} {
				if len(d.Uses) != len(claims) || d.Uses[j].Used != want {
					s.t.Fatalf("%d %.9q: %+v", i, x, d.Uses)
				}
			}
			got, err := s.Resolve(ctx, []string{"b" + x})
			if must(err); got != "a"+x {
				s.t.Errorf("%.9q is %.9q", "b"+x, got)
			}

			slow := pace("slow"+x, hour).scoped("s" + x).waiting(day)
			for j, id := range []string{"1" + x, "2" + x} {
				s.want(s.request(Request{ID: id, Account: "a" + x, Claims: []Claim{slow}, Services: []string{"t" + x}}), []Verdict{Go, Booked}[j], t0+int64(j)*hour, slow.Limit[:j*len(slow.Limit)])
			}
			_, err = s.Cool(ctx, Cooling{ID: x, Account: "t" + x, Name: "n" + x, Why: x, For: hour + 1})
			must(err)
			d = s.request(Request{ID: "2" + x, Account: "a" + x, Claims: []Claim{slow}, Services: []string{"t" + x}, Replace: true})
			s.want(d, Booked, t0+hour+1, PausedLimit)
			if d.Why != x {
				s.t.Errorf("%.9q: because of %.9q", x, d.Why)
			}
			s.cancel("1" + x)
			s.cancel("2" + x)
		}
		list, err := s.Accounts(ctx)
		if must(err); len(list) != 3*len(names) {
			s.t.Errorf("%d accounts, want %d", len(list), 3*len(names))
		}
	})
}

// A replacement whose answer was lost is given back with what it replaced,
// whether it was carried out or comes later.
func TestAReplacementOfUnknownEndIsGivenBack(t *testing.T) {
	for _, late := range []bool{false, true} {
		_, s := sharedBy(t, sharedURL(t), 1)
		store, ctx := s[0].Store.(*Redis), context.Background()
		life := lifetime("life", 10)
		s[0].want(s[0].request(Request{ID: "1", Account: "anna", Claims: []Claim{life}}), Go, t0, "")
		r := Request{ID: "1", Account: "anna", Claims: []Claim{life.costing(2)}, Replace: true}
		g := group(r.Claims)
		call := store.reservation(&r, &g, "second", 0)
		if !late {
			if _, err := store.run(ctx, call); err != nil {
				t.Fatal(err)
			}
		}
		store.keepDoubt(&r, &ticket{account: "anna", home: "anna", token: "second"})
		s[0].cancel("1")
		if late {
			if reply, err := store.run(ctx, call); err != nil || reply.what != 'x' {
				t.Errorf("the late call: %q, %v", reply.what, err)
			}
		}
		s[0].wantUsed(life, 0)
	}
}
