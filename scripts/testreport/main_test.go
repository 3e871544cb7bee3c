package main

import (
	"strings"
	"testing"
)

const aRun = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/one"}
{"Action":"output","Package":"p","Test":"TestA/one","Output":"    a_test.go:1: one is wrong\n"}
{"Action":"VERDICT","Package":"p","Test":"TestA/one"}
{"Action":"VERDICT","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"the last words of p\n"}
{"Action":"ENDING","Package":"p","Elapsed":1.5}
`

func TestTheReportIsWellOnlyIfEverythingRanAndPassed(t *testing.T) {
	for _, c := range []struct {
		name, verdict, ending string
		allowSkip, ok         bool
		says                  string
	}{
		{name: "all passed", verdict: "pass", ending: "pass", ok: true, says: "1 passed, 0 failed, 0 skipped, in 1 packages (0 failed)"},
		{name: "a failure", verdict: "fail", ending: "fail", says: "one is wrong"},
		{name: "a skip", verdict: "skip", ending: "pass", says: "skipped: p TestA/one: a_test.go:1: one is wrong"},
		{name: "a skip that is allowed", verdict: "skip", ending: "pass", allowSkip: true, ok: true, says: "skipped: p TestA/one"},
		{name: "a package that broke after its tests", verdict: "pass", ending: "fail", says: "the last words of p"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			in := strings.NewReplacer("VERDICT", c.verdict, "ENDING", c.ending).Replace(aRun)
			if ok := report(strings.NewReader(in), &out, c.allowSkip); ok != c.ok {
				t.Errorf("report is %t, want %t", ok, c.ok)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("the report does not say %q:\n%s", c.says, out.String())
			}
		})
	}
}

func TestNoPackageAtAllIsAFailure(t *testing.T) {
	var out strings.Builder
	if report(strings.NewReader("go: no such thing\n"), &out, false) {
		t.Error("an empty run is reported as well")
	}
	if !strings.Contains(out.String(), "go: no such thing") {
		t.Errorf("what go itself said is lost:\n%s", out.String())
	}
}
