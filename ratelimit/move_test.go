package ratelimit

// Export, import, compaction, and charging afterwards.

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lived is a ledger that has counted something of everything.
func lived(s *testStore) {
	pot := Pot{Label: "m", Units: 9, End: t0 + 90*day}
	s.ask(s.daily("day", 9).paying(pot).warning(1), rolling("roll", 9, hour), lifetime("life", 9), pace("pace", minute).jittered(second),
		credits("inmail", pot).to("bert").returning(day),
		s.daily("reach", 9).distinct().to("bert"), rolling("reached", 9, hour).distinct().to("bert"), lifetime("everybody", 9).distinct().to("bert"),
		rolling("pair", 9, hour).by("bert"), s.daily("all", 9).scoped("service:x"),
		Claim{Limit: "follow", Measure: Unanswered, Key: "bert", Cost: 1, Allow: 2, Gap: minute},
		Claim{Limit: "settle", Measure: Settling, Key: "bert", Cost: 1, Allow: 2, Span: day},
		Claim{Limit: "rate", Measure: Ratio, Recipient: "bert", Cost: 1, Rate: 1000, Sample: 1, Good: Replied, Span: day},
		Claim{Limit: "like", Measure: Similar, Recipient: "bert", Cost: 1, Allow: 2, Gap: day, Rate: 800_000,
			Likeness: &Likeness{Exact: "e", Bands: []string{"b1", "b2"}, Signature: "\x01\xff\x80"}})
	s.request(Request{ID: "n", Account: "anna", Same: "m1", Aliases: []string{"bea"}, Claims: []Claim{lifetime("life", 9)}})
	s.cool(throttled("a"))
	s.cool(Cooling{ID: "b", Key: "carl", Name: "t", Resumed: true})
	s.observe(Event{Recipient: "carl", Kind: Replied})
	s.observe(Event{Recipient: "dora", Kind: Connected})
	s.observe(Event{Recipient: "thread", Kind: SameAs, Is: "bert"})
	s.give(Gift{ID: "g", Limit: "day", Units: 3})
}

func export(t testing.TB, s Store) string {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch s := s.(type) {
	case *Memory:
		err = s.Export(context.Background(), &b)
	case *Embedded:
		err = s.Export(context.Background(), &b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func importInto(t testing.TB, s Store, text string) error {
	t.Helper()
	switch s := s.(type) {
	case *Memory:
		return s.Import(context.Background(), strings.NewReader(text))
	case *Embedded:
		return s.Import(context.Background(), strings.NewReader(text))
	}
	return errors.New("no such store")
}

func TestWhatIsExportedIsImported(t *testing.T) {
	eachEngine(t, func(from *testStore) {
		lived(from)
		text := export(from.t, from.Store)
		for name, open := range openers(from.t) {
			if strings.HasSuffix(name, "redis") {
				continue // it has a test of its own
			}
			c := &fakeClock{ms: t0}
			to := &testStore{Store: open(Options{Now: c.now}), t: from.t, clock: c}
			if err := importInto(t, to.Store, text); err != nil {
				from.t.Fatal(err)
			}
			if again := export(t, to.Store); again != text {
				from.t.Errorf("exported again from %s:\n%s\nwant\n%s", name, again, text)
			}
			to.wantUsed(lifetime("life", 9), 2)
			if name, _ := to.Resolve(context.Background(), []string{"bea"}); name != "anna" {
				from.t.Errorf("bea is %q", name)
			}
			if err := importInto(t, to.Store, text); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "line 2") {
				from.t.Errorf("imported twice: %v", err)
			}
			to.wantUsed(lifetime("life", 9), 2)
			if err := to.Close(); err != nil {
				from.t.Error(err)
			}
		}
	})
}

func TestABadLineIsNamedAndNothingIsImported(t *testing.T) {
	eachEngine(t, func(from *testStore) {
		lived(from)
		lines := strings.SplitAfter(export(t, from.Store), "\n")
		for name, c := range map[string]struct{ line, want string }{
			"cut":     {lines[2][:len(lines[2])/2] + "\n", "line 3"},
			"field":   {`{"account":"x","colour":1}` + "\n", "colour"},
			"measure": {`{"account":"x","counters":[{"limit":"l","measure":"guess"}]}` + "\n", "guess"},
			"order":   {`{"account":"x","counters":[{"limit":"l","measure":"rolling","log":[[5,1,0],[4,1,0]]}]}` + "\n", "order"},
			"twice":   {lines[1], "line 2, too"},
			"nobody":  {"{}\n", "account"},
		} {
			t.Run(name, func(t *testing.T) {
				to := NewMemory(Options{Now: from.clock.now})
				bad := lines[0] + lines[1] + c.line + strings.Join(lines[3:], "")
				err := importInto(t, to, bad)
				if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "line 3") || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v", err)
				}
				if names, _ := to.Accounts(context.Background()); len(names) > 0 {
					t.Errorf("imported %v", names)
				}
			})
		}
		for _, head := range []string{"", "x\n", `{"kind":"quotagate ledger","version":9,"time":1}` + "\n"} {
			if err := importInto(t, NewMemory(Options{}), head); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "line 1") {
				t.Errorf("%q: %v", head, err)
			}
		}
	})
}

func TestAnExportOfTheFutureIsNotImported(t *testing.T) {
	c := &fakeClock{ms: t0}
	for ahead, ok := range map[int64]bool{hour: true, hour + 1: false} {
		var b bytes.Buffer
		head, err := headerLine(t0 + ahead)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(head)
		err = importInto(t, NewMemory(Options{Now: c.now}), b.String())
		if (err == nil) != ok {
			t.Errorf("%d ms ahead: %v", ahead, err)
		}
	}
}

func TestCompactingLosesNothing(t *testing.T) {
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	s := &testStore{Store: openAt(t, path, c), t: t, clock: c}
	lived(s)
	for range 10 * 26 { // pages that are freed again
		s.as("bert", lifetime("life", 1<<30), rolling("roll", 1<<30, hour).by(strings.Repeat("x", s.n)))
	}
	want := export(t, s.Store)
	if _, _, err := Compact(path); !errors.Is(err, ErrLocked) {
		t.Errorf("while it is open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, after, err := Compact(path)
	if err != nil || after >= before {
		t.Errorf("from %d to %d bytes: %v", before, after, err)
	}
	s.Store = openAt(t, path, c)
	if got := export(t, s.Store); got != want {
		t.Errorf("after compacting:\n%s\nwant\n%s", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatCannotBeCompactedStaysAsItIs(t *testing.T) {
	c := &fakeClock{ms: t0}
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	if err := openAt(t, path, c).Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := bytes.Clone(whole)
	for i := 2 * os.Getpagesize(); i < len(broken); i++ {
		broken[i] ^= 0x55
	}
	if err := os.WriteFile(path, broken, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Compact(path); err == nil {
		t.Error("it compacted a damaged file")
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, broken) {
		t.Error("it changed the file")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

type restorer interface {
	Charge(ctx context.Context, r Request, at int64) error
}

func TestWhatWasSentIsChargedWhateverTheRoomAndOnce(t *testing.T) {
	eachEngine(t, func(s *testStore) {
		s.clock.set(t0 + hour)
		r := Request{ID: "lost", Account: "anna", Claims: []Claim{
			s.daily("day", 0), rolling("roll", 1, hour), pace("pace", hour), concurrent("busy", 1), s.daily("reach", 1).distinct().to("bert"),
		}}
		for range 3 {
			if err := s.Store.(restorer).Charge(context.Background(), r, t0+30*minute); err != nil {
				s.t.Fatal(err)
			}
		}
		s.wantUsed(s.daily("day", 0), 1)
		s.wantUsed(concurrent("busy", 1), 0)
		s.wantUsed(s.daily("reach", 1).distinct(), 1)
		s.want(s.look(rolling("roll", 1, hour)), Refused, t0+90*minute, "roll")
		s.want(s.look(pace("pace", hour)), Refused, t0+90*minute, "pace")
		// One that is open is known.
		_, id := s.ask(lifetime("life", 9))
		if err := s.Store.(restorer).Charge(context.Background(), Request{ID: id, Account: "anna", Claims: []Claim{lifetime("life", 9)}}, 0); err != nil {
			s.t.Fatal(err)
		}
		s.wantUsed(lifetime("life", 9), 1)
	})
}

func TestWhatHasPassedIsNotChargedToThePresent(t *testing.T) {
	eachEngine(t, func(s *testStore) {
		old := s.daily("day", 5)
		s.clock.set(t0 + 2*day)
		s.ask(s.daily("day", 5))
		if err := s.Store.(restorer).Charge(context.Background(), Request{ID: "lost", Account: "anna", Claims: []Claim{old}}, t0+hour); err != nil {
			s.t.Fatal(err)
		}
		s.wantUsed(s.daily("day", 5), 1)
	})
}
