package ratelimit

// A disk that is really full: a small tmpfs.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAFullDiskRefusesAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		if os.Getenv("QUOTAGATE_TEST_ALLOW_SKIP") == "1" {
			t.Skipf("SKIPPED: mounting a small tmpfs needs root: %v", err)
		}
		t.Fatalf("mount a small tmpfs (needs root; QUOTAGATE_TEST_ALLOW_SKIP=1 skips this test): %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	c := &fakeClock{ms: t0}
	path := filepath.Join(dir, "ledger.db")
	s := &testStore{Store: openAt(t, path, c), t: t, clock: c}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, []byte(strings.Repeat("x", 600<<10)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	ask := func(i int) error {
		d, err := s.Reserve(ctx, Request{ID: fmt.Sprint(i), Account: fmt.Sprint("a", i), Claims: []Claim{lifetime("life", 1)}})
		if err == nil && d.Verdict != Go {
			return fmt.Errorf("%+v", d)
		}
		return err
	}
	i := 0
	var err error
	for ; err == nil && i < 100_000; i++ {
		err = ask(i)
	}
	counted := i - 1
	if !errors.Is(err, ErrStorage) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make room") {
		t.Fatalf("after %d messages: %v", i, err)
	}
	check := func() {
		t.Helper()
		for j := range counted {
			if d := s.look2(fmt.Sprint("a", j), lifetime("life", 1)); d.Uses[0].Used != 1 {
				t.Fatalf("account %d of %d: %+v", j, counted, d)
			}
		}
		if d := s.look2(fmt.Sprint("a", counted), lifetime("life", 1)); d.Verdict != Go {
			t.Fatalf("the refused message was counted: %+v", d)
		}
	}
	check()
	for range 5 {
		if err := ask(counted); !errors.Is(err, ErrStorage) {
			t.Fatalf("still full: %v", err)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := ask(counted); err != nil {
		t.Fatalf("after making room: %v", err)
	}
	counted++
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.Store = openAt(t, path, c)
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
