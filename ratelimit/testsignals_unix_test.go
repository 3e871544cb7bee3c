//go:build unix

package ratelimit

import (
	"os"
	"syscall"
)

// What freezes a process, and what wakes it.
var stopSignal, continueSignal os.Signal = syscall.SIGSTOP, syscall.SIGCONT
