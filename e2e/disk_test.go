package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAFullDiskStopsTheMessagesNotTheCount: when the ledger cannot be written,
// nothing that needs it leaves, the client is told so, and what was delivered
// is still counted once there is room again.
func TestAFullDiskStopsTheMessagesNotTheCount(t *testing.T) {
	t.Parallel()
	s := newService(t)
	disk := smallDisk(t, "6m")
	g := start(t, s, setup{
		rules: rulesWith(listed("anna"), limits(`{name: many, on: linkedin.message, allow: 100000, per: day}`, `{name: each, on: linkedin.message, allow: 100000, per: day, by: recipient}`)),
		data:  disk.dir, inside: disk.enter,
	})
	client := g.byHand().client(t, false)
	sent := 0
	send := func() attempt {
		sent++
		return do(client, encode(t, viaVoyager.nth("anna", sent)))
	}
	for range 10 {
		if a := send(); a.Status != http.StatusOK {
			t.Fatalf("with room on the disk: %+v", a)
		}
	}

	filler := filepath.Join(disk.outside, "filler")
	fill(t, filler)
	// The ledger may still have pages of its own to write to; it runs out.
	ok, refused := 10, 0
	for range 3000 {
		a := send()
		switch {
		case a.Error == "" && a.Status == http.StatusOK:
			ok++
		case a.Error == "" && a.Status == http.StatusServiceUnavailable:
			refused++
			if a.Headers["retry-after"] == "" {
				t.Errorf("a 503 without Retry-After: %+v", a)
			}
		default:
			t.Fatalf("on a full disk: %+v", a)
		}
		if refused >= 5 {
			break
		}
	}
	if refused == 0 {
		t.Fatal("3,000 messages passed on a full disk")
	}
	if got := s.count(linkedinWeb); got != ok {
		t.Errorf("the service received %d messages, the clients were told of %d", got, ok)
	}
	if log := g.out.String(); !strings.Contains(log, "no space left") {
		t.Errorf("the log does not say that the disk is full:\n%s", log)
	}

	// With room again and a new start, nothing is forgotten.
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	g.kill(t)
	g.run(t)
	if used, found := g.used(t, "anna", "many"); !found || used < int64(ok) || used > int64(ok+refused) {
		t.Errorf("%d used (%t), and %d were delivered", used, found, ok)
	}
	if a := send(); a.Status != http.StatusOK {
		t.Errorf("with room again: %+v", a)
	}
}

// disk is a small file system of a test's own.
type disk struct {
	dir     string   // where a process inside sees it
	enter   []string // the command that puts a process inside
	outside string   // where this process sees it
}

// smallDisk mounts a tmpfs of the size in a mount namespace of its own, which
// a process waiting on its standard input keeps alive until the test ends.
func smallDisk(t *testing.T, size string) disk {
	t.Helper()
	need(t, "unshare", "nsenter")
	dir := t.TempDir()
	unshare, nsenter := []string{"unshare", "-m"}, []string{"nsenter", "-m"}
	if os.Getuid() != 0 {
		unshare, nsenter = []string{"unshare", "-r", "-m"}, []string{"nsenter", "-U", "-m", "--preserve-credentials"}
	}
	args := append(unshare, "sh", "-c", `mount -t tmpfs -o size=`+size+`,mode=0700 quotagate "$0" && echo ready && exec cat`, dir)
	keeper := exec.Command(args[0], args[1:]...)
	stdin, err := keeper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := keeper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	keeper.Stderr = &stderr
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		keeper.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		stdin.Close()
		keeper.Wait()
		missing(t, "no small file system can be mounted here: %s", stderr.String())
	}
	pid := keeper.Process.Pid
	return disk{
		dir:     dir,
		enter:   append(append(nsenter[:1:1], append([]string{"-t", fmt.Sprint(pid)}, nsenter[1:]...)...), "--"),
		outside: fmt.Sprintf("/proc/%d/root%s", pid, dir),
	}
}

// fill writes a file until there is no room left on its disk.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 4 << 10, 1} {
		for block := make([]byte, size); err == nil; {
			_, err = f.Write(block)
		}
		if !strings.Contains(err.Error(), "no space left") {
			t.Fatal(err)
		}
		err = nil
	}
}

func TestFillFills(t *testing.T) {
	t.Parallel()
	d := smallDisk(t, "1m")
	fill(t, filepath.Join(d.outside, "filler"))
	args := append(d.enter, "sh", "-c", `echo more > "$0"/more`, d.dir)
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
	if err == nil {
		t.Errorf("there was room on the full disk: %s", out)
	}
}
