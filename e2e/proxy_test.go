package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"quotagate/internal/freeport"
)

// setup is how a proxy is started. Zero fields have working defaults.
type setup struct {
	rules     string   // the content of the rules file
	data      string   // the data directory; a new one if empty
	store     string   // embedded if empty
	connectTo string   // what to dial in place of the real hosts; all of the service if empty
	env       []string // more variables
	inside    []string // a command that brings a process to where data is
	watched   []string // a command in front of the proxy alone: strace
}

// gate is a running quotagate.
type gate struct {
	setup
	service   *service
	rulesFile string
	listen    string // address of the proxy
	admin     string // address of the admin pages
	ca        string // PEM file of its CA
	out       *output
	cmd       *exec.Cmd
	ended     chan struct{} // closed when the process is gone
	err       error         // how it went; read after ended
}

// start starts a proxy in front of the service and waits until it is ready.
// The test's end stops it, and then checks how it went.
func start(t *testing.T, s *service, want setup) *gate {
	t.Helper()
	g := prepare(t, s, want)
	g.run(t)
	return g
}

// prepare makes the files and addresses of a proxy, without starting it.
func prepare(t *testing.T, s *service, want setup) *gate {
	t.Helper()
	g := &gate{setup: want, service: s, listen: freeport.Address(t), admin: freeport.Address(t)}
	if g.data == "" {
		g.data = t.TempDir()
	}
	if g.store == "" {
		g.store = "embedded"
	}
	if g.connectTo == "" {
		g.connectTo = s.connectTo()
	}
	g.rulesFile = filepath.Join(t.TempDir(), "quotagate.yaml")
	writeFile(t, g.rulesFile, g.rules)
	return g
}

// run starts the process on the same files and addresses, again if it ran
// before, and waits for readiness.
func (g *gate) run(t *testing.T) {
	t.Helper()
	g.spawn(t)
	ready := func() bool {
		select {
		case <-g.ended:
			t.Fatalf("quotagate ended before it was ready: %v\n%s", g.err, g.out)
		default:
		}
		status, _ := g.get("/readyz")
		return status == http.StatusOK
	}
	eventually(t, 30*time.Second, "quotagate is ready", ready)
	if g.ca == "" {
		pem := g.verb(t, "ca", "export")
		g.ca = filepath.Join(t.TempDir(), "ca.pem")
		writeFile(t, g.ca, pem)
	}
}

// spawn starts the process and returns at once.
func (g *gate) spawn(t *testing.T) {
	t.Helper()
	args := slices.Concat(g.inside, g.watched, []string{binary(t), "run",
		"--rules", g.rulesFile, "--listen", g.listen, "--admin", g.admin, "--data", g.data, "--store", g.store})
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = cleanEnv(g.upstreamEnv()...)
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	g.cmd, g.out, g.ended, g.err = cmd, out, ended, nil
	go func() {
		g.err = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		select {
		case <-ended: // killed, or stopped and checked already
		default:
			g.stop(t)
		}
	})
}

// upstreamEnv leads the proxy to the loopback service.
func (g *gate) upstreamEnv() []string {
	return append([]string{
		"QUOTAGATE_CONNECT_TO=" + g.connectTo,
		"QUOTAGATE_UPSTREAM_CA=" + g.service.authority.file,
		"QUOTAGATE_ALLOW_ADDRESSES=127.0.0.0/8",
	}, g.setup.env...)
}

// env is what a verb needs to work on this proxy.
func (g *gate) env() []string {
	return append(g.upstreamEnv(), "QUOTAGATE_LISTEN="+g.listen, "QUOTAGATE_ADMIN="+g.admin,
		"QUOTAGATE_DATA="+g.data, "QUOTAGATE_RULES="+g.rulesFile, "QUOTAGATE_STORE="+g.store)
}

// stop asks the process to end, as a service manager does, and checks that it
// went well: exit 0, no data race, no panic.
func (g *gate) stop(t *testing.T) {
	t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("signal quotagate: %v", err)
	}
	select {
	case <-g.ended:
		if g.err != nil {
			t.Errorf("quotagate ended with %v\n%s", g.err, g.out)
		}
	case <-time.After(30 * time.Second):
		g.cmd.Process.Kill()
		<-g.ended
		t.Errorf("quotagate did not end within 30 s of SIGTERM\n%s", g.out)
	}
	g.wantSound(t)
	if t.Failed() {
		t.Logf("what quotagate printed:\n%s", g.out)
	}
}

// kill ends the process at once, without any chance to tidy up.
func (g *gate) kill(t *testing.T) {
	t.Helper()
	if err := g.cmd.Process.Kill(); err != nil {
		t.Fatalf("kill quotagate: %v", err)
	}
	<-g.ended
	g.wantSound(t)
}

func (g *gate) wantSound(t *testing.T) {
	t.Helper()
	for _, bad := range []string{"DATA RACE", "panic:", "goroutine 1 ["} {
		if strings.Contains(g.out.String(), bad) {
			t.Errorf("quotagate printed %q:\n%s", bad, g.out)
			return
		}
	}
}

// verb runs a verb of the binary on this proxy's files and returns what it
// printed on standard output.
func (g *gate) verb(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	line := slices.Concat(g.inside, []string{binary(t)}, args)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = cleanEnv(g.env()...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("quotagate %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// byHand points a client at the proxy by variables that a person sets.
func (g *gate) byHand() wiring { return wiring{proxy: "http://" + g.listen, ca: g.ca} }

// byExec puts `quotagate exec --` in front of a client.
func (g *gate) byExec(t *testing.T) wiring {
	w := g.byHand()
	w.front = []string{binary(t), "exec", "--"}
	w.env = g.env()
	return w
}

// get reads a page of the admin address.
func (g *gate) get(path string) (status int, body string) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get("http://" + g.admin + path)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	b, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(b)
}

// used is what the ledger says that the account has used of the limit, by the
// admin API; ok is false if it has nothing to say.
func (g *gate) used(t *testing.T, account, limit string) (used int64, ok bool) {
	t.Helper()
	status, body := g.get("/api/v1/accounts/" + account)
	if status == http.StatusNotFound {
		return 0, false
	}
	if status != http.StatusOK {
		t.Fatalf("GET /api/v1/accounts/%s: %d %s", account, status, body)
	}
	return usedIn(t, body, limit)
}

// usedIn finds the limit in a JSON answer: an object that names it and says
// how much of it is used.
func usedIn(t *testing.T, body, limit string) (int64, bool) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, body)
	}
	var found func(v any) (int64, bool)
	found = func(v any) (int64, bool) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				if n, ok := found(e); ok {
					return n, true
				}
			}
		case map[string]any:
			used, ok := v["used"].(float64)
			if ok && (v["limit"] == limit || v["name"] == limit) {
				return int64(used), true
			}
			for _, e := range v {
				if n, ok := found(e); ok {
					return n, true
				}
			}
		}
		return 0, false
	}
	return found(v)
}

// record is one line of the decision log.
type record struct {
	Time       time.Time `json:"time"`
	ID         string    `json:"id"`
	Decision   string    `json:"decision"`
	Mode       string    `json:"mode"`
	Service    string    `json:"service"`
	Kind       string    `json:"kind"`
	Account    string    `json:"account"`
	Class      string    `json:"class"`
	Limit      string    `json:"limit"`
	Used       int64     `json:"used"`
	Allow      int64     `json:"allow"`
	RetryAt    string    `json:"retry_at"`
	HeldMs     int64     `json:"held_ms"`
	Recipients []string  `json:"recipients"`
	Method     string    `json:"method"`
	Host       string    `json:"host"`
	Path       string    `json:"path"`
	Status     int       `json:"status"`
	UpstreamMs int64     `json:"upstream_ms"`
	Client     string    `json:"client"`
	ProxyUser  string    `json:"proxy_user"`
	RulesRev   string    `json:"rules_rev"`
	Reason     string    `json:"reason"`
}

// decisions reads the decision log. A last line without its end is still
// being written and is left out.
func (g *gate) decisions(t *testing.T) []record {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(g.data, "log", "decisions.jsonl"))
	if os.IsNotExist(err) {
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	var all []record
	for line := range strings.Lines(string(b)) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("the decision log holds a line that is no JSON object: %q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

// rulesWith are rules that use the shipped packs, with these lines at the end.
// It is about noon in their time zone, so that a day does not end in a test.
func rulesWith(lines ...string) string {
	return fmt.Sprintf("version: 1\nuse: [linkedin, slack, telegram]\ndefaults: {timezone: %s, wait: 1s}\n%s\n",
		noonZone(time.Now()), strings.Join(lines, "\n"))
}

// limits are the limits of a rules file, one line each.
func limits(lines ...string) string {
	return "limits:\n  - " + strings.Join(lines, "\n  - ")
}

// listed lists an account under the name of a sender, by its LinkedIn mailbox.
func listed(senders ...string) string {
	b := "accounts:\n"
	for _, s := range senders {
		b += fmt.Sprintf("  %s: {identity: [{linkedin.mailbox: %q}]}\n", s, mailbox(s))
	}
	return strings.TrimRight(b, "\n")
}

// output collects what a process prints while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
