package ratelimit

// A ledger that was written under a wrong clock.

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// y2036 is 2036-01-01T10:00:00Z.
const y2036 = 2_082_794_400_000

func TestALedgerFromTheFutureIsNotOpened(t *testing.T) {
	c := &fakeClock{ms: y2036}
	path := filepath.Join(t.TempDir(), "ledger.db")
	s := &testStore{Store: openAt(t, path, c), t: t, clock: c}
	s.ask(lifetime("life", 5))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.set(t0)
	for range 2 {
		_, err := OpenEmbedded(path, Options{Now: c.now})
		if !errors.Is(err, ErrClock) {
			t.Fatalf("%v", err)
		}
		for _, part := range []string{"2036-01-01T10:00:00Z", "2026-11-23T00:00:00Z", "set the system clock right"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not say %q", err, part)
			}
		}
	}
	// An hour is waited for, as while running; also where the new clock was to
	// be accepted.
	for _, accept := range []bool{false, true} {
		c.set(y2036 - hour)
		e, err := OpenEmbedded(path, Options{Now: c.now, AcceptClock: accept})
		if err != nil {
			t.Fatal(err)
		}
		s.Store = e
		if d := s.look(lifetime("life", 5)); d.Now != y2036 || d.Uses[0].Used != 1 {
			t.Errorf("%+v", d)
		}
		_ = s.Close()
	}
	c.set(y2036 - hour - 1)
	if _, err := OpenEmbedded(path, Options{Now: c.now}); !errors.Is(err, ErrClock) {
		t.Errorf("a millisecond more: %v", err)
	}
}

func TestAnAcceptedClockBringsBackWhatWasCountedLater(t *testing.T) {
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	s := &testStore{Store: openAt(t, path, c), t: t, clock: c}
	reopen := func(ms int64, accept bool) {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		c.set(ms)
		e, err := OpenEmbedded(path, Options{Now: c.now, AcceptClock: accept})
		if err != nil {
			t.Fatal(err)
		}
		s.Store = e
	}
	send := func(account string, claims ...Claim) {
		t.Helper()
		s.n++
		if d := s.request(Request{ID: fmt.Sprint(s.n), Account: account, Claims: claims}); d.Verdict != Go {
			t.Fatalf("%s: %+v", account, d)
		}
	}
	roll, slow, life := rolling("roll", 9, 10*hour), pace("pace", hour), lifetime("life", 9)

	// Under the right clock.
	c.set(t0 + hour)
	send("quiet", s.daily("day", 9).costing(5), roll.costing(2), life, lifetime("to", 9).by("bert"))
	send("busy", s.daily("day", 9).costing(4), roll.costing(2), life)
	s.pause("quiet", &Hold{Until: t0 + 7*day, Why: "right"})
	send("busy", lifetime("old name", 9))
	s.request(Request{ID: "alias", Account: "busy", Aliases: []string{"cookie"}})

	// Under the wrong one, over two days.
	reopen(y2036-day, false)
	send("busy", s.daily("day", 9), roll.costing(3), slow, life, rolling("pair", 9, 10*hour).by("carl"))
	s.pause("busy", &Hold{Until: y2036 - hour, Why: "over"})
	s.pause("new", &Hold{Until: y2036 + 3*hour, Why: "wrong"})
	c.set(y2036 - 9*hour)
	s.pause("busy", nil)
	send("busy", s.daily("day", 9).costing(2), roll.costing(2), life)
	c.set(y2036)
	send("busy", roll.costing(1), slow, rolling("pair", 9, 10*hour).by("carl"))
	d := s.request(Request{ID: "waits", Account: "busy", Claims: []Claim{slow.waiting(hour), roll}})
	s.want(d, Booked, y2036+hour, "pace")

	// Right again: three hours after it went wrong.
	reopen(t0+3*hour, true)
	now := int64(t0 + 3*hour)
	use := func(account string, cl Claim) Use { t.Helper(); return s.look2(account, cl).Uses[0] }
	if d := s.look2("busy", roll); d.Now != now {
		t.Errorf("now is t0%+d", d.Now-t0)
	}
	for _, u := range []struct {
		account      string
		claim        Claim
		used, resets int64
	}{
		// Nobody wrote to it in 2036: all is as it was.
		{"quiet", s.daily("day", 9), 5, t0 + day},
		{"quiet", roll, 2, t0 + 11*hour},
		{"quiet", life, 1, 0},
		{"quiet", lifetime("to", 9).by("bert"), 1, 0},
		// The day in hand is the last that was counted.
		{"busy", s.daily("day", 9), 2, now + day},
		{"busy", roll, 3, now + hour}, // 2 of nine hours ago, 1 of now; the booking came back
		{"busy", slow, 0, now + hour},
		{"busy", life, 3, 0},
		{"busy", rolling("pair", 9, 10*hour).by("carl"), 1, now + 10*hour},
		{"cookie", life, 3, 0}, // still its alias
	} {
		if got := use(u.account, u.claim); got.Used != u.used || got.Resets != u.resets {
			t.Errorf("%s, %s: used %d, resets in %d ms; want %d, %d", u.account, u.claim.Limit, got.Used, got.Resets-now, u.used, u.resets-now)
		}
	}
	s.want(s.look2("quiet", life), Refused, t0+7*day, PausedLimit)
	s.want(s.look2("new", life), Refused, now+3*hour, PausedLimit)

	// It counts on, and the next start needs no permission.
	send("busy", s.daily("day", 9), roll)
	reopen(t0+3*hour, false)
	if u := use("busy", s.daily("day", 9)); u.Used != 3 {
		t.Errorf("%+v", u)
	}
	c.set(now + day)
	if u := use("busy", s.daily("day", 9)); u.Used != 0 || u.Resets != t0+2*day {
		t.Errorf("the day after: %+v", u)
	}
	send("busy", s.daily("day", 9).costing(9))
	if u := use("busy", s.daily("day", 9)); u.Used != 9 {
		t.Errorf("the day after: %+v", u)
	}
	_ = s.Close()
}

// Where the present window is remembered, what the future counted is added to it.
func TestTheFutureIsAddedToThePresentWindow(t *testing.T) {
	c := counter{measure: Calendar, unit: "day", wins: [2]tally{
		{label: "2026-11-23", start: t0, end: t0 + day, used: 4},
		{label: "2026-11-24", start: t0 + day, end: t0 + 2*day, used: 3, warned: true},
	}}
	c.bringBackCalendar(t0 + hour)
	if want := (tally{label: "2026-11-23", start: t0, end: t0 + day, used: 7, warned: true}); !reflect.DeepEqual(c.wins, [2]tally{want, {}}) {
		t.Errorf("%+v", c.wins)
	}
}

func TestAllRecordsOfALargeLedgerAreBroughtBack(t *testing.T) {
	c := &fakeClock{ms: y2036}
	path := filepath.Join(t.TempDir(), "ledger.db")
	s := &testStore{Store: openAt(t, path, c), t: t, clock: c}
	const people = 2*amendAtOnce + 7
	var claims []Claim
	for i := range people {
		claims = append(claims, rolling("pair", 1, hour).by(fmt.Sprint(i)))
	}
	s.ask(claims...)
	_ = s.Close()
	c.set(t0)
	e, err := OpenEmbedded(path, Options{Now: c.now, AcceptClock: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Store = e
	defer func() { _ = s.Close() }()
	for _, u := range s.look(claims...).Uses {
		if u.Used != 1 || u.Resets != t0+hour {
			t.Fatalf("%+v", u)
		}
	}
	if _, err := s.Reserve(context.Background(), Request{ID: "again", Account: "anna", Claims: claims[:1]}); err != nil {
		t.Error(err)
	}
}
