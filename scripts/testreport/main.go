// Testreport reads the output of `go test -json` on its standard input and
// writes what a person wants of it: one line a package, everything that a
// failed test printed, the reason of every skip, and the totals.
//
// A skipped test is a failure unless QUOTAGATE_TEST_ALLOW_SKIP=1: a machine
// where half of the tests did not run must not look like one where all passed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

func main() {
	allowSkip := os.Getenv("QUOTAGATE_TEST_ALLOW_SKIP") == "1"
	if !report(os.Stdin, os.Stdout, allowSkip) {
		os.Exit(1)
	}
}

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output and build-fail
	Test       string
	Elapsed    float64
	Output     string
}

type totals struct {
	passed, failed, skipped int
	packages, badPackages   int
	skips                   []string
}

// report copies what matters from in to out and tells whether all is well.
func report(in io.Reader, out io.Writer, allowSkip bool) bool {
	started := time.Now()
	var sum totals
	output := make(map[string][]string) // by package and test
	parents := make(map[string]bool)    // tests that have subtests
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(out, "%s", line) // not an event: go test itself speaks
			} else {
				sum.take(e, output, parents, out)
			}
		}
		if err != nil {
			break
		}
	}
	for _, s := range sum.skips {
		fmt.Fprintf(out, "skipped: %s\n", s)
	}
	ok := sum.failed == 0 && sum.badPackages == 0 && sum.packages > 0
	if sum.skipped > 0 && !allowSkip {
		fmt.Fprintln(out, "a skipped test is a failure here; QUOTAGATE_TEST_ALLOW_SKIP=1 lets it be")
		ok = false
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped, in %d packages (%d failed), %s\n",
		sum.passed, sum.failed, sum.skipped, sum.packages, sum.badPackages,
		time.Since(started).Round(time.Second))
	return ok
}

func (s *totals) take(e event, output map[string][]string, parents map[string]bool, out io.Writer) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "run":
		if parent, _, sub := cutLast(e.Test, "/"); sub {
			parents[e.Package+" "+parent] = true
		}
	case "output":
		output[key] = append(output[key], e.Output)
	case "build-output":
		fmt.Fprint(out, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.closePackage(e, output, out)
		} else {
			s.closeTest(e, output[key], parents[key], out)
		}
		delete(output, key)
	}
}

// closeTest counts a test that has ended. One that only groups subtests is
// not counted: its subtests are.
func (s *totals) closeTest(e event, printed []string, group bool, out io.Writer) {
	switch e.Action {
	case "pass":
		if !group {
			s.passed++
		}
	case "fail":
		if !group {
			s.failed++
		}
		fmt.Fprint(out, strings.Join(printed, ""))
	case "skip":
		s.skipped++
		s.skips = append(s.skips, e.Package+" "+e.Test+": "+reason(printed))
	}
}

func (s *totals) closePackage(e event, output map[string][]string, out io.Writer) {
	switch e.Action {
	case "skip": // no test files
		return
	case "fail":
		s.badPackages++
		// What was still running when the package ended: a test that hung
		// or brought the process down never closes by itself.
		for key, lines := range output {
			if strings.HasPrefix(key, e.Package+" ") {
				fmt.Fprint(out, strings.Join(lines, ""))
				delete(output, key)
			}
		}
	}
	s.packages++
	word := map[string]string{"pass": "ok", "fail": "FAIL"}[e.Action]
	fmt.Fprintf(out, "%-4s %s  %.1fs\n", word, e.Package, e.Elapsed)
}

// reason is what a skipped test gave as its reason.
func reason(printed []string) string {
	for _, line := range printed {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return line
		}
	}
	return "no reason given"
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
