package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quotagate/proxy"
	"quotagate/rules"
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
				if want.since, err = parseWhen("since", since, time.Now().In(p.location()), -1); err != nil {
					return err
				}
			}
			for _, d := range want.decisions {
				if !slices.Contains(decisions, d) {
					return usageError{hinted(fmt.Errorf("there is no decision %q", d), "the decisions are %s", strings.Join(decisions, ", "))}
				}
			}
			return p.showLog(cmd.Context(), c, f, &want, follow, asJSON)
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

// showLog prints the lines that are wanted, and says so where there are none.
func (p program) showLog(ctx context.Context, c *config, f *flags, want *logFilter, follow, asJSON bool) error {
	file := decisionLogFile(c.Data)
	read := func(follow bool, show func([]byte, *logLine) error) error {
		return readLog(ctx, file, want.since, follow, func(line []byte) error { return want.pass(line, show) })
	}
	h := p.logWriter()
	shown := 0
	show := func(raw []byte, l *logLine) error {
		shown++
		return h.write(l)
	}
	switch {
	case asJSON:
		show = func(raw []byte, _ *logLine) error {
			shown++
			_, err := p.stdout.Write(append(bytes.TrimRight(raw, "\r\n"), '\n'))
			return err
		}
	case follow:
		h.head() // nothing is known of what comes
	default:
		// Twice: the columns are as wide as what stands in them.
		if err := read(false, h.measure); err != nil && !errors.Is(err, os.ErrNotExist) {
			return c.ours(err)
		}
	}
	err := read(follow, show)
	switch {
	case errors.Is(err, os.ErrNotExist) && p.mistyped(c, f):
		return hinted(fmt.Errorf("there is no decision log in %s", c.Data), "`quotagate run` writes it; name its data directory with --data")
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return c.ours(err)
	case follow || shown > 0:
	case want.read == 0 && want.since.IsZero():
		if !asJSON {
			fmt.Fprintln(p.stdout, "Nothing has been decided yet.")
		}
	default:
		p.warn("no decision matches")
		if hint := want.didYouMean(); hint != "" {
			fmt.Fprintf(p.stderr, "hint: %s\n", hint)
		}
	}
	return nil
}

// mistyped reports whether the data directory was named and is not there.
func (p program) mistyped(c *config, f *flags) bool {
	if f.data == "" && p.variable(envPrefix+"DATA") == "" {
		return false
	}
	_, err := os.Stat(c.Data)
	return errors.Is(err, os.ErrNotExist)
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

	read int             // lines, wanted or not
	seen map[string]bool // the names in them
}

// didYouMean names what may have been meant by an account or a limit that no
// line has.
func (w *logFilter) didYouMean() string {
	names := slices.Sorted(maps.Keys(w.seen))
	for _, name := range slices.Concat(w.accounts, w.limits) {
		if !w.seen[name] {
			return rules.DidYouMean(name, names)
		}
	}
	return ""
}

// pass hands a line on if it is wanted. What is no JSON was torn when the
// machine stopped, and is left out.
func (w *logFilter) pass(line []byte, show func(raw []byte, l *logLine) error) error {
	var l logLine
	if json.Unmarshal(line, &l) != nil {
		return nil
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	w.read++
	w.seen[l.Account], w.seen[l.Limit] = true, true
	any := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	if !any(w.decisions, l.Decision) || !any(w.accounts, l.Account) || l.Time.Before(w.since) {
		return nil
	}
	if !any(w.limits, l.Limit) && !slices.ContainsFunc(l.Shadowed, func(s string) bool { return slices.Contains(w.limits, s) }) {
		return nil
	}
	return show(line, &l)
}
