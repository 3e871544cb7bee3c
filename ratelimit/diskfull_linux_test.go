package ratelimit

// A disk that is really full: a small tmpfs, in a mount namespace of its own,
// which every user may make where the system lets them be root of one.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDiskVariable names the directory for the small disk to whom can mount it.
const smallDiskVariable = "RATELIMIT_SMALL_DISK"

func TestAFullDiskRefusesAndLosesNothing(t *testing.T) {
	dir := os.Getenv(smallDiskVariable)
	if dir == "" {
		onASmallDisk(t)
		return
	}
	err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	if err == nil {
		err = syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m")
	}
	if err != nil {
		noSmallDisk(t, err)
	}
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

// onASmallDisk runs the test again in a mount namespace of its own, as root of
// a user namespace where it is not root already.
func onASmallDisk(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), smallDiskVariable+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		noSmallDisk(t, err)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Fatalf("the test did not run:\n%s", out)
	}
}

func noSmallDisk(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("QUOTAGATE_TEST_ALLOW_SKIP") == "1" {
		t.Skipf("SKIPPED: no small tmpfs can be mounted: %v", err)
	}
	t.Fatalf("mount a small tmpfs: %v; this needs root, or a system that lets users make namespaces (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns); QUOTAGATE_TEST_ALLOW_SKIP=1 skips this test", err)
}
