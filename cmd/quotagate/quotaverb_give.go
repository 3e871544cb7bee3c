package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quotagate/proxy"
	"quotagate/proxy/admin"
)

func (p program) giveCommand(f *flags) *cobra.Command {
	var until string
	cmd := &cobra.Command{
		Use:     "give ACCOUNT LIMIT N",
		Short:   "give an account more of a limit, once",
		Long:    "give adds N units to what a limit allows an account. They are used once, and end\nwith --until, if it is given. What ends first is used first.",
		Example: "  quotagate quota give anna linkedin.inmail 3 --until 2026-12-31",
		Args:    argCount(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			g := &admin.GiftRequest{Limit: args[1]}
			var err error
			if g.Units, err = strconv.ParseInt(args[2], 10, 64); err != nil || g.Units < 1 {
				return usageError{hinted(fmt.Errorf("%q is no number of units", args[2]), "usage: %s", cmd.UseLine())}
			}
			if until != "" {
				now := time.Now().In(p.location())
				if g.Until, err = parseWhen("until", until, now, 1); err != nil {
					return err
				}
				if !g.Until.After(now) {
					return usageError{hinted(fmt.Errorf("--until %s has passed", until), "without --until it does not end")}
				}
			}
			return p.withAccounts(cmd.Context(), f, func(a accounts) error {
				if err := known(cmd.Context(), a, args[0]); err != nil {
					return err
				}
				if err := a.give(cmd.Context(), args[0], g); err != nil {
					return err
				}
				end := ""
				if !g.Until.IsZero() {
					end = " until " + shortTime(g.Until, p.location())
				}
				fmt.Fprintf(p.stdout, "%s has %s more of %s%s\n", args[0], args[2], g.Limit, end)
				return nil
			})
		},
		ValidArgsFunction: p.completeAccounts(f),
	}
	cmd.Flags().StringVar(&until, "until", "", "a `TIME` or duration after which what is left of it is lost")
	return cmd
}

// holdLine is a hold: throttled until 12:00: why. A person's has no name.
func holdLine(h *proxy.HoldUse, loc *time.Location) string {
	line := cmp.Or(printable(h.Name), "paused")
	if h.Until.IsZero() {
		line += " until someone resumes it"
	} else {
		line += " until " + shortTime(h.Until, loc)
	}
	if h.Why != "" {
		line += ": " + printable(h.Why)
	}
	return line
}

// measureCell is what stands for the numbers of a limit that counts nothing.
func measureCell(u *proxy.LimitUse) (string, bool) {
	switch {
	case strings.HasPrefix(u.Measure, "pace"):
		return "every " + strings.TrimPrefix(u.Measure, "pace "), true
	case strings.HasPrefix(u.Measure, "rate, per "):
		return fmt.Sprintf("%d per %s", u.Allow, strings.TrimPrefix(u.Measure, "rate, per ")), true
	case u.Measure == "hours", strings.HasPrefix(u.Measure, "reply_rate"), strings.HasPrefix(u.Measure, "degree_share"), strings.Contains(u.Measure, " alike, "):
		return u.Measure, true
	}
	return "", false
}
