package ratelimit

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Who stops reading keeps nobody from counting: the file grows meanwhile, which
// waits for every transaction.
func TestAnExportThatNobodyReadsHoldsNoTransaction(t *testing.T) {
	c := &fakeClock{ms: t0}
	e := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
	defer e.Close()
	e.exportPage = 1 << 10
	s := &testStore{Store: e, t: t, clock: c}
	for i := range 500 {
		s.as(fmt.Sprint("a", i), lifetime("life", 9))
	}
	stalled, reading, exported := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var text bytes.Buffer
	go func() {
		exported <- e.Export(context.Background(), writerFunc(func(p []byte) (int, error) {
			if text.Len() == 0 {
				close(stalled)
				<-reading
			}
			return text.Write(p)
		}))
	}()
	<-stalled
	grown := make(chan error, 1)
	go func() {
		grown <- e.call(context.Background(), func() error {
			// Far more than the file has room for in its mapping, carried to the tree.
			var group []image
			for i := range 20_000 {
				group = append(group, image{appendKey(nil, kindBooking, fmt.Sprint("b", i), "x"), appendBooking(nil, "", nil)})
			}
			return e.disk.carryAll(group, e.disk.clock, &e.disk.journal.journalNote)
		})
	}()
	select {
	case err := <-grown:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the file cannot grow while nobody reads the export")
	}
	close(reading)
	if err := <-exported; err != nil {
		t.Error(err)
	}
	if n := strings.Count(text.String(), "\n"); n != 501 {
		t.Errorf("%d lines", n)
	}
}

// What is charged, and which accounts become one, between two pages of an
// export: each account is as it was at some moment, and nothing that was counted
// before stands in it twice or is lacking.
func TestAnExportTakenDuringWritesIsNeverOver(t *testing.T) {
	for way, later := range map[string]func(i int) bool{
		"what was written takes over what was not": func(int) bool { return false },
		"what was not takes over what was":         func(int) bool { return true },
		"by turns":                                 func(i int) bool { return i%2 == 0 },
	} {
		t.Run(way, func(t *testing.T) { exportDuringWrites(t, later) })
	}
}

// exportDuringWrites joins accounts between two pages: into the one that comes
// later in the file, or the other way.
func exportDuringWrites(t *testing.T, later func(i int) bool) {
	const accounts, allow = 60, 3
	name := func(i int) string { return fmt.Sprintf("a%02d", i) }
	old := []Claim{lifetime("old", 99), lifetime("pair", 99).by("bert"), rolling("roll", 99, hour)}
	c := &fakeClock{ms: t0}
	e := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), c)
	defer e.Close()
	e.exportPage = 1 // every account is a page
	s := &testStore{Store: e, t: t, clock: c}
	for i := range accounts {
		for range 1 + i%3 {
			s.as(name(i), old...)
		}
	}
	used := func(s *testStore, account string, claim Claim) int64 {
		return s.request(Request{Account: account, Claims: []Claim{claim.costing(0)}, Dry: true}).Uses[0].Used
	}
	total := func(s *testStore) (n int64) {
		for i := range accounts {
			is, err := s.Resolve(context.Background(), []string{name(i)})
			if err != nil {
				t.Fatal(err)
			}
			if is == name(i) {
				for _, claim := range old {
					n += used(s, is, claim)
				}
			}
		}
		return n
	}
	before, step := total(s), 0
	var text bytes.Buffer
	err := e.Export(context.Background(), writerFunc(func(p []byte) (int, error) {
		for range 2 {
			s.as(name(step*7%accounts), lifetime("new", allow))
		}
		// The first half is joined with the second, then some with a third.
		if i := step; i < accounts/2 {
			a, b := name(i), name(accounts-1-i)
			if later(i) {
				a, b = b, a
			}
			join := func(id, a, b string) {
				s.request(Request{ID: id, Account: a, Aliases: []string{b}, Claims: []Claim{lifetime("other", 99)}})
			}
			join(fmt.Sprint("join", i), a, b)
			if i%5 == 4 {
				join(fmt.Sprint("joined", i), name(i-1), a)
			}
		}
		step++
		return text.Write(p)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if step < accounts/3 {
		t.Fatalf("%d pages", step)
	}
	if after := total(s); after != before {
		t.Fatalf("the ledger itself counts %d, and %d before", after, before)
	}
	to := &testStore{Store: NewMemory(Options{Now: c.now}), t: t, clock: c}
	if err := importInto(t, to.Store, text.String()); err != nil {
		t.Fatal(err)
	}
	if got := total(to); got != before {
		t.Errorf("the import counts %d, and %d were counted", got, before)
	}
	for i := range accounts {
		if is, n := used(s, name(i), lifetime("new", allow)), used(to, name(i), lifetime("new", allow)); n > is {
			t.Errorf("%s: %d, and the ledger has %d", name(i), n, is)
		}
	}
	if len(e.engine.exports) != 0 {
		t.Error("the export is still on its way")
	}
}
