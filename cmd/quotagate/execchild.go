package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// runChild runs a program to its end, passes signals on to it, and returns its
// exit code as a shell does: 128+n where signal n ended it. An error with
// cmd.Process nil is one of starting it.
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
		return 0, fmt.Errorf("pass the streams of %s on: %w", cmd.Args[0], err)
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
			// A signal that ended the context has come in by its own name; its
			// cause is a Canceled to errors.Is, but not the same value.
			if context.Cause(ctx) == context.Canceled {
				_ = child.Signal(syscall.SIGTERM)
			}
		case <-ended:
			return
		}
	}
}
