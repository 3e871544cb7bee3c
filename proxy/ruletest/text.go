package ruletest

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Text prints results as go test does. With verbose it names every test.
func Text(w io.Writer, files []File, verbose bool) error {
	p := &printer{w: w}
	for i := range files {
		p.file(&files[i], verbose)
	}
	return p.err
}

// printer keeps the first error of many writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) file(f *File, verbose bool) {
	if f.Err != nil {
		for line := range strings.Lines(f.Err.Error()) {
			p.f("%s", line)
		}
		p.f("\nFAIL\t%s [the rules or tests do not load]\n", f.Name)
		return
	}
	for i := range f.Tests {
		t := &f.Tests[i]
		switch {
		case t.Failed():
			p.f("--- FAIL: %s (%s)\n", t.Name, seconds(t.Elapsed))
			for _, one := range t.Failures {
				p.f("    %s\n", strings.ReplaceAll(one.String(), "\n", "\n        "))
			}
		case verbose:
			p.f("--- PASS: %s (%s)\n", t.Name, seconds(t.Elapsed))
		}
	}
	switch {
	case f.Failed():
		p.f("FAIL\nFAIL\t%s\t%.3fs\n", f.Name, f.Elapsed.Seconds())
	case len(f.Tests) == 0:
		p.f("ok  \t%s\t%.3fs [no tests to run]\n", f.Name, f.Elapsed.Seconds())
	default:
		p.f("ok  \t%s\t%.3fs\n", f.Name, f.Elapsed.Seconds())
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2fs", d.Seconds()) }
