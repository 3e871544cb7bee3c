package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// completionScripts write what makes a shell complete our words.
var completionScripts = map[string]func(root *cobra.Command, out io.Writer) error{
	"bash":       func(root *cobra.Command, out io.Writer) error { return root.GenBashCompletionV2(out, true) },
	"fish":       func(root *cobra.Command, out io.Writer) error { return root.GenFishCompletion(out, true) },
	"powershell": (*cobra.Command).GenPowerShellCompletionWithDesc,
	"zsh":        (*cobra.Command).GenZshCompletion,
}

func (p program) completionCommand() *cobra.Command {
	shells := slices.Sorted(maps.Keys(completionScripts))
	return &cobra.Command{
		Use:     "completion SHELL",
		Short:   "what makes a shell complete verbs, flags and accounts",
		Long:    "completion prints a script for one of " + strings.Join(shells, ", ") + ".",
		Example: "  source <(quotagate completion bash)\n  quotagate completion fish > ~/.config/fish/completions/quotagate.fish",
		Args:    argCount(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			script := completionScripts[args[0]]
			if script == nil {
				return usageError{hinted(fmt.Errorf("there is no completion for %q", args[0]), "the shells are %s", strings.Join(shells, ", "))}
			}
			return script(cmd.Root(), p.stdout)
		},
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
	}
}
