package ratelimit

// What the laws say where two of them meet.

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
)

// A booking was never sent: what a crash gave back is not the first, and its
// repeat is not free.
func TestAMessageThatACrashGaveBackIsNotKnown(t *testing.T) {
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	s := &testStore{Store: openAt(t, path, c), t: t, clock: c}
	p, life := pace("pace", minute).waiting(hour), lifetime("life", 9)
	s.ask(p)
	s.want(s.request(numbered("a", p, life)), Booked, t0+minute, "pace")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.Store = openAt(t, path, c)
	r := numbered("b", p, life)
	r.Dedupes = true
	if d := s.at(t0 + minute).request(r); d.Again || d.Verdict != Go {
		t.Errorf("the first: %+v", d)
	}
	s.wantUsed(life, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// bert counts until an hour after his message, and carl, who waited for the
// pause alone, from then on. A message to bert now would make both count in
// one hour.
func TestWhoCountsAlreadyMakesNoWindowOverThatIsBooked(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		reach := func(who string) Claim { return rolling("reach", 1, hour).distinct().to(who) }
		s.ask(reach("bert"))
		s.pause("anna", &Hold{Until: t0 + hour + second})
		d, _ := s.at(t0 + minute).ask(reach("carl").waiting(2 * hour))
		s.want(d, Booked, t0+hour+second, PausedLimit)
		s.pause("anna", nil)
		s.want(s.look(reach("bert")), Refused, t0+2*hour+second, "reach")
		d, _ = s.at(t0 + hour - 1).ask(reach("bert"))
		s.want(d, Refused, t0+2*hour+second, "reach")
	})
}

// While both count together anyway, another message changes nothing.
func TestWhoCountsBesideABookingCostsNothing(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		reach := func(who string) Claim { return rolling("reach", 2, hour).distinct().to(who) }
		s.ask(reach("bert"))
		s.pause("anna", &Hold{Until: t0 + hour - 1})
		d, _ := s.at(t0 + minute).ask(reach("carl").waiting(2 * hour))
		s.want(d, Booked, t0+hour-1, PausedLimit)
		s.pause("anna", nil)
		lowered := rolling("reach", 1, hour).distinct().to("bert")
		s.want(s.look(lowered), Go, t0+minute, "")
	})
}

func TestNobodyFiresLongAfterTheSlot(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		p, life := pace("pace", second).waiting(minute), lifetime("life", 9)
		s.ask(p, life)
		_, id := s.ask(p, life)
		s.clock.add(second + abandoned + 1)
		s.want(s.fire(id), Gone, s.clock.ms, "")
		s.wantUsed(life, 1)
	})
}

// A reply gives the charge back, and not that there was one: what accrued
// since is the account's.
func TestAReplyDoesNotUndoWhatAccrued(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		month := func(n int64, label string) Pot {
			return Pot{Label: label, Units: 10, Start: t0 + n*30*day, End: t0 + n*30*day + 90*day, Accrued: true}
		}
		c := credits("inmail", month(0, "m0"), month(1, "m1"))
		_, id := s.ask(c.to("bert").returning(90 * day))
		s.keep(id)
		s.clock.set(t0 + 31*day)
		s.observe(Event{Recipient: "bert", Kind: Replied})
		s.want(s.look(c.costing(20)), Go, t0+31*day, "")
	})
}

func TestThreadsThatStandForEachOtherMakeNoCircle(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		s.observe(Event{Account: "anna", Recipient: "t1", Kind: SameAs, Is: "t2"})
		s.observe(Event{Account: "bea", Recipient: "t2", Kind: SameAs, Is: "t1"})
		pair := func(who string) Claim { return rolling("pair", 2, hour).by(who) }
		s.as("bea", pair("t2"))
		d := s.request(Request{ID: "both", Account: "anna", Aliases: []string{"bea"}, Claims: []Claim{pair("t1")}})
		s.want(d, Go, t0, "")
		d, _ = s.ask(pair("t2"))
		s.want(d, Refused, t0+hour, "pair")
	})
}

func TestAScopeKnowsWhoReplied(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		ratio := Claim{Limit: "answered", Measure: Ratio, Cost: 1, Rate: 500_000, Sample: 2, Good: Replied, Span: day}.scoped("service:x")
		open := Claim{Limit: "open", Measure: Unanswered, Key: "bert", Cost: 1, Allow: 2}.scoped("service:x")
		s.ask(ratio.to("bert"), open)
		s.as("bea", ratio.to("bert"), open)
		s.want(s.look(ratio.to("carl")), Refused, t0+day, "answered")
		s.want(s.look(open), Refused, 0, "open")
		s.observe(Event{Recipient: "bert", Kind: Replied, At: t0})
		s.want(s.look(ratio.to("carl")), Go, t0, "")
		s.want(s.look(open), Go, t0, "")
		// Long after, the reply is still not forgotten for what it answered.
		s.clock.set(t0 + 100*day)
		for i := range 50 {
			s.ask(rolling("pair", 1, hour).by(fmt.Sprint("r", i)))
		}
		s.want(s.look(open.costing(2)), Go, t0+100*day, "")
	})
}

func TestAScopeKnowsWhoIsAConnection(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		settle := Claim{Limit: "settle", Measure: Settling, Key: "bert", Cost: 1, Allow: 1, Span: day}.scoped("service:x")
		s.observe(Event{Recipient: "bert", Kind: Connected, At: t0})
		d, _ := s.ask(settle)
		s.want(d, Go, t0, "")
		s.want(s.look(settle), Refused, t0+day, "settle")
		s.at(t0 + 1).observe(Event{Recipient: "bert", Kind: Replied})
		s.want(s.look(settle), Go, t0+1, "")
	})
}

func TestTheSameMessageUnderAnotherNameIsATwin(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		p := pace("pace", minute).waiting(hour)
		s.as("bea", p)
		r := numbered("a", p)
		r.Account = "bea"
		s.want(s.request(r), Booked, t0+minute, "pace")
		r = numbered("b", p)
		r.Aliases = []string{"bea"}
		for _, r.Dry = range []bool{true, false} {
			s.want(s.request(r), Twin, t0+minute, "")
		}
		if name, _ := s.Resolve(context.Background(), []string{"bea"}); name != "bea" {
			s.t.Errorf("a twin joined bea to %q", name)
		}
		s.at(t0 + minute).fire("a")
		s.keep("a")
		if d := s.request(r); !d.Again || d.Account != "anna" {
			s.t.Errorf("after the first: %+v", d)
		}
	})
}

func TestARatioOfOneRecipientCounts(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := Claim{Limit: "answered", Measure: Ratio, Key: "bert", Recipient: "bert", Cost: 1, Rate: 500_000, Sample: 2, Good: Replied, Span: day}
		s.ask(c)
		s.ask(c)
		s.want(s.look(c), Refused, t0+day, "answered")
		s.observe(Event{Recipient: "bert", Kind: Replied})
		s.wantUsed(c, 0)
		s.want(s.look(c), Go, t0, "")
	})
}

func TestARampThatHasNotBegunSaysHowManyFit(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		for _, c := range []Claim{s.daily("grow", 100).ramped(20, day), rolling("roll", 100, day).ramped(20, day)} {
			if d := s.look(c.costing(21)); !d.Never() || d.Fits != 20 {
				s.t.Errorf("%s: %+v", c.Limit, d)
			}
			if d := s.look(c.distinct().to("a"), c.distinct().to("b")); d.Verdict != Go {
				s.t.Errorf("%s, distinct: %+v", c.Limit, d)
			}
		}
	})
}

// Whoever is refused by a limit that was lowered far must not hold up all
// others while the time is looked for at which enough have left.
func TestTheTimeAfterALoweredAllowanceIsFoundAtOnce(t *testing.T) {
	m := NewMemory(Options{Now: (&fakeClock{ms: t0}).now})
	s := &testStore{Store: m, t: t}
	var claims []Claim
	for i := range 1000 {
		claims = append(claims, rolling("reach", 1000, hour).distinct().to(fmt.Sprint(i)))
	}
	s.ask(claims...)
	ctr := m.shelf.accounts["anna"].wide.find("reach", Rolling|distinctBit, "")
	for i := range ctr.seen {
		ctr.seen[i].at = t0 + int64(i)
	}
	late := rolling("reach", 10, hour).distinct().to("late")
	s.want(s.look(late), Refused, t0+990+hour, "reach")
	if n := testing.AllocsPerRun(1, func() { s.look(late) }); n > 200 {
		t.Errorf("%v allocations", n)
	}
}

// A message may leave more records than it has recipients: a text leaves one
// for each of its bands.
func TestMemoryForgetsAsFastAsItLearns(t *testing.T) {
	const texts, rounds = 100, 8
	c := &fakeClock{ms: t0}
	m := NewMemory(Options{Now: c.now})
	s := &testStore{Store: m, t: t, clock: c}
	most := 0
	for round := range rounds {
		for i := range texts {
			l := &Likeness{Exact: fmt.Sprint(round, i), Signature: "s"}
			for b := range 16 {
				l.Bands = append(l.Bands, fmt.Sprint(round, i, b))
			}
			s.ask(Claim{Limit: "alike", Measure: Similar, Recipient: "bert", Cost: 1, Allow: 3, Gap: day, Rate: 1_000_000, Likeness: l})
		}
		most = max(most, len(m.shelf.accounts["anna"].keyed))
		c.add(100 * day)
	}
	if most > 3*texts*17 {
		t.Errorf("it knows %d records at once", most)
	}
}

// A Keep has nothing to write that could fail.
func TestAFailedGroupDoesNotOpenWhatWasKept(t *testing.T) {
	c := &fakeClock{ms: t0}
	m := NewMemory(Options{Now: c.now})
	s := &testStore{Store: m, t: t, clock: c}
	m.engine.undoable = true
	busy := concurrent("busy", 2)
	s.request(numbered("a", busy))
	s.ask(busy)
	m.engine.settled()
	s.keep("a")
	m.engine.rollback()
	s.wantUsed(busy, 1)
	if d := s.request(numbered("b", busy)); d.Verdict != Go || !d.Again {
		t.Errorf("after it was kept: %+v", d)
	}
}

func TestSharesAndAllowancesBeyondAllReasonAreInvalid(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		for _, c := range []Claim{
			{Limit: "r", Measure: Ratio, Cost: 1, Span: day, Rate: 1_000_001},
			{Limit: "r", Measure: Ratio, Cost: 1, Span: day, Sample: maxCost + 1},
			lifetime("life", -maxCost-1),
		} {
			if _, err := s.Reserve(context.Background(), Request{ID: "x", Account: "anna", Claims: []Claim{c}}); err == nil {
				s.t.Errorf("%+v is taken", c)
			}
		}
	})
}

// What is restored is older than what is on its way.
func TestARestoredMessageHidesNoTwin(t *testing.T) {
	c := &fakeClock{ms: t0}
	m := NewMemory(Options{Now: c.now})
	s := &testStore{Store: m, t: t, clock: c}
	life := lifetime("life", 9)
	s.request(numbered("a", life))
	if err := m.Charge(context.Background(), numbered("old", life), t0-hour); err != nil {
		t.Fatal(err)
	}
	s.wantUsed(life, 2)
	s.want(s.request(numbered("b", life)), Twin, 0, "")
}
