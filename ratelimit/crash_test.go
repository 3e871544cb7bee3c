package ratelimit

// kill -9: what was answered is counted afterwards, and what was only booked
// is given back. The child is this test binary again.

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"quotagate/internal/leaktest"
)

const crashVariable = "RATELIMIT_CRASH_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashVariable); path != "" {
		if err := crashChild(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if setting := os.Getenv(proxyChildVariable); setting != "" {
		fmt.Fprintln(os.Stderr, proxyChild(setting))
		os.Exit(1)
	}
	os.Exit(leaktest.Run(suite{m}, os.Stderr))
}

// A suite ends the server that its tests share.
type suite struct{ *testing.M }

func (s suite) Run() int {
	status := s.M.Run()
	if sharedInput != nil {
		sharedInput.Close()
	}
	return status
}

const crashAccounts = 16

// crashChild loads the store until it is killed. It writes a line for every
// answer it got: `go ACCOUNT`, before which a message may leave, and `back
// ACCOUNT` when a cancellation is about to be asked for.
func crashChild(path string) error {
	s, err := OpenEmbedded(path, Options{})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(what string, account int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%s %d\n", what, account) // one write: whole or not at all
	}
	errs := make(chan error)
	for w := range 32 {
		go func() {
			ctx := context.Background()
			for i := 0; ; i++ {
				n := (w*7 + i) % crashAccounts
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				r := Request{ID: id, Account: fmt.Sprint("account", n), Claims: []Claim{
					lifetime("life", 1<<40), rolling("roll", 1<<40, day),
					lifetime("to", 1<<40).by(fmt.Sprint("r", i%5)),
				}}
				if i%4 == 3 { // books, and never fires
					r.Claims = append(r.Claims, pace("pace", hour).waiting(1<<39))
				}
				d, err := s.Reserve(ctx, r)
				if err != nil {
					errs <- err
					return
				}
				switch {
				case d.Verdict == Booked && i%8 == 3:
					if _, err := s.Fire(ctx, id); err != nil { // too early: still booked
						errs <- err
						return
					}
				case d.Verdict == Go && i%16 == 5:
					say("go", n)
					say("back", n)
					if err := s.Cancel(ctx, id); err != nil {
						errs <- err
						return
					}
				case d.Verdict == Go:
					say("go", n)
					if err := s.Keep(ctx, id); err != nil {
						errs <- err
						return
					}
				}
			}
		}()
	}
	return <-errs
}

func TestNothingIsLostByKill9(t *testing.T) {
	rounds := 5
	if soak() {
		rounds = 50
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	sent, asked := [crashAccounts]int64{}, [crashAccounts]int64{}
	before := [crashAccounts]int64{}
	total := int64(0)
	for round := range rounds {
		lines := runAndKill(t, path, time.Duration(40+rand.IntN(250))*time.Millisecond)
		for _, line := range lines {
			var what string
			var n int
			if _, err := fmt.Sscan(line, &what, &n); err != nil {
				continue // cut off by the kill
			}
			if what == "go" {
				sent[n]++
				total++
			} else {
				asked[n]++
			}
		}
		s, err := OpenEmbedded(path, Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for n := range crashAccounts {
			d, err := s.Reserve(context.Background(), Request{Account: fmt.Sprint("account", n), Dry: true, Claims: []Claim{
				lifetime("life", 1<<40), rolling("roll", 1<<40, day), pace("pace", hour).waiting(1 << 39),
				lifetime("to", 1<<40).by("r0"), lifetime("to", 1<<40).by("r1"), lifetime("to", 1<<40).by("r2"),
				lifetime("to", 1<<40).by("r3"), lifetime("to", 1<<40).by("r4"),
			}})
			if err != nil {
				t.Fatal(err)
			}
			used := d.Uses[0].Used
			if used < sent[n]-asked[n] {
				t.Errorf("round %d, account %d: %d counted, %d let go and %d of them perhaps given back", round, n, used, sent[n], asked[n])
			}
			// At most one message per caller and round was let go unheard.
			if used > sent[n]+32*int64(round+1) || used < before[n]-32 {
				t.Errorf("round %d, account %d: %d counted, %d let go: bookings stayed", round, n, used, sent[n])
			}
			if roll := d.Uses[1].Used; roll != used {
				t.Errorf("round %d, account %d: %d in one limit, %d in another", round, n, used, roll)
			}
			to := int64(0)
			for _, u := range d.Uses[3:] {
				to += u.Used
			}
			if to != used {
				t.Errorf("round %d, account %d: %d by account, %d by recipient", round, n, used, to)
			}
			// One message went at this pace, at most; the rest was booked.
			if next := d.Uses[2].Resets; next > d.Now+hour {
				t.Errorf("round %d, account %d: a booking of the dead process stayed, at +%d s", round, n, (next-d.Now)/1000)
			}
			before[n] = used
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if total == 0 {
		t.Error("the children let nothing go")
	}
	t.Logf("%d messages let go in %d lives", total, rounds)
}

// runAndKill starts a child, kills it after a while of load, and returns what
// it wrote.
func runAndKill(t *testing.T, path string, after time.Duration) (lines []string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), crashVariable+"="+path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill *time.Timer
	in := bufio.NewScanner(out)
	for in.Scan() {
		if kill == nil { // the load has begun
			kill = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		lines = append(lines, in.Text())
	}
	_ = cmd.Wait()
	if stderr.Len() > 0 {
		t.Errorf("the child failed: %s", stderr.String())
	}
	return lines
}
