package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// runChild runs a program to its end, passes signals on to it, and returns its
// exit code as a shell does: 128+n where signal n ended it. The error is one of
// starting it.
func runChild(ctx context.Context, cmd *exec.Cmd) (int, error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, relayed...)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	var relay sync.WaitGroup
	relay.Go(func() { relaySignals(ctx, cmd.Process, signals, ended) })
	err := cmd.Wait()
	close(ended)
	relay.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// relaySignals sends on what arrives until the program has ended. The only
// error of sending is a program that has.
func relaySignals(ctx context.Context, child *os.Process, signals <-chan os.Signal, ended <-chan struct{}) {
	done := ctx.Done()
	for {
		select {
		case s := <-signals:
			if !sentByTerminal(s) {
				_ = child.Signal(s)
			}
		case <-done:
			done = nil
			// A signal that ended the context has come in by its own name.
			if context.Cause(ctx) == context.Canceled { //nolint:errorlint // a signal's cause is a Canceled, too
				_ = child.Signal(syscall.SIGTERM)
			}
		case <-ended:
			return
		}
	}
}
