//go:build unix

package main

import (
	"os"
	"syscall"
	"testing"
)

// TestExecPassesSignalsOn is not parallel: every exec of this process would
// pass the signal on.
func TestExecPassesSignalsOn(t *testing.T) {
	s := newStage(t, twoADay)
	out, stderr := newTranscript(), newTranscript()
	code := make(chan int, 1)
	go func() {
		code <- run(t.Context(), program{
			args: []string{"exec", "--", "sh", "-c", `trap "exit 11" USR2; echo started; while :; do sleep 0.05; done`},
			env:  s.env, stdout: out, stderr: stderr,
		})
	}()
	out.await(t, "started")
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	if c := <-code; c != 11 {
		t.Errorf("exit %d, want 11: %s%s", c, out, stderr)
	}
}
