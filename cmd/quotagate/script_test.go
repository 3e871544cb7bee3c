package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"quotagate/internal/freeport"
	"quotagate/internal/leaktest"
)

var update = flag.Bool("update", false, "write what the scripts' golden files should hold")

// The scripts in testdata/script run quotagate as people do: a process with
// arguments and an environment, judged by its exit code and what it printed.
// The tests of exec run this binary too, as a program that posts messages.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(postThree())
	}
	testscript.Main(suite{m}, map[string]func(){
		"quotagate": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			code := run(ctx, program{args: os.Args[1:], env: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr})
			stop()
			os.Exit(code)
		},
	})
}

// A suite ends with a look for what it left behind. A log that rotates keeps
// one goroutine of lumberjack's for as long as the process lives, also after
// Close (natefinch/lumberjack#56): one for a proxy, many for these tests.
type suite struct{ *testing.M }

func (s suite) Run() int { return leaktest.Run(s.M, os.Stderr, "lumberjack") }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars,
				"QUOTAGATE_DATA="+filepath.Join(e.WorkDir, "data"),
				"QUOTAGATE_LISTEN="+freeport.Address(t),
				"QUOTAGATE_ADMIN="+freeport.Address(t),
				"SECOND="+freeport.Address(t),
				"TZ=UTC",
				// The race detector lets every process linger for a second.
				"GORACE=atexit_sleep_ms=0",
			)
			e.Values[redisKey{}] = &server{}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil // who can read everything
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"ready": ready,
			"sends": sends,
			"port":  port,
			"redis": redis,
			"curl":  curl,

			"secret": secret,
		},
	})
}

// exits CODE COMMAND...: the command ends with this code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%v: exit code %d, want %d", args[1:], got, want)
	}
}

// ready waits until the proxy of this script answers.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get("http://" + ts.Getenv("QUOTAGATE_ADMIN") + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("no proxy answers on %s: %v", ts.Getenv("QUOTAGATE_ADMIN"), err)
		}
	}
}

// port takes an address, so that nobody else can, until the script ends.
func port(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		ts.Fatalf("%v", err)
	}
	ts.Defer(func() { l.Close() })
}
