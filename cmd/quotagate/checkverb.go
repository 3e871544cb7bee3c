package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quotagate/rules"
)

func (p program) checkCommand(f *flags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "whether rules files are right, and what they cover",
		RunE: func(_ *cobra.Command, files []string) error {
			c, err := p.config(f)
			if err != nil {
				return err
			}
			if len(files) == 0 {
				files = c.Rules
			}
			set, err := loadRules(files, rules.Options{Hash: newHashKey([]byte("check")).sum})
			var authority []caWarning
			if err == nil {
				authority = p.checkAuthority(c, set)
			}
			if asJSON {
				return p.checkJSON(set, authority, err)
			}
			if err != nil {
				return checkError(err)
			}
			writeSummary(p.stdout, strings.Join(files, ", "), set)
			for _, w := range authority {
				fmt.Fprintf(p.stdout, "warning: %s\n", printable(w.String()))
			}
			return nil
		},
		ValidArgsFunction: completeRules,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "errors, warnings and the summary as JSON")
	return cmd
}

// completeRules offers YAML files to the shell.
func completeRules(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// completeDirs offers directories.
func completeDirs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// checkError says how much is wrong before it says what.
func checkError(err error) error {
	var all rules.Errors
	if !errors.As(err, &all) {
		return err
	}
	var h hintedError
	if errors.As(err, &h) && !strings.Contains(h.hint, "quotagate check") {
		return err // such as how to begin where there are no rules
	}
	return fmt.Errorf("%s in the rules:\n%w", count(len(all), "error"), all)
}

// count is a number of things: 1 error, 2 errors.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// writeSummary says what rules cover.
func writeSummary(w io.Writer, files string, set *rules.Set) {
	fmt.Fprintf(w, "ok: %s\n", files)
	line := func(names []string, thing string) {
		text := "  " + count(len(names), thing)
		if len(names) > 0 {
			text = fmt.Sprintf("%-14s%s", text, printable(strings.Join(names, ", ")))
		}
		fmt.Fprintln(w, text)
	}
	line(set.Hosts(), "host")
	line(set.MessageNames(), "message")
	line(limitNames(set), "limit")
	line(set.AccountNames(), "account")
	if set.Mode() == "shadow" {
		fmt.Fprintln(w, "  mode: shadow, so that limits count and never refuse")
	}
	if set.GovernedOnly() {
		fmt.Fprintln(w, "  egress: governed-only, so that clients reach these hosts and no others")
	}
	for _, warning := range append(set.Warnings(), set.Aged(time.Now())...) {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
}

func limitNames(set *rules.Set) []string {
	var names []string
	for _, l := range set.Limits() {
		names = append(names, l.Name)
	}
	return names
}

// A finding is an error or a warning as --json shows it.
type finding struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"col,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func findingAt(at rules.Pos, message, hint string) finding {
	return finding{at.File, at.Line, at.Col, message, hint}
}

// checkJSON prints the same for programs; the exit code stays.
func (p program) checkJSON(set *rules.Set, authority []caWarning, failed error) error {
	out := struct {
		OK       bool      `json:"ok"`
		Errors   []finding `json:"errors,omitempty"`
		Warnings []finding `json:"warnings,omitempty"`
		Revision string    `json:"rules_rev,omitempty"`
		Files    []string  `json:"files,omitempty"`
		Hosts    []string  `json:"hosts,omitempty"`
		Messages []string  `json:"messages,omitempty"`
		Limits   []string  `json:"limits,omitempty"`
		Accounts []string  `json:"accounts,omitempty"`
	}{OK: failed == nil}
	if failed != nil {
		var all rules.Errors
		if !errors.As(failed, &all) {
			return failed
		}
		for _, e := range all {
			out.Errors = append(out.Errors, findingAt(e.Pos, e.Message, e.Hint))
		}
		if err := writeJSON(p.stdout, out); err != nil {
			return err
		}
		return exitError(exitFailure)
	}
	for _, w := range append(set.Warnings(), set.Aged(time.Now())...) {
		out.Warnings = append(out.Warnings, findingAt(w.Pos, w.Message, w.Hint))
	}
	for _, w := range authority {
		out.Warnings = append(out.Warnings, finding{Message: w.what, Hint: w.hint})
	}
	out.Revision, out.Files, out.Hosts = set.Revision(), set.Files(), set.Hosts()
	out.Messages, out.Limits, out.Accounts = set.MessageNames(), limitNames(set), set.AccountNames()
	return writeJSON(p.stdout, out)
}
