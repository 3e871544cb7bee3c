package ratelimit

import "testing"

func TestAScopeIsOneCounterForAllAccounts(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		all := func() Claim { return s.daily("all", 3).scoped("service:x") }
		_, a := s.as("anna", all(), s.daily("own", 9))
		s.as("bea", all())
		s.as("anna", all())
		d, _ := s.as("bea", all(), lifetime("life", 9))
		s.want(d, Refused, t0+day, "all")
		if u := s.request(Request{Account: "bea", Dry: true, Claims: []Claim{lifetime("life", 9)}}).Uses[0]; u.Used != 0 {
			s.t.Errorf("the refused one took from life: %+v", u)
		}
		d, _ = s.as("bea", s.daily("all", 3)) // the account's own is another
		s.want(d, Go, t0, "")
		s.cancel(a)
		d, _ = s.as("bea", all())
		s.want(d, Go, t0, "")
		s.wantUsed(s.daily("own", 9), 0)
	})
}

func TestOrderOfArrivalHoldsAcrossAccounts(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		s.clock.set(t0 + day - 2*second)
		all := func(n int64) Claim {
			return s.daily("all", 5).scoped("service:x").waiting(4 * second).costing(n)
		}
		s.as("anna", all(3))
		d, big := s.as("anna", all(4))
		s.want(d, Booked, t0+day, "all")
		// There is room for one now, but anna's was first.
		d, small := s.as("bea", all(1))
		s.want(d, Booked, t0+day, "all")
		s.cancel(small)
		s.cancel(big)
		d, _ = s.as("bea", all(1))
		s.want(d, Go, t0+day-2*second, "")
	})
}

func TestAScopeOfRecipientsIsSharedToo(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		pair := rolling("pair", 1, hour).by("bert").scoped("service:x")
		s.as("anna", pair)
		d, _ := s.as("bea", pair.waiting(hour))
		s.want(d, Later, t0+hour, "pair")
	})
}

func TestAMergedAccountKeepsItsPlaceInAScope(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		p := pace("all", minute).scoped("service:x").waiting(hour)
		s.as("carl", p)
		_, b := s.as("bea", p)
		d := s.request(Request{ID: "both", Account: "anna", Aliases: []string{"bea"}, Claims: []Claim{p}})
		s.want(d, Booked, t0+2*minute, "all")
		s.cancel("both")
		s.cancel(b)
		d, _ = s.as("carl", p)
		s.want(d, Booked, t0+minute, "all")
	})
}
