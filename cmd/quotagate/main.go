// Quotagate is a forward proxy that keeps messaging automation inside the
// quotas of its accounts. Run `quotagate help` for its verbs.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	// Nobody can read a profile of the memory, and to take one costs a request
	// half a per cent.
	runtime.MemProfileRate = 0
	// net/http writes what it cannot make sense of to the standard logger, and
	// quotes it: tokens and cookies among it.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the system has them back: a second one ends us.
	context.AfterFunc(ctx, stop)
	code := run(ctx, program{
		args:   os.Args[1:],
		env:    os.Environ(),
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
	})
	stop()
	os.Exit(code)
}
