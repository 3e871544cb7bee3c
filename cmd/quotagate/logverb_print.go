package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"quotagate/proxy"
)

// logPrinter prints lines as they are, or for a person.
func (p program) logPrinter(asJSON bool) func([]byte, *logLine) error {
	if asJSON {
		return func(raw []byte, _ *logLine) error {
			_, err := p.stdout.Write(append(bytes.TrimRight(raw, "\r\n"), '\n'))
			return err
		}
	}
	h := &logWriter{out: p.stdout, loc: p.location(), colour: p.terminal(p.stdout)}
	return func(_ []byte, l *logLine) error { return h.write(l) }
}

// A logWriter writes lines for a person. A column is as wide as the widest
// value so far: lines come one by one.
type logWriter struct {
	out    io.Writer
	loc    *time.Location
	colour bool
	widths [4]int
}

// colours of the decisions, as SGR codes.
var colours = map[string]string{
	proxy.DecisionForward: "32", // green
	proxy.DecisionHold:    "33", // yellow
	proxy.DecisionReject:  "31", // red
	proxy.DecisionCancel:  "35", // magenta
	proxy.DecisionError:   "1;31",
}

func (h *logWriter) write(l *logLine) error {
	limit := ""
	if l.Limit != "" {
		limit = l.Limit
		if l.Allow > 0 {
			limit += fmt.Sprintf(" %d/%d", l.Used, l.Allow)
		}
	}
	message := strings.Trim(l.Service+"."+l.Kind, ".")
	cells := [4]string{l.Decision, printable(l.Account), printable(message), printable(limit)}
	line := l.Time.In(h.loc).Format("2006-01-02 15:04:05.000")
	for i, cell := range cells {
		h.widths[i] = max(h.widths[i], len([]rune(cell)), logWidths[i])
		pad := strings.Repeat(" ", h.widths[i]-len([]rune(cell)))
		if i == 0 && h.colour {
			cell = "\x1b[" + colours[l.Decision] + "m" + cell + "\x1b[0m"
		}
		line += "  " + cell + pad
	}
	line += "  " + l.ending(h.loc)
	_, err := fmt.Fprintln(h.out, strings.TrimRight(line, " "))
	return err
}

// logWidths are what columns have before any line is known.
var logWidths = [4]int{len("forward"), 12, len("linkedin.message"), 20}

// ending is the free end of a line: the answer, and what is remarkable.
func (l *logLine) ending(loc *time.Location) string {
	var parts []string
	if l.Status > 0 {
		status := fmt.Sprint(l.Status)
		if l.UpstreamMS > 0 {
			status += fmt.Sprintf(" in %d ms", l.UpstreamMS)
		}
		parts = append(parts, status)
	}
	if l.HeldMS > 0 {
		parts = append(parts, "held "+(time.Duration(l.HeldMS)*time.Millisecond).String())
	}
	switch {
	case l.Decision == proxy.DecisionHold && !l.RetryAt.IsZero():
		parts = append(parts, "until "+l.RetryAt.In(loc).Format("15:04:05.000"))
	case l.Reason != "":
		parts = append(parts, printable(l.Reason))
	case !l.RetryAt.IsZero():
		parts = append(parts, "room at "+shortTime(l.RetryAt, loc))
	}
	if len(l.Shadowed) > 0 {
		parts = append(parts, "shadow: "+printable(strings.Join(l.Shadowed, ", "))+" would have refused it")
	} else if l.Mode == "shadow" {
		parts = append(parts, "shadow")
	}
	if len(l.Warnings) > 0 {
		parts = append(parts, "nearly used up: "+printable(strings.Join(l.Warnings, ", ")))
	}
	return strings.Join(parts, "; ")
}
