package ratelimit

// What holds for the counter of every measure.

import "testing"

// everyMeasure is one claim of each, on a message to who.
func (s *testStore) everyMeasure(who string) []Claim {
	pot := Pot{Label: "p", Units: 9}
	return []Claim{
		s.daily("calendar", 9), rolling("rolling", 9, hour), lifetime("lifetime", 9),
		credits("credits", pot), lifetime("potted", 0).paying(pot), s.daily("window", 0).paying(pot), rolling("log", 0, hour).paying(pot),
		s.daily("distinct day", 9).distinct().to(who), rolling("distinct roll", 9, hour).distinct().to(who), lifetime("distinct life", 9).distinct().to(who),
		concurrent("concurrent", 9), s.daily("scoped", 9).scoped("service:x"), rolling("pair", 9, hour).by("everybody"),
		{Limit: "unanswered", Measure: Unanswered, Key: "everybody", Cost: 1, Allow: 9},
		{Limit: "settling", Measure: Settling, Key: "everybody", Cost: 1, Allow: 9, Span: day},
		{Limit: "ratio", Measure: Ratio, Recipient: who, Cost: 1, Rate: 1, Sample: 99, Good: Replied, Span: day},
	}
}

// connect makes the recipient one that Settling counts for.
func (s *testStore) connect() {
	for _, account := range []string{"anna", "bea"} {
		s.observe(Event{Account: account, Recipient: "everybody", Kind: Connected, At: t0 - 1})
	}
}

func (s *testStore) wantEach(n int64) {
	s.t.Helper()
	claims := s.everyMeasure("x")
	for i := range claims {
		claims[i].Cost = 0
	}
	for _, u := range s.look(claims...).Uses {
		if u.Used != n {
			s.t.Errorf("%s has counted %d, want %d", u.Limit, u.Used, n)
		}
	}
}

func TestEveryMeasureGivesBackItemByItem(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		s.connect()
		claims := s.everyMeasure("a")
		for _, who := range []string{"b", "c"} {
			for _, cl := range s.everyMeasure(who) {
				claims = append(claims, cl.ofItem(int(who[0]-'a')))
			}
		}
		_, id := s.ask(claims...)
		s.wantEach(3)
		s.cancelItems(id, 1)
		s.wantEach(2)
		s.cancelItems(id, 1)
		s.wantEach(2)
		s.cancel(id)
		s.wantEach(0)
		s.cancel(id)
		s.wantEach(0)
	})
}

func TestEveryMeasureIsReplaced(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		s.connect()
		_, id := s.ask(s.everyMeasure("a")...)
		for range 2 {
			d := s.request(Request{ID: id, Account: "anna", Replace: true, Claims: s.everyMeasure("b")})
			s.want(d, Go, t0, "")
			s.wantEach(1)
		}
	})
}

func TestEveryMeasureOfTwoNamesIsAdded(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		s.connect()
		_, a := s.ask(s.everyMeasure("a")...)
		_, b := s.as("bea", s.everyMeasure("b")...)
		s.request(Request{ID: "both", Account: "anna", Aliases: []string{"bea"}, Claims: []Claim{lifetime("other", 1)}})
		s.wantEach(2)
		s.cancel(b)
		s.wantEach(1)
		s.cancel(a)
		s.wantEach(0)
	})
}
