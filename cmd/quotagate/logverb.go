package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quotagate/proxy"
)

// decisions are the words of --decision.
var decisions = []string{proxy.DecisionForward, proxy.DecisionHold, proxy.DecisionReject, proxy.DecisionCancel, proxy.DecisionError}

func (p program) logCommand(f *flags) *cobra.Command {
	var follow, asJSON bool
	var since string
	var want logFilter
	cmd := &cobra.Command{
		Use:     "log",
		Short:   "what was decided",
		Example: "  quotagate log -f\n  quotagate log --decision reject --since 24h",
		Args:    argCount(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.config(f)
			if err != nil {
				return err
			}
			if since != "" {
				if want.since, err = parseWhen("since", since, time.Now(), -1); err != nil {
					return err
				}
			}
			for _, d := range want.decisions {
				if !slices.Contains(decisions, d) {
					return usageError{hinted(fmt.Errorf("there is no decision %q", d), "the decisions are %s", strings.Join(decisions, ", "))}
				}
			}
			show := p.logPrinter(asJSON)
			return readLog(cmd.Context(), decisionLogFile(c.Data), want.since, follow, func(line []byte) error {
				return want.pass(line, show)
			})
		},
	}
	fl := cmd.Flags()
	fl.BoolVarP(&follow, "follow", "f", false, "go on with what is decided from now on")
	fl.BoolVar(&asJSON, "json", false, "the lines as they are")
	fl.StringSliceVar(&want.decisions, "decision", nil, "only `WORD`: "+strings.Join(decisions, ", "))
	fl.StringSliceVar(&want.accounts, "account", nil, "only of `ACCOUNT`")
	fl.StringSliceVar(&want.limits, "limit", nil, "only where `LIMIT` decided or was the tightest")
	fl.StringVar(&since, "since", "", "only after `TIME`, or for a duration until now")
	completeWords(cmd, "decision", decisions)
	completeFlag(cmd, "account", p.completeAccounts(f))
	return cmd
}

// completeFlag offers a flag's values to the shell.
func completeFlag(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	// The only error is a flag that does not exist, and a test asks for each.
	_ = cmd.RegisterFlagCompletionFunc(flag, f)
}

// completeWords offers the only words that a flag takes.
func completeWords(cmd *cobra.Command, flag string, words []string) {
	completeFlag(cmd, flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// A logLine is what is shown of one line of the decision log.
type logLine struct {
	Time       time.Time `json:"time"`
	ID         string    `json:"id"`
	Decision   string    `json:"decision"`
	Mode       string    `json:"mode"`
	Service    string    `json:"service"`
	Kind       string    `json:"kind"`
	Account    string    `json:"account"`
	Limit      string    `json:"limit"`
	Used       int64     `json:"used"`
	Allow      int64     `json:"allow"`
	RetryAt    time.Time `json:"retry_at"`
	HeldMS     int64     `json:"held_ms"`
	Status     int       `json:"status"`
	UpstreamMS int64     `json:"upstream_ms"`
	Reason     string    `json:"reason"`
	Shadowed   []string  `json:"shadowed"`
	Warnings   []string  `json:"warnings"`
}

// A logFilter says which lines are wanted; the zero value wants all.
type logFilter struct {
	decisions, accounts, limits []string
	since                       time.Time
}

// pass hands a line on if it is wanted. What is no JSON was torn when the
// machine stopped, and is left out.
func (w *logFilter) pass(line []byte, show func(raw []byte, l *logLine) error) error {
	var l logLine
	if json.Unmarshal(line, &l) != nil {
		return nil
	}
	any := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	if !any(w.decisions, l.Decision) || !any(w.accounts, l.Account) || l.Time.Before(w.since) {
		return nil
	}
	if !any(w.limits, l.Limit) && !slices.ContainsFunc(l.Shadowed, func(s string) bool { return slices.Contains(w.limits, s) }) {
		return nil
	}
	return show(line, &l)
}

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

// readLog calls f with every line of the log, the rotated files first, and
// with follow goes on until ctx ends.
func readLog(ctx context.Context, file string, since time.Time, follow bool, f func([]byte) error) error {
	older, err := rotated(file, since)
	if err != nil {
		return err
	}
	r := &logReader{file: file, f: f}
	defer r.close()
	for _, name := range older {
		if err := r.whole(ctx, name); err != nil {
			return err
		}
	}
	return r.current(ctx, len(older) > 0, follow)
}
