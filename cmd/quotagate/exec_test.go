package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func TestExecStartsAProxyOfItsOwnAndSaysWhatWasDecided(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	r := s.run(t, append([]string{"exec", "--"}, s.posting()...)...)
	if r.code != exitOK || s.slack.messages.Load() != 2 {
		t.Errorf("exit %d, %d messages arrived, want 0 and 2: %s%s", r.code, s.slack.messages.Load(), r.out, r.stderr)
	}
	wantContains(t, "standard output", r.out.String(), "posted: forward\nposted: forward\nposted: reject\n")
	if got, want := r.stderr.String(), "quotagate: 2 forwarded, 1 refused (two-a-day)\n"; got != want {
		t.Errorf("standard error is %q, want %q", got, want)
	}
}

func TestExecUsesTheProxyThatAnswers(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	s.serve(t)
	r := s.run(t, append([]string{"exec", "--as", "anna", "--"}, s.posting()...)...)
	if r.code != exitOK || s.slack.messages.Load() != 2 {
		t.Errorf("exit %d, %d messages arrived, want 0 and 2: %s%s", r.code, s.slack.messages.Load(), r.out, r.stderr)
	}
	wantContains(t, "standard error", r.stderr.String(), "quotagate: 2 forwarded, 1 refused (two-a-day) by the proxy on 127.0.0.1:", "while it ran")
	wantContains(t, "the decision log", s.logged(t), `"proxy_user":"anna"`)

	// Another account's messages of before are not told again.
	r = s.run(t, "exec", "--", "true")
	wantContains(t, "standard error", r.stderr.String(), "warning: nothing came through the proxy: true")
}

func TestExecNamesAUserOfAProxyThatAsks(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	hash, err := bcrypt.GenerateFromPassword([]byte("se:cret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, append([]byte("anna:"), hash...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "QUOTAGATE_PROXY_USERS="+users)
	child := s.posting()
	r := s.run(t, append([]string{"exec", "--as", "anna", "--"}, child...)...)
	if r.code != exitFailure {
		t.Errorf("without a password: exit %d", r.code)
	}
	wantContains(t, "standard error", r.stderr.String(), "does not let this user in", "hint: name one of its users with --as NAME:PASSWORD")
	r = s.run(t, append([]string{"exec", "--as", "anna:se:cret", "--"}, child...)...)
	if r.code != exitOK || s.slack.messages.Load() != 2 {
		t.Errorf("with the password: exit %d, %d messages: %s%s", r.code, s.slack.messages.Load(), r.out, r.stderr)
	}
}

func TestExecEndsAsItsProgramDoes(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"success", []string{"exec", "--", "true"}, 0, ""},
		{"a code", []string{"exec", "--", "sh", "-c", "exit 7"}, 7, ""},
		{"a signal", []string{"exec", "--", "sh", "-c", "kill -TERM $$"}, 143, ""},
		{"flags of the program, without --", []string{"exec", "sh", "-c", "exit 8"}, 8, ""},
		{"no such program", []string{"exec", "--", "no-such-program"}, 127, "hint: name a program that is in PATH, or its path\n"},
		{"no such path", []string{"exec", "--", "./no/such"}, 127, "hint: name a program"},
		{"a line of the shell", []string{"exec", "--", "echo hi | cat"}, 127, "hint: exec starts a program, not a line of the shell"},
		{"a folder", []string{"exec", "--", t.TempDir()}, 126, "hint: see whether it is a program"},
		{"nothing to run", []string{"exec"}, exitUsage, "exec: wrong number of arguments"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.code == 143 && runtime.GOOS == "windows" {
				t.Skip("no signals there")
			}
			r := s.run(t, c.args...)
			if r.code != c.code {
				t.Errorf("exit %d, want %d: %s", r.code, c.code, r.stderr)
			}
			wantContains(t, "standard error", r.stderr.String(), c.says)
		})
	}
}

func TestExecGivesNoAdminTokenToItsProgram(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	s.env = append(s.env, "QUOTAGATE_ADMIN_TOKEN=sesame")
	r := s.run(t, "exec", "--", "env")
	if r.code != exitOK || strings.Contains(r.out.String(), "sesame") || !strings.Contains(r.out.String(), "QUOTAGATE_ADMIN=") {
		t.Errorf("exit %d: %s%s", r.code, r.out, r.stderr)
	}
}

// TestExecSaysThatItsProxyStopped while the program ran.
func TestExecSaysThatItsProxyStopped(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	ctx, cancel := context.WithCancel(t.Context())
	log := newTranscript()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, program{args: []string{"run"}, env: s.env, stdout: log, stderr: log}) }()
	log.await(t, "quotagate is ready")
	input, hold := io.Pipe()
	out, stderr := newTranscript(), newTranscript()
	code := make(chan int, 1)
	go func() {
		code <- run(t.Context(), program{args: []string{"exec", "--", "sh", "-c", "echo started; cat"}, env: s.env, stdin: input, stdout: out, stderr: stderr})
	}()
	out.await(t, "started")
	cancel()
	<-ended
	hold.Close()
	if c := <-code; c != exitOK {
		t.Errorf("exit %d", c)
	}
	wantContains(t, "standard error", stderr.String(),
		"quotagate: the proxy on "+s.variable("QUOTAGATE_LISTEN")+" stopped meanwhile; `quotagate log` has what it decided\n")
}

func TestExecPassesItsStreamsOn(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	r := s.run(t, "exec", "--", "sh", "-c", "cat; echo to standard error >&2")
	if got := r.out.String(); got != "from standard input" {
		t.Errorf("standard output is %q", got)
	}
	wantContains(t, "standard error", r.stderr.String(), "to standard error\n")
}

// TestExecLeavesTheEndToItsProgram: the program is asked to stop, and it is
// its own way of stopping that counts.
func TestExecLeavesTheEndToItsProgram(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, stderr := newTranscript(), newTranscript()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, program{
			args: []string{"exec", "--", "sh", "-c", `trap "echo tidied up; exit 9" TERM; echo started; while :; do sleep 0.05; done`},
			env:  s.env, stdout: out, stderr: stderr,
		})
	}()
	out.await(t, "started")
	cancel()
	if c := <-code; c != 9 {
		t.Errorf("exit %d, want 9: %s%s", c, out, stderr)
	}
	wantContains(t, "standard output", out.String(), "tidied up")
	wantContains(t, "standard error", stderr.String(), "nothing came through the proxy")
}

func TestExecKnowsWhyNothingCameThrough(t *testing.T) {
	for program, want := range map[string]string{
		"/usr/bin/python3.11": "trust_env",
		"npx":                 "--for node",
		"chromium":            "--for playwright",
		"docker":              "--for docker",
		"./bot":               "--for WHAT",
	} {
		wantContains(t, program, strings.Join(ignoring(program), "\n"), want, "NO_PROXY")
	}
}
