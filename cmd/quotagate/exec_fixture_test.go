package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"quotagate/internal/freeport"
)

// A stage is a pretend Slack and the settings of a proxy in front of it.
type stage struct {
	slack *pretendSlack
	data  string
	env   []string
}

// newStage makes a stage; limits are lines of a rules file.
func newStage(t *testing.T, limits ...string) *stage {
	t.Helper()
	slack, err := startPretendSlack(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(slack.close)
	// A path with a space in it, as on a Mac.
	data := filepath.Join(t.TempDir(), "Application Support")
	rules := filepath.Join(t.TempDir(), "quotagate.yaml")
	text := "version: 1\nuse: [slack]\nlimits:\n"
	for _, l := range limits {
		text += "  - " + l + "\n"
	}
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &stage{slack, data, []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + t.TempDir(),
		"QUOTAGATE_RULES=" + rules,
		"QUOTAGATE_DATA=" + data,
		"QUOTAGATE_LISTEN=" + freeport.Address(t),
		"QUOTAGATE_ADMIN=" + freeport.Address(t),
		"QUOTAGATE_CONNECT_TO=slack.com:443=" + slack.addr(),
		"QUOTAGATE_ALLOW_ADDRESSES=127.0.0.0/8",
		"QUOTAGATE_UPSTREAM_CA=" + slack.caFile,
	}}
}

// variable is what the settings say of a variable.
func (s *stage) variable(name string) string { return program{env: s.env}.variable(name) }

// twoADay is a limit whose window does not end in a test.
const twoADay = "{name: two-a-day, on: slack.message, allow: 2, per: 24h}"

// A result is what a run of quotagate left.
type result struct {
	code        int
	out, stderr *transcript
}

// run runs quotagate with arguments to its end.
func (s *stage) run(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := result{out: newTranscript(), stderr: newTranscript()}
	r.code = run(ctx, program{args: args, env: s.env, stdin: strings.NewReader("from standard input"), stdout: r.out, stderr: r.stderr})
	return r
}

// serve runs the proxy until the test ends, and waits until it is ready.
func (s *stage) serve(t *testing.T) {
	t.Helper()
	log := newTranscript()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, program{args: []string{"run"}, env: s.env, stdout: log, stderr: log}) }()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != exitOK {
			t.Errorf("run ended with %d: %s", code, log)
		}
	})
	log.await(t, "quotagate is ready")
}

// logged is the decision log.
func (s *stage) logged(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(decisionLogFile(s.data))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// postThree is the program that the tests of exec run. It posts messages as a
// Go program does that knows nothing of a proxy, and returns its exit code.
func postThree() int {
	for range 3 {
		req, err := http.NewRequest(http.MethodPost, "https://slack.com/api/chat.postMessage", strings.NewReader(url.Values{"channel": {"C1"}, "text": {"hi"}}.Encode()))
		if err != nil {
			fmt.Println(err)
			return 1
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Authorization", "Bearer xoxb-child")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		resp.Body.Close()
		fmt.Printf("posted: %s\n", resp.Header.Get("Quotagate-Decision"))
	}
	return 0
}

// childVariable makes TestMain run postThree instead of the tests.
const childVariable = "QUOTAGATE_TEST_CHILD"

// posting is the command line of that child.
func (s *stage) posting() []string {
	s.env = append(s.env, childVariable+"=1")
	return []string{os.Args[0]}
}

// A transcript collects what is printed, and tells who waits for a text.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed at the next write
}

func newTranscript() *transcript { return &transcript{more: make(chan struct{})} }

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *transcript) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		o.mu.Lock()
		there, more := strings.Contains(o.text.String(), text), o.more
		o.mu.Unlock()
		if there {
			return
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("%q was not printed in 30 s, but %s", text, o)
		}
	}
}

func wantContains(t *testing.T, what, got string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(got, w) {
			t.Errorf("%s has no %q:\n%s", what, w, got)
		}
	}
}
