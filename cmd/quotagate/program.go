package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// A program is one start of quotagate: everything that comes from outside
// comes in here, so that tests start it as main does.
type program struct {
	args   []string
	env    []string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// A usageError is the caller's mistake in how it called us.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// A hintedError carries the way out beside what is wrong.
type hintedError struct {
	error
	hint string
}

func (e hintedError) Unwrap() error { return e.error }

// hinted adds a way out to an error.
func hinted(err error, format string, args ...any) error {
	return hintedError{err, fmt.Sprintf(format, args...)}
}

// An exitError ends the program with a code and no words: everything was said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// run starts the program and returns its exit code.
func run(ctx context.Context, p program) int {
	root := p.rootCommand()
	root.SetArgs(p.args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var code exitError
	if errors.As(err, &code) {
		return int(code)
	}
	fmt.Fprintf(p.stderr, "quotagate: error: %s\n", strings.TrimRight(err.Error(), "\n"))
	var h hintedError
	if errors.As(err, &h) {
		fmt.Fprintf(p.stderr, "hint: %s\n", h.hint)
	}
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

const longHelp = `quotagate is an HTTP forward proxy that keeps automation inside messaging
quotas. Point every tool that sends for an account at it; it counts their
messages together and holds or refuses the one that would break a limit.

  quotagate init                          starter rules in this directory
  quotagate run                           the proxy, on 127.0.0.1:8080
  quotagate exec -- python bot.py         a program through the proxy
  quotagate log -f                        what it decided
  quotagate demo                          see it work, with no account anywhere`

func (p program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "quotagate",
		Short:         "keeps automation inside messaging quotas",
		Long:          longHelp,
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,

		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{hinted(err, "see `%s --help`", cmd.CommandPath())}
	})
	f := newFlags(root)
	root.AddCommand(
		p.runCommand(f),
		p.execCommand(f),
		p.envCommand(f),
		p.initCommand(f),
		p.checkCommand(f),
		p.testCommand(f),
		p.schemaCommand(),
		p.explainCommand(f),
		p.logCommand(f),
		p.quotaCommand(f),
		p.caCommand(f),
		p.demoCommand(f),
		p.versionCommand(),
	)
	return root
}

func unknownVerb(cmd *cobra.Command, verb string) error {
	err := fmt.Errorf("there is no verb %q", verb)
	if s := cmd.SuggestionsFor(verb); len(s) > 0 {
		return usageError{hinted(err, "did you mean `quotagate %s`?", s[0])}
	}
	return usageError{hinted(err, "see `quotagate help`")}
}

// exactArgs wants between min and max arguments; more than that is wrong usage.
func argCount(min, max int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < min || (max >= 0 && len(args) > max) {
			return usageError{hinted(fmt.Errorf("%s: wrong number of arguments", cmd.Name()),
				"usage: %s", cmd.UseLine())}
		}
		return nil
	}
}

// warn says on standard error what is probably not meant.
func (p program) warn(format string, args ...any) {
	fmt.Fprintf(p.stderr, "quotagate: warning: "+format+"\n", args...)
}

// variable is the value of an environment variable, or "".
func (p program) variable(name string) string {
	var value string
	for _, kv := range p.env {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			value = v
		}
	}
	return value
}

// terminal reports whether w is a terminal that may be coloured.
func (p program) terminal(w io.Writer) bool {
	if p.variable("NO_COLOR") != "" || p.variable("TERM") == "dumb" {
		return false
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
