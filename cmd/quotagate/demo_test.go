package main

import (
	"context"
	"regexp"
	"testing"
)

func TestTheDemoEndsInPeaceWhenItIsStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	out, stderr := newTranscript(), newTranscript()
	code := make(chan int, 1)
	go func() { code <- run(ctx, program{args: []string{"demo"}, stdout: out, stderr: stderr}) }()
	out.await(t, "A bot posts")
	cancel()
	if c := <-code; c != exitFailure || stderr.String() != "quotagate: the demo was stopped\n" {
		t.Errorf("exit %d: %s", c, stderr)
	}
}

func TestTheDemoTellsItsStory(t *testing.T) {
	t.Parallel()
	// What the environment says does not change it.
	s := &stage{env: []string{"QUOTAGATE_STORE=nowhere", "QUOTAGATE_RULES=/nonexistent"}}
	r := s.run(t, "demo")
	if r.code != exitOK {
		t.Fatalf("exit %d: %s%s", r.code, r.out, r.stderr)
	}
	for _, line := range []string{
		`1  forward +200 +\{"ok":true`,
		`5  hold, forward  take-a-breath  +\d\.\d s  200`,
		`6  reject +five-a-minute +429  Retry-After: 5\d\n`,
		`counted 5 messages\. The other 2 never left`,
		`quotagate exec -- `,
	} {
		if !regexp.MustCompile(line).MatchString(r.out.String()) {
			t.Errorf("the demo has no line like %s:\n%s", line, r.out)
		}
	}
	if r.stderr.String() != "" {
		t.Errorf("the demo complains: %s", r.stderr)
	}
}
