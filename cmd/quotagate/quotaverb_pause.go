package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"quotagate/proxy/admin"
)

func (p program) pauseCommand(f *flags) *cobra.Command {
	var why, until string
	cmd := &cobra.Command{
		Use:   "pause ACCOUNT",
		Short: "let nothing of an account through",
		Args:  argCount(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var end time.Time
			if until != "" {
				var err error
				now := time.Now().In(p.location())
				if end, err = parseWhen("until", until, now, 1); err != nil {
					return err
				}
				if !end.After(now) {
					return usageError{hinted(fmt.Errorf("--until %s has passed", until), "without --until the pause lasts until `quotagate quota resume`")}
				}
			}
			name := args[0]
			return p.withAccounts(cmd.Context(), f, func(a accounts) error {
				if err := known(cmd.Context(), a, name); err != nil {
					return err
				}
				before, err := a.one(cmd.Context(), name)
				if err != nil {
					return err
				}
				if err := a.pause(cmd.Context(), name, why, end); err != nil {
					return err
				}
				until := "`quotagate quota resume " + name + "`"
				if !end.IsZero() {
					until = shortTime(end, p.location())
				}
				fmt.Fprintf(p.stdout, "%s is paused until %s\n", name, until)
				if before.Paused {
					fmt.Fprintf(p.stdout, "this replaces the pause %s\n", pauseWords(before, p.location()))
				}
				return nil
			})
		},
		ValidArgsFunction: p.completeAccounts(f),
	}
	cmd.Flags().StringVar(&why, "why", "", "the `REASON`, for whoever is refused")
	cmd.Flags().StringVar(&until, "until", "", "a `TIME` or duration after which it ends by itself")
	return cmd
}

// pauseWords describe a pause: until 2026-11-22 00:00: a captcha.
func pauseWords(a *admin.Account, loc *time.Location) string {
	words := "without an end"
	if !a.Until.IsZero() {
		words = "until " + shortTime(a.Until, loc)
	}
	if a.Why != "" {
		words += ": " + printable(a.Why)
	}
	return words
}

func (p program) resumeCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "resume ACCOUNT",
		Short: "end the pause of an account",
		Args:  argCount(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withAccounts(cmd.Context(), f, func(a accounts) error {
				if err := known(cmd.Context(), a, args[0]); err != nil {
					return err
				}
				if err := a.resume(cmd.Context(), args[0]); err != nil {
					return err
				}
				fmt.Fprintf(p.stdout, "%s goes on\n", args[0])
				return nil
			})
		},
		ValidArgsFunction: p.completeAccounts(f),
	}
}
