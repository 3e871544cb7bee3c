// Package leaktest ends a suite of tests with a look at what it left behind.
package leaktest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"
)

// patience is how long what is ending may take to end.
const patience = 10 * time.Second

// Run runs the tests and returns the exit status: 1, too, if goroutines or
// descriptors are left that were not there before. It says which on out.
// Goroutines in whose stacks one of the words stands do not count.
func Run(m interface{ Run() int }, out io.Writer, words ...string) int {
	startPoller()
	goroutines, files := runtime.NumGoroutine(), openFiles()
	status := m.Run()
	if status != 0 {
		return status
	}
	http.DefaultClient.CloseIdleConnections() // which tests share
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); ; {
		runtime.GC() // the runtime keeps the pipes of splices until then
		g, f := runtime.NumGoroutine(), openFiles()
		if g > goroutines {
			g -= ignored(words)
		}
		if g <= goroutines && f <= files {
			return status
		}
		select {
		case <-tick.C:
		case <-end:
			buf := make([]byte, 1<<20)
			fmt.Fprintf(out, "the suite left %d goroutines (before: %d) and %d descriptors (before: %d) behind\n%s\n%s\n",
				g, goroutines, f, files, buf[:runtime.Stack(buf, true)], strings.Join(targets(), "\n"))
			return 1
		}
	}
}

// targets are what the open descriptors lead to.
func targets() (all []string) {
	entries, _ := os.ReadDir("/proc/self/fd") // nothing is told where there is none
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			all = append(all, e.Name()+" "+to)
		}
	}
	return all
}

// ignored is how many goroutines have one of the words in their stacks.
func ignored(words []string) (n int) {
	if len(words) == 0 {
		return 0
	}
	buf := make([]byte, 4<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(stack, w) }) {
			n++
		}
	}
	return n
}

// startPoller has the runtime open what it polls with, two descriptors that it
// keeps: it does at the first pipe or socket. So it does with the goroutine that
// waits for signals.
func startPoller() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	signal.Stop(signals)
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

// openFiles is how many descriptors are open, but for those of the null device,
// of which os/exec leaves one; 0 where the system does not tell.
func openFiles() (n int) {
	for _, to := range targets() {
		if !strings.HasSuffix(to, " "+os.DevNull) {
			n++
		}
	}
	return n
}
