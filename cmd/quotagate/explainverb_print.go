package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"quotagate/proxy"
	"quotagate/rules"
)

// mostNear is how many rules that nearly matched are shown.
const mostNear = 5

// writeExplanation prints an explanation for a person, the decision first.
func writeExplanation(w io.Writer, x *proxy.Explanation, now time.Time, loc *time.Location) {
	line := x.Decision
	if x.HeldMS > 0 {
		line += " for " + inMoments(time.Duration(x.HeldMS)*time.Millisecond)
	}
	fmt.Fprintf(w, "%s: %s\n", line, printable(x.Reason))
	fact := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-9s %s\n", name, printable(value))
		}
	}
	account := x.Account
	if account != "" && x.Class != "" {
		account += " (" + x.Class + ")"
	}
	fact("account", account)
	fact("messages", counted(x.Messages))
	if len(x.Messages) == 0 {
		fact("service", x.Service)
	}
	fact("limit", x.Limit)
	for i := range x.Holds {
		fact("on hold", holdLine(&x.Holds[i], loc))
	}
	if x.Answer != nil {
		fact("answer", answerLine(x.Answer))
	}
	fact("rules", x.Revision)
	if len(x.Uses) > 0 {
		fmt.Fprintln(w)
		writeUses(w, x.Uses, now, loc)
	}
	if len(x.Messages) == 0 {
		writeNear(w, x.Trace)
	}
}

// counted joins names and says how often each stands in a row.
func counted(names []string) string {
	var parts []string
	for i := 0; i < len(names); {
		n := 1
		for i+n < len(names) && names[i+n] == names[i] {
			n++
		}
		if n > 1 {
			parts = append(parts, fmt.Sprintf("%d × %s", n, names[i]))
		} else {
			parts = append(parts, names[i])
		}
		i += n
	}
	return strings.Join(parts, ", ")
}

// longestAnswer is how much of a refusal's body is shown.
const longestAnswer = 200

func answerLine(a *rules.Answer) string {
	line := fmt.Sprint(a.Status)
	if v := a.Header.Get("Retry-After"); v != "" {
		line += ", Retry-After " + v
	}
	body := strings.TrimSpace(string(a.Body))
	if len([]rune(body)) > longestAnswer {
		body = string([]rune(body)[:longestAnswer]) + "…"
	}
	if body != "" {
		line += ", " + body
	}
	return line
}

// writeNear prints the rules that came nearest, and what did not fit. Where
// one fits there is nothing to look for.
func writeNear(w io.Writer, trace []rules.TraceStep) {
	if len(trace) == 0 || slices.ContainsFunc(trace, func(s rules.TraceStep) bool { return s.Matches() }) {
		return
	}
	var near []*nearMiss
	for i := range trace {
		near = fold(near, &trace[i])
	}
	fmt.Fprintln(w, "\nthe rules that come nearest:")
	t := newTable("MESSAGE", "WHERE", "WHAT DOES NOT FIT", "IT WANTS")
	for _, m := range near[:min(len(near), mostNear)] {
		where := m.At.String()
		if m.more > 0 {
			where += fmt.Sprintf(" and %d more", m.more)
		}
		t.add(m.Message, where, m.Field, printable(alternatives(m.Want)))
	}
	t.write(w, "  ")
	if n := len(near) - mostNear; n > 0 {
		fmt.Fprintf(w, "  and %d more\n", n)
	}
}

// A nearMiss is one rule, or several that miss in the same way.
type nearMiss struct {
	*rules.TraceStep
	more int
}

func fold(near []*nearMiss, s *rules.TraceStep) []*nearMiss {
	for _, m := range near {
		if m.Message == s.Message && m.Field == s.Field && m.Want == s.Want {
			m.more++
			return near
		}
	}
	return append(near, &nearMiss{s, 0})
}

// widestWant is how much of what a rule wants is shown.
const widestWant = 60

// alternatives is a list of "this or that", not too long.
func alternatives(want string) string {
	all := strings.Split(want, " or ")
	shown := all[0]
	for i, one := range all[1:] {
		if utf8.RuneCountInString(shown)+len(" or ")+utf8.RuneCountInString(one) > widestWant {
			return shown + fmt.Sprintf(" or %d more", len(all)-1-i)
		}
		shown += " or " + one
	}
	return shown
}
