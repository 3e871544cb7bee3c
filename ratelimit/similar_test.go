package ratelimit

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// worded is a text that differs from the one of its name in so many of the 96
// bytes, spread over all bands.
func worded(name string, changed int) *Likeness {
	sig := make([]byte, 96)
	for i := range sig {
		sig[i] = byte(i)*7 ^ name[0]
	}
	for k := range changed {
		sig[95-11*k%96] ^= 0x55
	}
	l := &Likeness{Exact: fmt.Sprint(name, changed), Signature: string(sig)}
	for b := range 16 {
		l.Bands = append(l.Bands, fmt.Sprintf("%x%s", b, hex.EncodeToString(sig[3*b:3*b+3])))
	}
	return l
}

func similar(text *Likeness, to string) Claim {
	return Claim{Limit: "broadcast", Measure: Similar, Cost: 1, Rate: 800_000, Allow: 3, Gap: 14 * day, Recipient: to, Likeness: text}
}

func TestABroadcastIsOpenForADayAndThenWaitsForTheGap(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		for i := range int64(50) { // within a day, to as many as it likes
			d, _ := s.at(t0 + i*20*minute).ask(similar(worded("a", int(i%2)*9), fmt.Sprint("r", i)))
			s.want(d, Go, t0+i*20*minute, "")
			if want := min(i+1, 3+groupSpare+50); d.Uses[0].Used != want {
				t.Errorf("%d recipients, want %d", d.Uses[0].Used, want)
			}
		}
		last := int64(t0 + 49*20*minute)
		again := similar(worded("a", 0), "new")
		s.at(t0+day-1).want(s.look(again), Go, t0+day-1, "")
		s.at(t0+day).want(s.look(again), Refused, last+14*day, "broadcast")
		s.want(s.look(similar(worded("a", 0), "r1")), Refused, last+14*day, "broadcast") // also to one of them
		s.want(s.look(similar(worded("a", 19), "new")), Refused, last+14*day, "broadcast")
		s.want(s.look(similar(worded("a", 20), "new")), Go, t0+day, "") // alike by less than 0.8
		s.want(s.look(similar(worded("b", 0), "new")), Go, t0+day, "")
		s.want(s.look(similar(nil, "new")), Go, t0+day, "")
		s.at(last+14*day-1).want(s.look(again), Refused, last+14*day, "broadcast")
		d, _ := s.at(last + 14*day).ask(again)
		s.want(d, Go, last+14*day, "")
		if d.Uses[0].Used != 1 {
			t.Errorf("it is a new group: %+v", d.Uses[0])
		}
	})
}

func TestFewerRecipientsAreNoBroadcast(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		text := worded("a", 0)
		for i := range int64(10) { // to the same two, every other day
			for _, to := range []string{"x", "y"} {
				d, _ := s.at(t0 + i*2*day).ask(similar(text, to))
				s.want(d, Go, t0+i*2*day, "")
			}
		}
		d, _ := s.ask(similar(text, "z")) // the third would make one that is older than a day
		s.want(d, Refused, t0+18*day+14*day, "broadcast")
		s.want(s.look(similar(text, "x")), Go, t0+18*day, "")
	})
}

func TestWhatIsGivenBackWasNoPartOfTheBroadcast(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		text := worded("a", 0)
		s.ask(similar(text, "x"))
		s.ask(similar(text, "x"))
		_, y := s.ask(similar(text, "y"))
		_, z := s.at(t0 + hour).ask(similar(text, "z"))
		s.at(t0+day).want(s.look(similar(text, "x")), Refused, t0+hour+14*day, "broadcast")
		s.cancel(z)
		s.want(s.look(similar(text, "x")), Go, t0+day, "")
		s.want(s.look(similar(text, "z")), Refused, t0+14*day, "broadcast")
		s.cancel(y)
		s.want(s.look(similar(text, "z")), Go, t0+day, "")
		s.wantUsed(similar(text, "x"), 1)
	})
}

// A thousand in one request, taken back one by one, is as if it had not been.
func TestABatchTakenBackIsGone(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		text := worded("a", 0)
		s.ask(similar(text, "x"))
		var batch []Claim
		for i := range 1000 {
			batch = append(batch, similar(text, fmt.Sprint("r", i)).ofItem(i))
		}
		d, id := s.at(t0 + hour).ask(batch...)
		s.want(d, Go, t0+hour, "")
		s.wantUsed(similar(text, "x"), 1001)
		for i := range 998 {
			s.cancelItems(id, i)
		}
		s.wantUsed(similar(text, "x"), 3)
		s.cancel(id)
		s.wantUsed(similar(text, "x"), 1)
		s.at(t0+day).want(s.look(similar(text, "y")), Go, t0+day, "")
		s.want(s.look(similar(text, "y"), similar(text, "z")), Refused, t0+14*day, "broadcast")
	})
}

func TestAtOneOnlyTheSameTextIsAlike(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		exact := func(l *Likeness, to string) Claim {
			c := similar(l, to)
			c.Rate, c.Allow = 1_000_000, 1
			return c
		}
		other := *worded("a", 0)
		other.Exact = "the same words in another order"
		s.ask(exact(worded("a", 0), "x"))
		s.at(t0+day).want(s.look(exact(worded("a", 0), "y")), Refused, t0+14*day, "broadcast")
		s.want(s.look(exact(&other, "y")), Go, t0+day, "")
	})
}

// Bands are forgotten after the groups that they name, never before, also
// where a small group lives on for years.
func TestABandIsNotForgottenBeforeItsGroup(t *testing.T) {
	clock := &fakeClock{ms: t0}
	m := NewMemory(Options{Now: clock.now})
	s := &testStore{Store: m, t: t, clock: clock}
	text := worded("a", 0)
	for i := range int64(60) {
		s.at(t0 + i*13*day).ask(similar(text, "x"))
	}
	forget := func(now int64) (bands, groups int) {
		keys, _ := m.shelf.keys("anna")
		for _, k := range keys {
			rec, _ := m.shelf.load("anna", k)
			c := rec.clone("anna", k)
			c.forget(now)
			if len(c.counters) == 0 {
				continue
			}
			if strings.HasPrefix(k, bandKey) {
				bands++
			} else if strings.HasPrefix(k, groupKey) {
				groups++
			}
		}
		return bands, groups
	}
	end := int64(t0 + 59*13*day + 14*day)
	if bands, groups := forget(end - 1); bands != 16 || groups != 1 {
		t.Errorf("before its end: %d bands, %d groups", bands, groups)
	}
	if bands, groups := forget(end + 2*lingers); bands != 0 || groups != 0 {
		t.Errorf("long after: %d bands, %d groups", bands, groups)
	}
}

func TestTheGroupsOfTwoNamesAreAdded(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		text := worded("a", 0)
		s.ask(similar(text, "x"))
		s.as("anna2", similar(text, "y"))
		s.as("anna2", similar(text, "z"))
		s.at(t0 + hour)
		d := s.request(Request{ID: "both", Account: "anna", Aliases: []string{"anna2"}, Claims: []Claim{similar(worded("b", 0), "x")}})
		s.want(d, Go, t0+hour, "")
		s.wantUsed(similar(text, "x"), 3)
		s.at(t0+day).want(s.look(similar(text, "x")), Refused, t0+14*day, "broadcast")
	})
}

// A group is small, however many it went to.
func TestAGroupDoesNotGrowWithItsRecipients(t *testing.T) {
	clock := &fakeClock{ms: t0}
	m := NewMemory(Options{Now: clock.now})
	s := &testStore{Store: m, t: t, clock: clock}
	for i := range int64(5000) {
		s.at(t0 + i*1000).ask(similar(worded("a", 0), fmt.Sprintf("%016x", i)))
	}
	keys, _ := m.shelf.keys("anna")
	i := slices.IndexFunc(keys, func(k string) bool { return strings.HasPrefix(k, groupKey) })
	rec, _ := m.shelf.load("anna", keys[i])
	size := len(appendRecord(nil, rec))
	if c := rec.find("broadcast", Similar, ""); size > 1200 || c.log[0].at != t0 || c.total != 5000 {
		t.Errorf("%d bytes, from t0%+d on, %d messages", size, c.log[0].at-t0, c.total)
	}
	s.wantUsed(similar(worded("a", 0), "x"), 5000)
}

// What is booked for after the day is part of the group already: with it, a
// third recipient would make a broadcast that is open for longer.
func TestABookingAheadBelongsToTheBroadcast(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		text, space := worded("a", 0), pace("pace", 2*minute).waiting(5*minute)
		s.ask(similar(text, "x"))
		now := int64(t0 + day - minute)
		s.at(now).ask(space)
		d, _ := s.ask(space, similar(text, "y"))
		s.want(d, Booked, t0+day+minute, "pace")
		s.want(s.look(similar(text, "z")), Refused, t0+day+minute+14*day, "broadcast")
		s.want(s.look(similar(text, "x")), Go, now, "")
	})
}

func TestAGroupLastsADayAtLeast(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := func(to string) Claim {
			c := similar(worded("a", 0), to)
			c.Gap = hour
			return c
		}
		s.ask(c("x"))
		s.ask(c("y"))
		d, _ := s.at(t0 + 2*hour).ask(c("z"))
		if d.Uses[0].Used != 3 || d.Uses[0].Resets != t0+day {
			t.Errorf("after the gap, within the day: %+v", d.Uses[0])
		}
		d, _ = s.at(t0 + day).ask(c("x"))
		if d.Uses[0].Used != 1 {
			t.Errorf("after the day: %+v", d.Uses[0])
		}
	})
}
