package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"quotagate/rules"
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
	var nowhere error // help was asked for a verb that there is not
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if rest := cmd.Flags().Args(); len(rest) > 0 && cmd.HasSubCommands() && !cmd.HasParent() {
			nowhere = unknownVerb(cmd, rest[0])
			return
		}
		help(cmd, args)
	})
	root.SetArgs(p.args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = nowhere
	}
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
	root.SetFlagErrorFunc(wrongFlag)
	root.CompletionOptions.DisableDefaultCmd = true
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
		p.userCommand(f),
		p.demoCommand(f),
		p.versionCommand(),
		p.completionCommand(),
	)
	root.SetHelpCommand(helpCommand())
	root.SetUsageTemplate(strings.NewReplacer(
		"Usage:", "usage:", "Examples:", "examples:", "Available Commands:", "verbs:",
		"Global Flags:", "flags of every verb:", "Flags:", "flags:",
		`Use "{{.CommandPath}} [command] --help" for more information about a command.`, "`{{.CommandPath}} VERB --help` says more about one of them.",
		"[command]", "VERB",
	).Replace(root.UsageTemplate()))
	for _, cmd := range append(root.Commands(), root) {
		cmd.InitDefaultHelpFlag()
		cmd.Flags().Lookup("help").Usage = "say how it is used"
		for _, sub := range cmd.Commands() {
			sub.InitDefaultHelpFlag()
			sub.Flags().Lookup("help").Usage = "say how it is used"
		}
	}
	return root
}

// wrongFlag says what a flag that there is not may have been meant to be.
func wrongFlag(cmd *cobra.Command, err error) error {
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		var flags []string
		for _, m := range flagNames.FindAllStringSubmatch(cmd.Flags().FlagUsages(), -1) {
			flags = append(flags, m[1])
		}
		if hint := rules.DidYouMean(name, flags); hint != "" {
			return usageError{hinted(err, "%s", strings.Replace(hint, `"`, `"--`, 1))}
		}
	}
	return usageError{hinted(err, "see `%s --help`", cmd.CommandPath())}
}

var flagNames = regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`)

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "how a verb is used",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || found == cmd.Root() && len(rest) > 0 {
				return unknownVerb(cmd.Root(), args[0])
			}
			return found.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if len(args) == 0 {
				for _, sub := range cmd.Root().Commands() {
					names = append(names, sub.Name())
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
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
