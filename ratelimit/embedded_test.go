package ratelimit

// What only a store on disk must do: remember, fail well, and decide as the
// memory store does.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func openAt(t testing.TB, path string, c *fakeClock) *Embedded {
	t.Helper()
	e, err := OpenEmbedded(path, Options{Now: c.now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// unsynced makes a store fast, for tests of many commits; what is synced is
// tested elsewhere.
func unsynced(e *Embedded) {
	e.disk.db.NoSync = true
	e.disk.journal.sync = func(*os.File) error { return nil }
}

// TestBothStoresDecideAlike runs the same random history through both; now
// and then the embedded one is closed and opened again, as after a crash.
func TestBothStoresDecideAlike(t *testing.T) {
	ops := 10_000
	if soak() {
		ops = 200_000
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	mem, emb := NewMemory(Options{Now: c.now}), openAt(t, path, c)
	unsynced(emb)
	defer func() { _ = emb.Close() }()
	ctx := context.Background()
	var open []string
	name := func() string { return fmt.Sprint("account", rnd.IntN(6)) }
	for i := range ops {
		var a, b any
		var errA, errB error
		switch k := rnd.IntN(100); {
		case k < 55:
			r := Request{ID: fmt.Sprint("r", i), Account: name(), Claims: randomClaims(rnd, c.ms), Dry: rnd.IntN(10) == 0}
			if rnd.IntN(60) == 0 {
				r.Aliases = []string{name(), fmt.Sprint("alias", rnd.IntN(20))}
			}
			if rnd.IntN(20) == 0 && len(open) > 0 {
				r.ID, r.Replace = open[rnd.IntN(len(open))], rnd.IntN(2) == 0
			}
			open = append(open, r.ID)
			a, errA = mem.Reserve(ctx, r)
			b, errB = emb.Reserve(ctx, r)
		case k < 85 && len(open) > 0:
			j := rnd.IntN(len(open))
			id := open[j]
			switch rnd.IntN(4) {
			case 0:
				errA, errB = mem.Keep(ctx, id), emb.Keep(ctx, id)
			case 1:
				errA, errB = mem.CancelItems(ctx, id, []int{1}), emb.CancelItems(ctx, id, []int{1})
			case 2:
				errA, errB = mem.Cancel(ctx, id), emb.Cancel(ctx, id)
			default:
				a, errA = mem.Fire(ctx, id)
				b, errB = emb.Fire(ctx, id)
			}
		case k < 87:
			h := &Hold{Until: c.ms + rnd.Int64N(900), Why: "test"}
			n := name()
			errA, errB = mem.Pause(ctx, n, h), emb.Pause(ctx, n, h)
		case k < 88:
			a, errA = mem.Accounts(ctx)
			b, errB = emb.Accounts(ctx)
		case k == 88 && rnd.IntN(10) == 0:
			if err := emb.Close(); err != nil {
				t.Fatal(err)
			}
			emb = openAt(t, path, c)
			unsynced(emb)
			for id, res := range mem.engine.live {
				if res.state == booked {
					errA = errors.Join(errA, mem.Cancel(ctx, id))
				}
				mem.engine.keep(id)
			}
		default:
			c.add(rnd.Int64N(60))
		}
		if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d, operation %d: %v, %v\n%s", seed, i, errA, errB, cmp.Diff(a, b))
		}
	}
}

func randomClaims(rnd *rand.Rand, now int64) []Claim {
	w := modelWindows(now)
	all := []Claim{
		{Limit: "calendar", Measure: Calendar, Unit: "second", Allow: 9, Windows: w, WarnAt: 5},
		{Limit: "rolling", Measure: Rolling, Allow: 15, Span: 700, WarnAt: 9},
		{Limit: "coarse", Measure: Rolling, Allow: 3000, Span: 9600},
		{Limit: "pace", Measure: Pace, Span: 20, Jitter: 10},
		{Limit: "pair", Measure: Rolling, Allow: 4, Span: 1500, Key: fmt.Sprint("to", rnd.IntN(4))},
		{Limit: "life", Measure: Lifetime, Allow: 5000, Key: fmt.Sprint("to", rnd.IntN(2)*7)},
		{Limit: "shadow", Measure: Calendar, Unit: "second", Allow: 1, Windows: w, Shadow: true},
	}
	var claims []Claim
	for item := range 1 + rnd.IntN(2) {
		for _, cl := range all {
			if rnd.IntN(2) == 0 {
				cl.Item, cl.Cost, cl.Wait = item, rnd.Int64N(3), rnd.Int64N(3)*300
				claims = append(claims, cl)
			}
		}
	}
	return claims
}

func TestWhatWasLetGoIsRememberedAndBookingsComeBack(t *testing.T) {
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	s := &testStore{Store: openAt(t, path, c), t: t, clock: c}
	p := pace("pace", minute).waiting(hour)
	life := lifetime("life", 10)
	s.ask(p, life)
	_, fired := s.ask(p, life)
	s.ask(p, life)
	s.ask(p, life)
	s.pause("bert", &Hold{Why: "challenged"})
	c.add(minute)
	s.want(s.fire(fired), Go, t0+minute, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	c.set(t0) // the clock of a machine that started without its network
	s.Store = openAt(t, path, c)
	d := s.look(p, life)
	s.want(d, Booked, t0+2*minute, "pace")
	if d.Uses[1].Used != 2 || d.Now != t0+minute {
		t.Errorf("%+v", d)
	}
	s.want(s.look2("bert", life), Refused, 0, PausedLimit)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.Store = openAt(t, path, c)
	if u := s.look(life).Uses[0]; u.Used != 2 {
		t.Errorf("given back twice: %+v", u)
	}
	_ = s.Close()
}

func TestManyAccountsGoThroughTheJournalIntoTheTree(t *testing.T) {
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	open := func() *Embedded {
		e, err := OpenEmbedded(path, Options{Now: c.now, CacheBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		unsynced(e)
		return e
	}
	e := open()
	const accounts, rounds = 20_000, 2
	ctx := context.Background()
	for round := range rounds {
		errs := make(chan error, 200)
		for part := range 200 {
			go func() {
				var err error
				for i := part; i < accounts && err == nil; i += 200 {
					_, err = e.Reserve(ctx, Request{ID: fmt.Sprint(round, "-", i), Account: fmt.Sprint("a", i), Claims: []Claim{lifetime("life", 9)}})
				}
				errs <- err
			}()
		}
		for range 200 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(e.disk.images.young)+len(e.disk.images.old) > 2*largestHalf/64 || e.shelf.weight > 1<<20 {
		t.Errorf("in memory: %d and %d images, a cache of %d", len(e.disk.images.young), len(e.disk.images.old), e.shelf.weight)
	}
	_ = e.Close()
	e = open()
	defer func() { _ = e.Close() }()
	names, err := e.Accounts(ctx)
	if err != nil || len(names) != accounts {
		t.Fatalf("%d accounts, %v", len(names), err)
	}
	for i := range accounts {
		d, err := e.Reserve(ctx, Request{Account: fmt.Sprint("a", i), Claims: []Claim{lifetime("life", 9)}, Dry: true})
		if err != nil || d.Uses[0].Used != rounds {
			t.Fatalf("account %d: %+v, %v", i, d.Uses, err)
		}
	}
}

func TestOneProcessHasTheFile(t *testing.T) {
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	e := openAt(t, path, c)
	defer func() { _ = e.Close() }()
	if _, err := OpenEmbedded(path, Options{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "another quotagate is using it") {
		t.Errorf("%v", err)
	}
}

func TestADamagedFileIsFoundAtOpen(t *testing.T) {
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	s := &testStore{Store: openAt(t, path, c), t: t, clock: c}
	for i := range 500 {
		s.request(Request{ID: fmt.Sprint(i), Account: fmt.Sprint("a", i), Claims: []Claim{lifetime("life", 9), lifetime("to", 9).by("bert")}})
	}
	_ = s.Close()
	openAt(t, path, c).Close() // the journal is carried over: the tree has it all
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(whole)
	for used > 0 && whole[used-1] == 0 {
		used--
	}
	damage := map[string]func(b []byte) []byte{
		"no ledger":      func([]byte) []byte { return []byte(strings.Repeat("not a ledger\n", 2000)) },
		"cut short":      func(b []byte) []byte { return b[:used/2] },
		"heads gone":     func(b []byte) []byte { clear(b[:8192]); return b },
		"all but heads":  func(b []byte) []byte { clear(b[8192:]); return b },
		"a byte changed": func(b []byte) []byte { b[strings.LastIndex(string(b), "life")] ^= 0x20; return b },
	}
	rnd := rand.New(rand.NewPCG(7, 7))
	for i := range 8 {
		damage[fmt.Sprint("garbage ", i)] = func(b []byte) []byte {
			for range 6 {
				at := 8192 + rnd.IntN(used-8192-512)
				for j := range 512 {
					b[at+j] = byte(rnd.Uint32())
				}
			}
			return b
		}
	}
	for what, f := range damage {
		t.Run(what, func(t *testing.T) {
			bad := filepath.Join(t.TempDir(), "bad.db")
			if err := os.WriteFile(bad, f([]byte(string(whole))), 0o600); err != nil {
				t.Fatal(err)
			}
			e, err := OpenEmbedded(bad, Options{Now: c.now})
			switch {
			case err == nil && strings.HasPrefix(what, "garbage"):
				// It may have hit only pages that are free; then all is there.
				for i := range 500 {
					d, err := e.Reserve(context.Background(), Request{Account: fmt.Sprint("a", i), Claims: []Claim{lifetime("life", 9)}, Dry: true})
					if err != nil || d.Uses[0].Used != 1 {
						t.Errorf("account %d: %+v, %v", i, d.Uses, err)
					}
				}
				_ = e.Close()
			case !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "put a backup in its place"):
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAFileOfAnotherVersionIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	c := &fakeClock{ms: t0}
	e := openAt(t, path, c)
	tx, err := e.disk.db.Begin(true)
	if err == nil {
		err = errors.Join(tx.Bucket(bucketMeta).Put(keyVersion, []byte("9")), tx.Commit(), e.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenEmbedded(path, Options{}); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), `version "9"`) {
		t.Errorf("%v", err)
	}
}

func TestAfterAFailedSyncNothingIsAdmitted(t *testing.T) {
	c := &fakeClock{ms: t0}
	path := filepath.Join(t.TempDir(), "ledger.db")
	e := openAt(t, path, c)
	s := &testStore{Store: e, t: t, clock: c}
	s.ask(lifetime("life", 5))
	sync := e.disk.journal.sync
	e.disk.journal.sync = func(*os.File) error { return syscall.EIO }
	ctx := context.Background()
	if _, err := s.Reserve(ctx, Request{ID: "x", Account: "anna", Claims: []Claim{lifetime("life", 5)}}); !errors.Is(err, ErrStopped) || !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	e.disk.journal.sync = sync
	if _, err := s.Reserve(ctx, Request{ID: "y", Account: "anna", Claims: []Claim{lifetime("life", 5)}, Dry: true}); !errors.Is(err, ErrStopped) {
		t.Errorf("after it: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	// Whether the record that was not synced is there nobody knows; what was
	// answered before it is, and if it is, it counts.
	s.Store = openAt(t, path, c)
	if u := s.look(lifetime("life", 5)).Uses[0]; u.Used != 2 {
		t.Errorf("%+v", u)
	}
	_ = s.Close()
}

// TestAFailedGroupLeavesNothingBehind fails commits as a full disk does, at
// random, and compares with a memory store that never saw those calls.
func TestAFailedGroupLeavesNothingBehind(t *testing.T) {
	c := &fakeClock{ms: t0}
	mem, emb := NewMemory(Options{Now: c.now}), openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
	defer func() { _ = emb.Close() }()
	emb.disk.db.NoSync = true
	var fails atomic.Bool
	full := &os.PathError{Op: "write", Path: "ledger.db", Err: syscall.ENOSPC}
	commit := emb.disk.commit
	emb.disk.commit = func(tx *boltTx) error {
		if fails.Load() {
			return errors.Join(full, tx.Rollback())
		}
		return commit(tx)
	}
	emb.disk.journal.sync = func(*os.File) error {
		if fails.Load() {
			return full
		}
		return nil
	}
	defer fails.Store(false)
	rnd := rand.New(rand.NewPCG(1, 2))
	ctx := context.Background()
	for i := range 2000 {
		fails.Store(rnd.IntN(4) == 0)
		var a, b any
		var errA, errB error
		id := fmt.Sprint("r", rnd.IntN(i+1))
		switch rnd.IntN(6) {
		case 0:
			if errB = emb.Cancel(ctx, id); errB == nil {
				errA = mem.Cancel(ctx, id)
			}
		case 1:
			if b, errB = emb.Fire(ctx, id); errB == nil {
				a, errA = mem.Fire(ctx, id)
			}
		case 2:
			if errB = emb.Keep(ctx, id); errB == nil {
				errA = mem.Keep(ctx, id)
			}
		default:
			r := Request{ID: fmt.Sprint("r", i), Account: fmt.Sprint("account", rnd.IntN(3)), Claims: randomClaims(rnd, c.ms)}
			if b, errB = emb.Reserve(ctx, r); errB == nil {
				a, errA = mem.Reserve(ctx, r)
			}
		}
		c.add(rnd.Int64N(30))
		if fails.Load() && errors.Is(errB, ErrStorage) {
			continue
		}
		if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("operation %d: %v, %v\n%s", i, errA, errB, cmp.Diff(a, b))
		}
	}
}
