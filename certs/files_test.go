package certs

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"quotagate/internal/leaktest"
)

// openEnv makes the test binary open the CA in the named directory and print
// its fingerprint instead of running tests.
const openEnv = "CERTS_TEST_OPEN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(openEnv); dir != "" {
		// Every process waits for the same newline, so that they start at once.
		fmt.Println("ready")
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			os.Exit(3)
		}
		a, err := Open(dir, Options{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(a.Fingerprint())
		os.Exit(0)
	}
	os.Exit(leaktest.Run(m, os.Stderr))
}

func TestProcessesThatStartAtOnceAgreeOnOneCA(t *testing.T) {
	const processes, rounds = 6, 3
	for range rounds {
		dir := filepath.Join(t.TempDir(), "data")
		type proc struct {
			cmd *exec.Cmd
			in  io.WriteCloser
			out *bufio.Reader
		}
		var procs []proc
		for range processes {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), openEnv+"="+dir)
			cmd.Stderr = os.Stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			p := proc{cmd, in, bufio.NewReader(out)}
			if line, err := p.out.ReadString('\n'); err != nil || line != "ready\n" {
				t.Fatalf("%q, %v", line, err)
			}
			procs = append(procs, p)
		}
		for _, p := range procs {
			if _, err := io.WriteString(p.in, "\n"); err != nil {
				t.Fatal(err)
			}
		}
		got := map[string]int{}
		for _, p := range procs {
			line, err := p.out.ReadString('\n')
			if err != nil {
				t.Error(err)
			}
			got[line]++
			if err := p.cmd.Wait(); err != nil {
				t.Error(err)
			}
		}
		if len(got) != 1 {
			t.Errorf("%d processes made %d CAs: %v", processes, len(got), got)
		}
	}
}

func TestGoroutinesThatStartAtOnceAgreeOnOneCA(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	prints := make([]string, 32)
	for i := range prints {
		wg.Go(func() {
			a, err := Open(dir, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			prints[i] = a.Fingerprint()
		})
	}
	wg.Wait()
	for _, p := range prints {
		if p != prints[0] {
			t.Fatalf("%s and %s", prints[0], p)
		}
	}
}

func TestACAWhoseMakerDiedHalfWayIsFinished(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, Options{})
	removeFile(t, dir, CertFile) // as if the maker died after it had published the key
	second := open(t, dir, Options{})
	if first.SPKI() != second.SPKI() {
		t.Error("the key that was there was not used")
	}
	if _, err := second.Certificate("slack.com"); err != nil {
		t.Error(err)
	}
}

func TestWhatIsPublishedIsNeverReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, data := range []string{"first", "second"} {
		if err := publish(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "first" {
		t.Errorf("%q, %v", got, err)
	}
}

func chmod(t *testing.T, dir, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
		t.Fatal(err)
	}
}

func removeFile(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, string(data), 0o600)
}

func writeFile(t *testing.T, path, data string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), mode); err != nil {
		t.Fatal(err)
	}
}

func writePEM(t *testing.T, path string, der []byte) {
	t.Helper()
	writeBlock(t, path, "CERTIFICATE", der)
}

func writeBlock(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	writeFile(t, path, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})), 0o600)
}
