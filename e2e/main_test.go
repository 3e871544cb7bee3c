// Package e2e drives the real quotagate binary through real sockets with the
// clients that people use. A loopback service answers as LinkedIn, Slack and
// Telegram do, under their real host names, and counts what arrives: its
// count is the judge, whatever the proxy says of itself.
//
//	go test ./e2e                          builds the binary with -race
//	QUOTAGATE_BINARY=… go test -count=1 ./e2e
//	                                       drives that one
//	QUOTAGATE_SOAK=1 go test ./e2e         the long forms
package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"quotagate/internal/leaktest"
)

func TestMain(m *testing.M) {
	code := leaktest.Run(m, os.Stderr)
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

// soak tells whether the long forms are asked for.
var soak = os.Getenv("QUOTAGATE_SOAK") == "1"

// buildDir holds the binary that this run built.
var buildDir string

// binary is the path of the quotagate under test. It is built once, when the
// first test asks.
var buildOnce = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("QUOTAGATE_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	if err := dependOnTheSource(); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "quotagate-e2e-")
	if err != nil {
		return "", err
	}
	buildDir = dir
	path := filepath.Join(dir, "quotagate")
	out, err := exec.Command("go", "build", "-race", "-pgo=off", "-o", path, "../cmd/quotagate").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build quotagate: %w\n%s", err, out)
	}
	return path, nil
})

// dependOnTheSource looks at every directory of the module. The binary is
// built by another process, so without this `go test` would not know that its
// result depends on the source, and give an old one from its cache.
func dependOnTheSource() error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // what went away meanwhile does not matter
		}
		switch d.Name() {
		case ".git", ".cache", "bin", "node_modules":
			return filepath.SkipDir
		}
		return nil
	})
}

func binary(t *testing.T) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// need fails the test if a program is missing. scripts/install-test-tools.sh
// brings them; with QUOTAGATE_TEST_ALLOW_SKIP=1 the test is skipped and says
// so.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing(t, "%s is not installed; scripts/install-test-tools.sh installs it", p)
		}
	}
}

func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("QUOTAGATE_TEST_ALLOW_SKIP") == "1" {
		t.Skipf(format, args...)
	}
	t.Fatalf(format, args...)
}

// python is an interpreter that has the module: the system's own first, as
// that is where its package manager installs.
func python(t *testing.T, module string) string {
	t.Helper()
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(p, "-c", "import "+module).Run() == nil {
			return p
		}
	}
	missing(t, "no Python with the module %s; scripts/install-test-tools.sh installs it", module)
	return ""
}

// eventually waits until done says true, and fails the test if that has not
// come to pass within the limit.
func eventually(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after %v still not so: %s", limit, what)
		}
	}
}

// noonZone is a time zone in which it is about noon now, so that no test with
// a limit per day runs across midnight.
func noonZone(now time.Time) string {
	// Etc/GMT+5 is five hours behind Greenwich: the signs are POSIX's.
	behind := now.UTC().Hour() - 12
	if behind == 0 {
		return "Etc/UTC"
	}
	return fmt.Sprintf("Etc/GMT%+d", behind)
}

// cleanEnv is this process's environment without the variables that would
// change what is tested.
func cleanEnv(add ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(strings.ToUpper(kv), "=")
		switch {
		case strings.HasPrefix(name, "QUOTAGATE_"),
			strings.HasSuffix(name, "_PROXY"),
			name == "SSL_CERT_FILE", name == "REQUESTS_CA_BUNDLE", name == "CURL_CA_BUNDLE",
			name == "NODE_EXTRA_CA_CERTS", name == "NODE_OPTIONS":
			continue
		}
		env = append(env, kv)
	}
	// A program with the race detector otherwise sleeps for a second when it
	// exits, in case another thread is about to report.
	return append(append(env, "GORACE=atexit_sleep_ms=20"), add...)
}
