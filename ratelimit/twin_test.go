package ratelimit

import "testing"

func numbered(id string, claims ...Claim) Request {
	return Request{ID: id, Account: "anna", Same: "m1", Claims: claims}
}

func TestTheSameMessageWaitsForTheFirst(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		p := pace("pace", minute).waiting(hour)
		s.ask(p)
		s.want(s.request(numbered("a", p)), Booked, t0+minute, "pace")
		s.want(s.request(numbered("b", p)), Twin, t0+minute, "")
		if d := s.request(numbered("a", p)); !d.Repeated || d.Verdict != Booked {
			s.t.Errorf("itself: %+v", d)
		}
		s.clock.add(minute)
		s.fire("a")
		s.want(s.request(numbered("b", p)), Twin, 0, "")
		dry := numbered("c", p)
		dry.Dry = true
		s.want(s.request(dry), Twin, 0, "")
		s.keep("a")
		if d := s.request(dry); !d.Again {
			s.t.Errorf("it was there: %+v", d)
		}
	})
}

func TestASecondSendThatTheServiceDropsIsFree(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := lifetime("life", 9)
		s.request(numbered("a", c))
		s.keep("a")
		r := numbered("b", c)
		r.Dedupes = true
		d := s.request(r)
		s.want(d, Go, t0, "")
		if !d.Again || d.Uses[0].Used != 1 {
			s.t.Errorf("%+v", d)
		}
		s.keep("b")
		s.wantUsed(c, 1)
		// Where it does not, it is another message.
		d = s.request(numbered("c", c))
		if !d.Again || d.Verdict != Go {
			s.t.Errorf("%+v", d)
		}
		s.keep("c")
		s.wantUsed(c, 2)
	})
}

func TestAMessageIsKnownForADay(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := lifetime("life", 9)
		s.request(numbered("a", c))
		s.keep("a")
		r := numbered("b", c)
		r.Dry = true
		if d := s.at(t0 + day24 - 1).request(r); !d.Again {
			s.t.Errorf("a day later: %+v", d)
		}
		if d := s.at(t0 + day24).request(r); d.Again {
			s.t.Errorf("after a day: %+v", d)
		}
	})
}

func TestAfterTheFirstWasGivenBackTheNextIsTheFirst(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		p := pace("pace", minute).waiting(hour)
		for _, back := range []func(id string){
			s.cancel,
			func(id string) { s.cancelItems(id, 0) },
			func(string) { // nobody fires it
				s.clock.add(hour)
				s.ask(p)
			},
		} {
			s.clock.add(hour)
			s.ask(p)
			if d := s.request(numbered("a", p)); d.Verdict != Booked || d.Again {
				s.t.Errorf("the first: %+v", d)
			}
			back("a")
			d := s.request(numbered("b", p))
			if d.Again || d.Verdict == Twin {
				s.t.Errorf("the next: %+v", d)
			}
			s.cancel("b")
		}
	})
}

func TestReplacingAMessageIsNotATwinOfItself(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		p := pace("pace", minute).waiting(hour)
		s.ask(p)
		s.request(numbered("a", p))
		r := numbered("a", p)
		r.Replace = true
		s.want(s.request(r), Booked, t0+minute, "pace")
		s.want(s.request(numbered("b", p)), Twin, t0+minute, "")
	})
}
