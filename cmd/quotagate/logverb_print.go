package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"quotagate/proxy"
)

// A logWriter writes lines for a person. A column is as wide as the widest
// value that was measured, and never narrower than its heading.
type logWriter struct {
	out    io.Writer
	loc    *time.Location
	colour bool
	widths [logColumns]int
	begun  bool
}

const logColumns = 5

// logHeads are the headings; the time's names its zone.
var logHeads = [logColumns]string{"TIME", "DECISION", "ACCOUNT", "MESSAGE", "LIMIT"}

// logWidths are what columns have where lines come one by one: room for a
// hashed name, a longer message and a limit with its numbers.
var logWidths = [logColumns]int{23, 8, 25, 22, 32}

func (p program) logWriter() *logWriter {
	return &logWriter{out: p.stdout, loc: p.location(), colour: p.terminal(p.stdout)}
}

// measure makes room for a line.
func (h *logWriter) measure(_ []byte, l *logLine) error {
	for i, cell := range h.cells(l) {
		h.widths[i] = max(h.widths[i], utf8.RuneCountInString(cell))
	}
	return nil
}

// head writes the headings, once.
func (h *logWriter) head() error {
	if h.begun {
		return nil
	}
	h.begun = true
	if h.widths == [logColumns]int{} {
		h.widths = logWidths
	}
	heads := logHeads
	heads[0] += " (" + zoneName(h.loc) + ")"
	for i, head := range heads {
		h.widths[i] = max(h.widths[i], utf8.RuneCountInString(head))
	}
	return h.line(heads, "", "ANSWER")
}

// zoneName is a time zone as people know it.
func zoneName(loc *time.Location) string {
	if loc != time.Local {
		return loc.String()
	}
	return time.Now().Format("MST")
}

// colours of the decisions, as SGR codes.
var colours = map[string]string{
	proxy.DecisionForward: "32", // green
	proxy.DecisionHold:    "33", // yellow
	proxy.DecisionReject:  "31", // red
	proxy.DecisionCancel:  "35", // magenta
	proxy.DecisionError:   "1;31",
}

func (h *logWriter) cells(l *logLine) [logColumns]string {
	limit := ""
	if l.Limit != "" {
		limit = l.Limit
		if l.Allow > 0 {
			limit += fmt.Sprintf(" %d/%d", l.Used, l.Allow)
		}
	}
	message := strings.Trim(l.Service+"."+l.Kind, ".")
	return [logColumns]string{
		l.Time.In(h.loc).Format("2006-01-02 15:04:05.000"),
		l.Decision, printable(l.Account), printable(message), printable(limit),
	}
}

func (h *logWriter) write(l *logLine) error {
	if err := h.head(); err != nil {
		return err
	}
	return h.line(h.cells(l), colours[l.Decision], l.ending(h.loc))
}

// line writes one line; a colour, which is an SGR code, is the decision's.
func (h *logWriter) line(cells [logColumns]string, colour, ending string) error {
	var b strings.Builder
	for i, cell := range cells {
		pad := strings.Repeat(" ", max(0, h.widths[i]-utf8.RuneCountInString(cell)))
		if i == 1 && h.colour && colour != "" {
			cell = "\x1b[" + colour + "m" + cell + "\x1b[0m"
		}
		b.WriteString(cell + pad + "  ")
	}
	b.WriteString(ending)
	_, err := fmt.Fprintln(h.out, strings.TrimRight(b.String(), " "))
	return err
}

// ending is the free end of a line: the answer, and what is remarkable.
func (l *logLine) ending(loc *time.Location) string {
	var parts []string
	if l.Status > 0 {
		status := fmt.Sprint(l.Status)
		if l.UpstreamMS > 0 {
			status += " in " + inMoments(time.Duration(l.UpstreamMS)*time.Millisecond)
		}
		parts = append(parts, status)
	}
	if l.HeldMS > 0 {
		parts = append(parts, "held "+inMoments(time.Duration(l.HeldMS)*time.Millisecond))
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
