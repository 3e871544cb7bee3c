package ratelimit

import "testing"

func unanswered(allow, gap int64, to string) Claim {
	return Claim{Limit: "follow-up", Measure: Unanswered, Cost: 1, Allow: allow, Gap: gap, Key: to, Recipient: to}
}

func (s *testStore) replied(who string, at int64) {
	s.t.Helper()
	s.observe(Event{Recipient: who, Kind: Replied, At: at})
}

func (s *testStore) connected(who string, at int64) {
	s.t.Helper()
	s.observe(Event{Recipient: who, Kind: Connected, At: at})
}

func TestOnlyAReplyMakesRoomForMoreUnanswered(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := unanswered(2, hour, "bert")
		d, _ := s.ask(c)
		s.want(d, Go, t0, "")
		d, _ = s.ask(c)
		s.want(d, Refused, t0+hour, "follow-up")
		s.at(t0+hour-1).want(s.look(c), Refused, t0+hour, "follow-up")
		d, _ = s.at(t0 + hour).ask(c)
		s.want(d, Go, t0+hour, "")
		if d.Uses[0].Used != 2 || d.Uses[0].Resets != 0 {
			t.Errorf("uses: %+v", d.Uses)
		}
		// A year later as today: nobody has answered.
		d = s.at(t0 + 365*day).look(c.waiting(minute))
		if !d.Never() || d.Fits != 0 {
			t.Errorf("unanswered for a year: %+v", d)
		}
		s.want(s.look(unanswered(2, hour, "carl")), Go, t0+365*day, "")

		s.replied("bert", t0+hour-1) // to the first: the second is still unanswered
		s.wantUsed(c, 1)
		s.replied("bert", t0+hour)
		s.wantUsed(c, 0)
		s.replied("bert", t0+1) // an older one says nothing new
		s.want(s.look(c), Go, t0+365*day, "")
	})
}

func TestAGapLetsNoTwoGoToOneRecipientAtOnce(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := unanswered(5, hour, "bert")
		d, _ := s.ask(c.ofItem(0), c.ofItem(1))
		if !d.Never() || d.Fits != 1 {
			t.Errorf("two at once: %+v", d)
		}
		c.Gap = 0
		d, id := s.ask(c.ofItem(0), c.ofItem(1))
		s.want(d, Go, t0, "")
		s.cancelItems(id, 1)
		s.wantUsed(c, 1)
		s.cancel(id)
		s.wantUsed(c, 0)
	})
}

// Nothing but a reply ends it, so the sweep must not either; what was answered
// is not kept.
func TestWhoNeverAnswersIsRemembered(t *testing.T) {
	k := unansweredKind{}
	c := &counter{limit: "l", measure: Unanswered}
	c.addEntry(entry{at: t0, n: 1})
	if k.over(c, forever) {
		t.Error("an unanswered message is forgotten")
	}
	r := &record{replied: t0, counters: []counter{*c}}
	if r.answered(); !k.over(&r.counters[0], t0) {
		t.Error("an answered message is kept")
	}
}

func TestTheUnansweredOfTwoNamesAreAdded(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := unanswered(3, 0, "bert")
		s.ask(c)
		s.as("anna2", c)
		s.as("anna2", c)
		d := s.request(Request{ID: "both", Account: "anna", Aliases: []string{"anna2"}, Claims: []Claim{unanswered(9, 0, "bert")}})
		s.want(d, Go, t0, "")
		s.wantUsed(c, 4)
		s.replied("bert", 0)
		s.wantUsed(c, 0)
	})
}

func TestALongLogOfShadowsIsBounded(t *testing.T) {
	c := &counter{}
	for i := range int64(3 * exactEntries) {
		c.addEntry(entry{at: i, n: 1})
		c.foldOldest(0)
	}
	n, last := c.openSince(-1)
	if len(c.log) > exactEntries || n != 3*exactEntries || last != 3*exactEntries-1 {
		t.Errorf("%d entries, %d messages, the last at %d", len(c.log), n, last)
	}
}
