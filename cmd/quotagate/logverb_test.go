package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
)

// A log that is followed shows every line once, across a rotation and however
// it is torn, and ends in peace.
func TestLogFollowsAcrossARotation(t *testing.T) {
	c := &config{Data: t.TempDir()}
	if err := c.makeDataDir(); err != nil {
		t.Fatal(err)
	}
	decided, err := openDecisionLog(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	defer decided.close()
	write := func(s string) {
		t.Helper()
		if _, err := decided.out.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	line := func(n int) string {
		return fmt.Sprintf(`{"time":"2026-11-21T09:00:00.000Z","id":"%d","decision":"forward","account":"anna"}`, n) + "\n"
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, stdout := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, program{
			args:   []string{"log", "-f", "--json", "--data", c.Data},
			stdin:  strings.NewReader(""),
			stdout: stdout,
			stderr: t.Output(),
		})
		stdout.Close()
	}()
	shown := bufio.NewReader(out)
	want := func(n int) {
		t.Helper()
		got, err := shown.ReadString('\n')
		if err != nil || got != line(n) {
			t.Fatalf("shown %q, %v; want %q", got, err, line(n))
		}
	}

	write(line(1))
	want(1)
	if err := decided.out.Rotate(); err != nil {
		t.Fatal(err)
	}
	write(line(2))
	want(2)
	half := line(3)
	write(half[:30])
	write(half[30:])
	want(3)
	for n := 4; n < 200; n++ {
		write(line(n))
	}
	for n := 4; n < 200; n++ {
		want(n)
	}
	cancel()
	if rest, err := io.ReadAll(shown); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d, want %d", got, exitOK)
	}
}

// A file that is about to be begun is waited for.
func TestLogFollowsBeforeThereIsOne(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	file := decisionLogFile(t.TempDir())
	done := make(chan error, 1)
	go func() {
		done <- readLog(ctx, file, time.Time{}, true, func([]byte) error { return nil })
	}()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A log that is followed has columns that do not move.
func TestLogFollowedHasFixedColumns(t *testing.T) {
	var out bytes.Buffer
	w := &logWriter{out: &out, loc: time.UTC}
	if err := w.head(); err != nil {
		t.Fatal(err)
	}
	for _, l := range []logLine{
		{Decision: "forward", Account: "anna", Service: "slack", Kind: "message", Limit: "a.day", Used: 1, Allow: 2, Status: 200, UpstreamMS: 1900},
		{Decision: "reject", Account: "linkedin~0123456789abcdef", Service: "linkedin", Kind: "open_profile", Limit: "linkedin.classic.month", Used: 1500, Allow: 1500, Status: 429},
	} {
		if err := w.write(&l); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	at := strings.Index(lines[0], "ANSWER")
	if len(lines) != 3 || strings.Index(lines[1], "200 in 1.9 s") != at || strings.Index(lines[2], "429") != at {
		t.Errorf("shown\n%s", out.String())
	}
}

func TestLogColoursDecisions(t *testing.T) {
	var out bytes.Buffer
	w := &logWriter{out: &out, loc: time.UTC, colour: true}
	for _, d := range []string{proxy.DecisionForward, proxy.DecisionHold, proxy.DecisionReject} {
		if err := w.write(&logLine{Decision: d}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"\x1b[32mforward\x1b[0m", "\x1b[33mhold\x1b[0m", "\x1b[31mreject\x1b[0m"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
}

// What a log says may have come from a client: it must not steer a terminal.
func TestLogShowsNoControlCharacters(t *testing.T) {
	var out bytes.Buffer
	w := &logWriter{out: &out, loc: time.UTC}
	l := &logLine{Decision: "forward", Account: "a\x1b[2Jb", Reason: "x\r\ny\u009b1m"}
	if err := w.write(l); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(strings.ReplaceAll(out.String(), "\n", ""), "\x1b\r\u009b") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("shown %q", out.String())
	}
}

func TestRotatedFilesBeforeSinceAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"decisions-2026-11-20T00-00-00.000.jsonl", "decisions-2026-11-21T00-00-00.000.jsonl",
		"decisions.jsonl", "decisions-old.jsonl", "other-2026-11-21T00-00-00.000.jsonl",
	} {
		if err := writeFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names, err := rotated(filepath.Join(dir, "decisions.jsonl"), time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	if err != nil || len(names) != 1 || filepath.Base(names[0]) != "decisions-2026-11-21T00-00-00.000.jsonl" {
		t.Errorf("%v, %v", names, err)
	}
}
