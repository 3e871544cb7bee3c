package ruletest

import (
	"errors"
	"io"
	"strings"

	"quotagate/rules"
)

// GitHub prints results as Text does, and for every failure an annotation at
// its line. https://docs.github.com/actions/reference/workflow-commands-for-github-actions,
// read 2026-11-21.
func GitHub(w io.Writer, files []File) error {
	p := &printer{w: w}
	for i := range files {
		f := &files[i]
		p.file(f, false)
		var broken rules.Errors
		switch {
		case errors.As(f.Err, &broken):
			for _, e := range broken {
				p.annotate(e.Pos, "rules", e.Message)
			}
		case f.Err != nil:
			p.annotate(rules.Pos{File: f.Name}, "rules", f.Err.Error())
		}
		for j := range f.Tests {
			t := &f.Tests[j]
			for _, one := range t.Failures {
				p.annotate(one.At, t.Name, one.Text)
			}
		}
	}
	return p.err
}

func (p *printer) annotate(at rules.Pos, title, text string) {
	// A property ends at a comma or colon, everything at a line break.
	value := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	p.f("::error file=%s", property.Replace(at.File))
	if at.Line > 0 {
		p.f(",line=%d,col=%d", at.Line, at.Col)
	}
	p.f(",title=%s::%s\n", property.Replace(title), value.Replace(text))
}
