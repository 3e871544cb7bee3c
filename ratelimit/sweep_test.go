package ratelimit

// Recipients are forgotten when nothing that they counted lasts, and nobody can
// tell.

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// keyed lists the records with a key that a store has, as account/key.
func (s *testStore) keyed() (names []string) {
	s.t.Helper()
	s.look() // whatever is under way is done
	if m, ok := s.Store.(*Memory); ok {
		for name, a := range m.shelf.accounts {
			for key := range a.keyed {
				names = append(names, name+"/"+key)
			}
		}
	} else {
		err := s.Store.(*Embedded).disk.each([]byte{kindRecord}, func(k, _ []byte) error {
			if account, key, _ := splitKey(k); key != "" {
				names = append(names, account+"/"+key)
			}
			return nil
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	slices.Sort(names)
	return names
}

// shelfOf is what the store's engine reads from.
func (s *testStore) shelfOf() shelf {
	if m, ok := s.Store.(*Memory); ok {
		return m.engine.shelf
	}
	return s.Store.(*Embedded).engine.shelf
}

// carryOver opens an embedded store again: what was in its journal is in the
// tree then, where the sweep looks.
func (s *testStore) carryOver() {
	s.t.Helper()
	if e, ok := s.Store.(*Embedded); ok {
		path := e.disk.db.Path()
		if err := s.Close(); err != nil {
			s.t.Fatal(err)
		}
		e = openAt(s.t, path, s.clock)
		unsynced(e)
		s.Store = e
	}
}

func TestRecipientsAreForgottenWhenAllHasEnded(t *testing.T) {
	eachEngine(t, func(s *testStore) {
		s.pause("held", &Hold{Why: "challenged"})
		s.request(Request{ID: "alias", Account: "anna", Aliases: []string{"cookie"}})
		calendar := func(to string) Claim { return s.daily("day", 9).by(to) }
		var claims []Claim
		for i := range 200 {
			to := fmt.Sprint("to ", i)
			claims = append(claims, rolling("pair", 9, 7*day).by(to), pace("gap", hour).by(to), calendar(to))
		}
		_, id := s.ask(append(claims, lifetime("life", 9), rolling("own", 9, hour), s.daily("day", 9),
			rolling("pair", 9, 7*day).by("spent"), lifetime("ever", 9).by("spent"),
			lifetime("ever", 9).by("given back").ofItem(1))...)
		s.cancelItems(id, 1)
		s.keep(id)
		later := func(ms int64, want ...string) {
			s.t.Helper()
			s.clock.set(t0 + ms)
			s.carryOver()
			for range 1000 {
				_, id := s.ask(lifetime("tick", 1<<40))
				s.keep(id)
			}
			if got := s.keyed(); !slices.Equal(got, want) {
				s.t.Fatalf("%d records are left, the first %q", len(got), got[:min(3, len(got))])
			}
		}
		s.carryOver()
		s.clock.add(7*day + 32*day - 1)
		for range 1000 {
			_, id := s.ask(lifetime("tick", 1<<40))
			s.keep(id)
		}
		if got := s.keyed(); len(got) < 201 {
			s.t.Errorf("too early: %d are left", len(got))
		}
		later(7*day+32*day, "anna/spent")

		// What it had counted for ever, and all that is the account's own.
		d := s.look(lifetime("ever", 9).by("spent"), rolling("pair", 9, 7*day).by("spent"), lifetime("life", 9), lifetime("ever", 9).by("given back"))
		for i, used := range []int64{1, 0, 1, 0} {
			if d.Uses[i].Used != used {
				s.t.Errorf("%+v", d.Uses[i])
			}
		}
		if got, _ := s.Resolve(context.Background(), []string{"cookie"}); got != "anna" {
			s.t.Errorf("cookie stands for %q", got)
		}
		if rec, _ := s.shelfOf().load("anna", "spent"); len(rec.counters) != 1 {
			s.t.Errorf("%+v", rec.counters)
		}
		s.want(s.look2("held", lifetime("life", 9)), Refused, 0, PausedLimit)
		if got, _ := s.Accounts(context.Background()); !slices.Equal(got, []string{"anna", "held"}) {
			s.t.Errorf("accounts: %v", got)
		}
	})
}

func TestTheSweepGoesOnWhereItWas(t *testing.T) {
	c := &fakeClock{ms: t0}
	s := &testStore{Store: openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c), t: t, clock: c}
	const people, lives = 1000, 20
	ask := func(account string, cl Claim) {
		var claims []Claim
		for i := range people {
			claims = append(claims, cl.by(fmt.Sprint(i)))
		}
		s.request(Request{ID: account, Account: account, Claims: claims})
		s.keep(account)
	}
	ask("aaaa", lifetime("life", 9)) // for ever, and before the others
	ask("zzzz", rolling("pair", 9, day))
	c.add(365 * day)
	for range lives { // each too short to come by all of the first
		s.carryOver()
		for range cursorEvery + 5 {
			_, id := s.ask(lifetime("tick", 1<<40))
			s.keep(id)
		}
	}
	if n := len(s.keyed()); n != people {
		t.Errorf("%d records are left, want %d", n, people)
	}
	_ = s.Close()
}

func TestACounterIsOverWhenAllInItHasEnded(t *testing.T) {
	for _, c := range []struct {
		name string
		c    counter
		end  int64 // 0 is never
	}{
		{"a window", counter{measure: Calendar, wins: [2]tally{{label: "a", start: 0, end: 100, used: 1}}}, 100},
		{"two windows", counter{measure: Calendar, wins: [2]tally{{label: "a", start: 0, end: 100}, {label: "b", start: 100, end: 200, used: 1}}}, 200},
		{"no window", counter{measure: Calendar}, 1},
		{"a log", counter{measure: Rolling, span: 50, log: []entry{{at: 10, n: 1}, {at: 60, n: 1}}}, 110},
		{"a warning", counter{measure: Rolling, span: 50, log: []entry{{at: 10, n: 1}}, warned: 20}, 70},
		{"an empty log", counter{measure: Rolling, span: 50}, 1},
		{"a slot", counter{measure: Pace, span: 50, slots: []slot{{at: 10, n: 1}}}, 60},
		{"a batch", counter{measure: Pace, span: 50, slots: []slot{{at: 10, n: 10}, {at: 60, n: 1}}}, 510},
		{"a slot of unknown span", counter{measure: Pace, slots: []slot{{at: 10, n: 1}}}, 0},
		{"no slot", counter{measure: Pace}, 1},
		{"a life", counter{measure: Lifetime, used: 1}, 0},
		{"a life that was warned of", counter{measure: Lifetime, warned: 1}, 0},
		{"an unused life", counter{measure: Lifetime}, 1},
	} {
		if c.end == 0 && kindOf(c.c.measure).over(&c.c, forever) {
			t.Errorf("%s is over", c.name)
		}
		if c.end > 0 && !kindOf(c.c.measure).over(&c.c, c.end) || c.end > 1 && kindOf(c.c.measure).over(&c.c, c.end-1) {
			t.Errorf("%s is not over at %d, or before", c.name, c.end)
		}
	}
}

// What is charged in the very group that comes by it is in use.
func TestWhatIsChargedAgainIsNotForgotten(t *testing.T) {
	eachStore(t, func(s *testStore) {
		claim := rolling("pair", 1, day).by("bert")
		for i := range 10 {
			s.clock.set(t0 + int64(i)*100*day)
			s.carryOver()
			_, id := s.ask(claim)
			s.keep(id)
			d, _ := s.ask(claim)
			s.want(d, Refused, s.clock.ms+day, "pair")
			s.carryOver()
			if u := s.look(claim).Uses[0]; u.Used != 1 {
				s.t.Fatalf("round %d: %+v", i, u)
			}
		}
	})
}

// TestNobodyCanTellWhatWasForgotten runs a random year through a store that
// forgets nothing and through those that do.
func TestNobodyCanTellWhatWasForgotten(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 2))
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	hoard, mem := NewMemory(Options{Now: c.now}), NewMemory(Options{Now: c.now})
	emb := openAt(t, path, c)
	unsynced(emb)
	defer func() { _ = emb.Close() }()
	ctx := context.Background()
	claims := func() (cs []Claim) {
		to := fmt.Sprint("to ", (c.ms-t0)/day+rnd.Int64N(60)) // they come and go
		for _, cl := range []Claim{
			rolling("pair", 2, 7*day), rolling("coarse", 3000, 20*day), pace("gap", 3*day).jittered(day),
			{Limit: "day", Measure: Calendar, Unit: "day", Cost: 1, Allow: 2, Windows: days(c.ms)},
			{Limit: "shift", Measure: Calendar, Unit: "day", Cost: 1, Allow: 2, Windows: zoneDays(c.ms, rnd.Int64N(26)*hour-14*hour)},
			lifetime("life", 3), rolling("own", 9, day), lifetime("never", 1<<40),
		} {
			if rnd.IntN(3) == 0 {
				if cl.Limit != "own" && cl.Limit != "never" && rnd.IntN(20) > 0 && (cl.Limit != "life" || rnd.IntN(40) == 0) {
					cl.Key = to
				}
				cl.WarnAt, cl.Wait = rnd.Int64N(3), rnd.Int64N(2)*day
				cs = append(cs, cl)
			}
		}
		return cs
	}
	var open []string
	for i := range 12_000 {
		c.add(rnd.Int64N(6*hour) * rnd.Int64N(2))
		if i%1000 == 999 {
			if err := emb.Close(); err != nil {
				t.Fatal(err)
			}
			emb = openAt(t, path, c)
			unsynced(emb)
			for _, m := range []*Memory{hoard, mem} {
				for id, res := range m.engine.live {
					if res.state == booked {
						_ = m.Cancel(ctx, id)
					}
					m.engine.keep(id)
				}
			}
		}
		var got [3]any
		var errs [3]error
		stores := []Store{hoard, mem, emb}
		r := Request{ID: fmt.Sprint(i), Account: fmt.Sprint("account", rnd.IntN(3)), Claims: claims(), Dry: rnd.IntN(10) == 0}
		if rnd.IntN(1000) == 0 {
			r.Aliases = []string{fmt.Sprint("account", rnd.IntN(3))}
		}
		kind, id := rnd.IntN(10), ""
		if len(open) > 0 {
			id = open[rnd.IntN(len(open))]
		}
		for j, s := range stores {
			switch {
			case kind < 6 || id == "":
				got[j], errs[j] = s.Reserve(ctx, r)
			case kind < 7:
				errs[j] = s.Cancel(ctx, id)
			case kind < 9:
				got[j], errs[j] = s.Fire(ctx, id)
			default:
				errs[j] = s.Keep(ctx, id)
			}
		}
		if kind < 6 && !r.Dry {
			open = append(open, r.ID)
		}
		hoard.shelf.keyed = nil // so it never sweeps
		for j := range stores {
			if errs[j] != nil || !reflect.DeepEqual(got[0], got[j]) {
				t.Fatalf("seed %d, operation %d, store %d: %v\n%s", seed, i, j, errs[j], cmp.Diff(got[0], got[j]))
			}
		}
	}
	count := func(s Store) int { return len((&testStore{Store: s, t: t, clock: c}).keyed()) }
	all, inMemory, onDisk := count(hoard), count(mem), count(emb)
	t.Logf("%d days: %d recipients, %d left in memory, %d on disk", (c.ms-t0)/day, all, inMemory, onDisk)
	if inMemory >= all/2 || onDisk >= all/2 {
		t.Errorf("of %d recipients %d are left in memory, %d on disk", all, inMemory, onDisk)
	}
}
