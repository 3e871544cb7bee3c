package ratelimit

// A booking that is decided anew only for the better, on every store.

import "testing"

// sooner asks whether a booking may go sooner under other claims.
func (s *testStore) sooner(account, id string, claims ...Claim) Decision {
	s.t.Helper()
	dry := s.request(Request{ID: id, Account: account, Claims: claims, Replace: true, Sooner: true, Dry: true})
	d := s.request(Request{ID: id, Account: account, Claims: claims, Replace: true, Sooner: true})
	if dry.Verdict != d.Verdict || dry.At != d.At || dry.Repeated != d.Repeated {
		s.t.Errorf("%s: asked dry %+v, then %+v", id, dry, d)
	}
	return d
}

// kept expects that a booking has what it had.
func (s *testStore) kept(d Decision, at int64, limit string) {
	s.t.Helper()
	if s.want(d, Booked, at, limit); !d.Repeated {
		s.t.Errorf("it was decided anew: %+v", d)
	}
}

func TestABookingGoesSoonerWhereThereIsRoom(t *testing.T) {
	eachStore(t, func(s *testStore) {
		all := func(span int64) Claim { return pace("all", span).scoped("service:x").waiting(hour) }
		life := lifetime("life", 9)
		s.as("anna", all(minute), life)
		_, b := s.as("bea", all(minute), life)
		_, c := s.as("carl", all(minute), life)
		s.kept(s.sooner("bea", b, all(minute), life), t0+minute, "all")
		s.want(s.sooner("bea", b, all(30*second), life), Booked, t0+30*second, "all")
		s.want(s.sooner("carl", c, all(30*second), life), Booked, t0+minute, "all")
		s.want(s.sooner("bea", b, life), Go, t0, "")
		if d := s.sooner("bea", b, all(hour), life); d.Verdict != Go || !d.Repeated { // it is on its way
			s.t.Errorf("%+v", d)
		}
		s.wantUsed(life, 1)
		if u := s.request(Request{Account: "bea", Dry: true, Claims: []Claim{life}}).Uses[0]; u.Used != 1 {
			s.t.Errorf("bea's is counted %d times", u.Used)
		}
		s.cancel(b)
		s.cancel(c)
		d, _ := s.as("carl", all(30*second))
		s.want(d, Booked, t0+30*second, "all")
	})
}

func TestABookingThatGoesNoSoonerKeepsWhatItHas(t *testing.T) {
	eachStore(t, func(s *testStore) {
		all := func(span int64) Claim { return pace("all", span).scoped("service:x").waiting(5 * minute) }
		life := lifetime("life", 9)
		s.as("anna", all(minute), life)
		_, b := s.as("bea", all(minute), life)
		_, c := s.as("carl", all(minute), life)
		s.kept(s.sooner("bea", b, all(90*second), life), t0+minute, "all")
		s.kept(s.sooner("bea", b, all(minute), lifetime("other", 9).costing(5)), t0+minute, "all")
		if u := s.request(Request{Account: "bea", Dry: true, Claims: []Claim{life, lifetime("other", 9)}}).Uses; u[0].Used != 1 || u[1].Used != 0 {
			s.t.Errorf("%+v", u)
		}
		d, _ := s.as("dora", all(minute))
		s.want(d, Booked, t0+3*minute, "all")
		s.clock.set(t0 + minute)
		s.want(s.fire(b), Go, t0+minute, "")
		s.clock.set(t0 + 2*minute)
		s.want(s.fire(c), Go, t0+2*minute, "")
	})
}

// Of the same limit, whose wait was shortened or whose allowance is less than the
// message costs, a refusal is the rules'; of another, or because somebody who came
// before it was moved, it may not be one when the booking is due.
func TestABookingIsRefusedOnlyForItself(t *testing.T) {
	all := func(span, wait int64) Claim { return pace("all", span).scoped("service:x").waiting(wait) }
	for _, c := range []struct {
		name   string
		claims []Claim
		limit  string // that refuses; "" where it is kept
	}{
		{"it may not wait so long", []Claim{all(minute, second)}, "all"},
		{"nothing is allowed", []Claim{all(minute, hour), lifetime("none", 0)}, "none"},
		{"less than it costs", []Claim{all(minute, hour), rolling("few", 2, hour).scoped("service:x").costing(3)}, "few"},
		{"others have used up what it did not wait for", []Claim{all(minute, hour), lifetime("used", 3).scoped("service:x")}, ""},
		{"another limit has no room yet", []Claim{all(minute, hour), rolling("full", 3, 10*second).scoped("service:x")}, ""},
		{"a place behind those that came later", []Claim{all(90*second, 2*minute)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachStore(t, func(s *testStore) {
				s.as("dora", lifetime("used", 9).scoped("service:x").costing(3), rolling("full", 9, hour).scoped("service:x").costing(3))
				s.as("anna", all(minute, hour))
				_, b := s.as("bea", all(minute, hour), lifetime("life", 9))
				_, e := s.as("carl", all(minute, hour))
				d := s.sooner("bea", b, append(c.claims, lifetime("life", 9))...)
				if c.limit == "" {
					s.kept(d, t0+minute, "all")
					s.clock.set(t0 + minute)
					s.want(s.fire(b), Go, s.clock.ms, "")
					return
				}
				if d.Verdict != Refused || d.Limit != c.limit || d.Repeated {
					s.t.Errorf("%+v", d)
				}
				s.want(s.fire(b), Gone, t0, "")
				if u := s.request(Request{Account: "bea", Dry: true, Claims: []Claim{lifetime("life", 9)}}).Uses[0]; u.Used != 0 {
					s.t.Errorf("%d are counted", u.Used)
				}
				s.want(s.fire(e), Booked, t0+2*minute, "all")
			})
		})
	}
}

// Between those that wait there may be room for one that has its place already,
// and for nobody else.
func TestABookingGoesIntoAGapBeforeThoseBehindIt(t *testing.T) {
	eachStore(t, func(s *testStore) {
		s.clock.set(t0 + 1) // such times are not rounded
		roll := func(allow int64) Claim { return rolling("roll", allow, minute).scoped("service:x").waiting(hour) }
		s.as("anna", roll(2).costing(2))
		var held []string
		for _, who := range []string{"bea", "carl", "dora", "emil"} { // two a minute
			d, id := s.as(who, roll(2))
			s.want(d, Booked, t0+1+minute*int64(1+len(held)/2), "roll")
			held = append(held, id)
		}
		s.clock.set(t0 + second)
		s.want(s.sooner("bea", held[0], roll(3)), Go, t0+second, "")
		s.kept(s.sooner("carl", held[1], roll(3)), t0+1+minute, "roll")
		s.want(s.sooner("dora", held[2], roll(3)), Booked, t0+1+minute, "roll")
		s.want(s.sooner("emil", held[3], roll(3)), Booked, t0+minute+second, "roll")
		d, _ := s.as("fred", roll(9).waiting(0))
		s.want(d, Refused, t0+minute+second, "roll") // not before those who wait
	})
}

// A booking that goes sooner pushes back nobody, of its own account either.
func TestNobodyStepsBackForABookingThatGoesSooner(t *testing.T) {
	eachStore(t, func(s *testStore) {
		p := pace("pace", 10*second).waiting(hour)
		ws := s.hold(4, p) // now, +10s, +20s, +30s
		s.clock.set(t0 + second)
		faster := pace("pace", 5*second).waiting(hour)
		// Those behind it count by their own pace until they are decided anew.
		s.kept(s.sooner("anna", ws[1].id, faster.costing(2)), t0+10*second, "pace")
		s.want(s.sooner("anna", ws[1].id, faster), Booked, t0+5*second, "pace")
		s.kept(s.sooner("anna", ws[2].id, faster.costing(4)), t0+20*second, "pace")
		s.want(s.sooner("anna", ws[2].id, faster), Booked, t0+10*second, "pace")
		s.want(s.fire(ws[3].id), Booked, t0+30*second, "pace")
	})
}

func TestAResumedAccountsBookingGoesSooner(t *testing.T) {
	eachStore(t, func(s *testStore) {
		all := pace("all", second).scoped("service:x").waiting(hour)
		s.as("anna", all)
		s.pause("bea", &Hold{Until: t0 + minute})
		_, b := s.as("bea", all)
		d, _ := s.as("carl", all.waiting(0))
		s.want(d, Refused, t0+minute+second, "all")
		s.kept(s.sooner("bea", b, all), t0+minute, PausedLimit)
		s.pause("bea", nil)
		s.want(s.sooner("bea", b, all), Booked, t0+second, "all")
	})
}

// What turns out to be another's number, or shows an account that it did not, is
// left for when it is due.
func TestABookingOfAnotherMeaningIsLeft(t *testing.T) {
	eachStore(t, func(s *testStore) {
		p := pace("pace", minute).waiting(hour)
		life := lifetime("life", 9)
		s.as("anna", p)
		s.request(Request{ID: "first", Account: "anna", Same: "1", Claims: []Claim{life}})
		_, b := s.as("anna", p)
		for _, r := range []Request{
			{Account: "anna", Same: "1"}, {Account: "bea"}, {Account: "anna", Aliases: []string{"bea"}},
		} {
			r.ID, r.Replace, r.Sooner, r.Claims = b, true, true, []Claim{life}
			if r.Account == "bea" {
				if _, shared := s.Store.(*Redis); shared {
					continue // it looks at the one account only
				}
			}
			s.kept(s.request(r), t0+minute, "pace")
		}
		s.want(s.sooner("anna", b, life), Go, t0, "")
		s.want(s.sooner("anna", "unknown", life), Go, t0, "")
	})
}

// A gap is measured from what went last, however long ago it stopped to keep
// anybody back at the pace of then.
func TestAGapIsMeasuredFromWhatWentLast(t *testing.T) {
	eachStore(t, func(s *testStore) {
		p, roll := pace("pace", second).waiting(hour), rolling("roll", 1, minute).waiting(hour)
		s.ask(p, roll)
		s.clock.set(t0 + 5*second)
		d, id := s.ask(p, roll)
		s.want(d, Booked, t0+minute, "roll")
		s.clock.set(t0 + 6*second)
		d, _ = s.ask(p)
		s.want(d, Booked, t0+minute+second, "pace")
		s.clock.set(t0 + 7*second)
		s.want(s.sooner("anna", id, pace("pace", 10*second).waiting(hour), rolling("roll", 9, minute).waiting(hour)), Booked, t0+10*second, "pace")
	})
}
