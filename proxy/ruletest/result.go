package ruletest

import (
	"fmt"
	"time"

	"quotagate/rules"
)

// A File is what became of one file of tests.
type File struct {
	Name    string
	Elapsed time.Duration
	// Err is why the file or the rules it names could not be loaded; there
	// are no Tests then.
	Err   error
	Tests []Test
}

// Failed reports whether anything in the file failed.
func (f *File) Failed() bool {
	if f.Err != nil {
		return true
	}
	for i := range f.Tests {
		if f.Tests[i].Failed() {
			return true
		}
	}
	return false
}

// A Test is what became of one test.
type Test struct {
	Name     string
	At       rules.Pos
	Elapsed  time.Duration
	Sends    int
	Failures []Failure
}

// Failed reports whether the test failed.
func (t *Test) Failed() bool { return len(t.Failures) > 0 }

// A Failure is one thing that was expected and did not happen.
type Failure struct {
	// At is the expectation's place in the file.
	At rules.Pos
	// Text says which send it was, what came and what was wanted.
	Text string
}

func (f Failure) String() string { return fmt.Sprintf("%s: %s", f.At, f.Text) }
