package ratelimit

import (
	"path/filepath"
	"testing"
)

func TestAReplyInTimeGivesTheChargeBackOnce(t *testing.T) {
	pot := Pot{Label: "p", Units: 5, Start: t0 - day}
	for name, claim := range map[string]func(s *testStore) Claim{
		"credits":  func(*testStore) Claim { return credits("inmail", pot) },
		"calendar": func(s *testStore) Claim { return s.daily("inmail", 5) },
		"lifetime": func(*testStore) Claim { return lifetime("inmail", 5) },
	} {
		t.Run(name, func(t *testing.T) {
			eachLaw(t, func(s *testStore) {
				c := claim(s)
				to := func(who string) Claim { return c.to(who).returning(hour) }
				_, a := s.ask(to("bert"))
				_, b := s.ask(to("carl"))
				s.keep(a)
				s.clock.set(t0 + hour - 1)
				s.observe(Event{Recipient: "bert", Kind: Replied})
				s.wantUsed(c, 1)
				s.observe(Event{Recipient: "bert", Kind: Replied})
				s.wantUsed(c, 1)
				// While it is open a reply leaves it nothing to give back.
				s.observe(Event{Recipient: "carl", Kind: Replied})
				s.wantUsed(c, 0)
				s.ask(to("dora"))
				s.cancel(b)
				s.wantUsed(c, 1)
			})
		})
	}
}

func TestAReplyTooLateOrTooEarlyGivesNothingBack(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := lifetime("inmail", 5)
		s.clock.set(t0 + hour)
		_, id := s.ask(c.to("bert").returning(hour))
		s.keep(id)
		s.observe(Event{Recipient: "bert", Kind: Replied, At: t0 + hour - 1})
		s.wantUsed(c, 1)
		s.clock.set(t0 + 3*hour)
		s.observe(Event{Recipient: "bert", Kind: Replied, At: t0 + 2*hour})
		s.wantUsed(c, 1)
	})
}

func TestWhatWasGivenBackIsNotGivenBackByAReply(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := lifetime("inmail", 5)
		_, a := s.ask(c.to("bert").returning(hour))
		s.ask(c)
		s.cancel(a)
		s.observe(Event{Recipient: "bert", Kind: Replied})
		s.wantUsed(c, 1)
	})
}

// It counts by its own time, also where it was learned of later.
func TestAReplyThatIsLearnedOfLateCountsByItsTime(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := lifetime("inmail", 5)
		s.ask(c.to("bert").returning(hour))
		s.clock.set(t0 + day)
		s.ask(c.to("carl").returning(hour))
		s.observe(Event{Recipient: "bert", Kind: Replied, At: t0 + hour - 1})
		s.wantUsed(c, 1)
		s.observe(Event{Recipient: "bert", Kind: Replied})
		s.wantUsed(c, 1)
	})
}

// A booking whose charge a reply gave back is not given back again when its
// process dies.
func TestACrashAfterAReplyGivesNothingBackTwice(t *testing.T) {
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	s := &testStore{Store: openAt(t, path, c), t: t, clock: c}
	p, inmail := pace("pace", minute).waiting(hour), lifetime("inmail", 5)
	s.ask(p, inmail)
	_, id := s.ask(p, inmail.to("bert").returning(hour))
	s.clock.set(t0 + minute) // its slot has come, it was not fired yet
	s.observe(Event{Recipient: "bert", Kind: Replied})
	s.wantUsed(inmail, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.Store = openAt(t, path, c)
	s.wantUsed(inmail, 1)
	s.want(s.fire(id), Gone, s.clock.ms, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
