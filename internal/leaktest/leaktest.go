// Package leaktest ends a suite of tests with a look at what it left behind.
package leaktest

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"
)

// patience is how long what is ending may take to end.
const patience = 10 * time.Second

// Run runs the tests and returns the exit status: 1, too, if goroutines or
// descriptors are left that were not there before. It says which on out.
func Run(m *testing.M, out io.Writer) int {
	startPoller()
	goroutines, files := runtime.NumGoroutine(), openFiles()
	status := m.Run()
	if status != 0 {
		return status
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); ; {
		runtime.GC() // the runtime keeps the pipes of splices until then
		g, f := runtime.NumGoroutine(), openFiles()
		if g <= goroutines && f <= files {
			return status
		}
		select {
		case <-tick.C:
		case <-end:
			buf := make([]byte, 1<<20)
			fmt.Fprintf(out, "the suite left %d goroutines (before: %d) and %d descriptors (before: %d) behind\n%s\n",
				g, goroutines, f, files, buf[:runtime.Stack(buf, true)])
			return 1
		}
	}
}

// startPoller has the runtime open what it polls with, two descriptors that it
// keeps: it does at the first pipe or socket.
func startPoller() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

// openFiles is how many descriptors are open; 0 where the system does not tell.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
