package ruletest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// JUnit prints results in the XML that CI systems read, one suite a file.
// https://github.com/testmoapp/junitxml, read 2026-11-21.
func JUnit(w io.Writer, files []File) error {
	doc := junitSuites{}
	for i := range files {
		f := &files[i]
		s := junitSuite{Name: f.Name, Tests: len(f.Tests), Time: fmt.Sprintf("%.3f", f.Elapsed.Seconds())}
		if f.Err != nil {
			s.Tests, s.Errors = 1, 1
			s.Cases = []junitCase{{Name: "load", Class: f.Name, File: f.Name, Time: "0.000", Error: &junitFailure{Message: "the rules or tests do not load", Text: f.Err.Error()}}}
		}
		for j := range f.Tests {
			t := &f.Tests[j]
			c := junitCase{Name: t.Name, Class: f.Name, File: f.Name, Line: t.At.Line, Time: fmt.Sprintf("%.3f", t.Elapsed.Seconds())}
			if t.Failed() {
				s.Failures++
				lines := make([]string, len(t.Failures))
				for k := range t.Failures {
					lines[k] = t.Failures[k].String()
				}
				c.Failure = &junitFailure{Message: t.Failures[0].Text, Text: strings.Join(lines, "\n")}
			}
			s.Cases = append(s.Cases, c)
		}
		doc.Suites = append(doc.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr,omitempty"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
	Error   *junitFailure `xml:"error"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}
