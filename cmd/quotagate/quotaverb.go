package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quotagate/proxy"
	"quotagate/proxy/admin"
	"quotagate/rules"
)

func (p program) quotaCommand(f *flags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "quota [ACCOUNT]",
		Short: "what each account has used and has left",
		Long: `quota shows what an account, or every account, has used of its limits. The
running proxy is asked; where none runs, the ledger itself.`,
		Example: "  quotagate quota anna\n  quotagate quota pause anna --why \"captcha\" --until 2h",
		Args:    argCount(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withAccounts(cmd.Context(), f, func(a accounts) error {
				return p.showQuota(cmd.Context(), a, args, asJSON)
			})
		},
		ValidArgsFunction: p.completeAccounts(f),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as the admin interface says it")
	cmd.AddCommand(p.pauseCommand(f), p.resumeCommand(f), p.giveCommand(f), p.exportCommand(f), p.importCommand(f), p.compactCommand(f), p.acceptCommand(f))
	return cmd
}

// showQuota prints one account or all.
func (p program) showQuota(ctx context.Context, a accounts, args []string, asJSON bool) error {
	now, loc := time.Now(), p.location()
	if len(args) == 1 {
		if err := known(ctx, a, args[0]); err != nil {
			return err
		}
		one, err := a.one(ctx, args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(p.stdout, one)
		}
		limits, err := a.limits(ctx)
		if err != nil {
			return err
		}
		writeAccount(p.stdout, one, limits, now, loc)
		return nil
	}
	all, err := a.all(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(p.stdout, map[string]any{"accounts": all})
	}
	if len(all) == 0 {
		fmt.Fprintln(p.stdout, "No account is listed in the rules, and none has sent anything yet.")
	}
	limits, err := a.limits(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		if i > 0 {
			fmt.Fprintln(p.stdout)
		}
		writeAccount(p.stdout, &all[i], limits, now, loc)
	}
	return nil
}

// writeAccount prints an account as a table of the limits that its services
// can reach.
func writeAccount(w io.Writer, a *admin.Account, limits []limitScope, now time.Time, loc *time.Location) {
	name := printable(a.Name)
	if a.Paused {
		name += "  paused"
		if !a.Until.IsZero() {
			name += " until " + shortTime(a.Until, loc)
		}
		if a.Why != "" {
			name += ": " + printable(a.Why)
		}
	}
	fmt.Fprintln(w, name)
	for i := range a.Holds {
		if h := &a.Holds[i]; h.Name != "" {
			fmt.Fprintln(w, "  "+holdLine(h, loc))
		}
	}
	reach := reaching(services(a.Name, a.Limits, limits), limits)
	var shown []proxy.LimitUse
	for _, u := range a.Limits {
		if can, known := reach[u.Limit]; can || !known || used(&u) {
			shown = append(shown, u)
		}
	}
	t := tableOfUses(shown, now, loc)
	for i := range limits {
		l := &limits[i]
		switch all := l.Scope != ""; {
		case !reach[l.Name] || !l.binds(a.Name) || all != strings.HasPrefix(a.Name, "service:"):
		case l.By != "":
			t.add(l.Name, "", "", l.each(), "(by "+l.By+": see explain)")
		case l.Measure == "similar":
			t.add(l.Name, "", "", "alike", "(by text: see explain)")
		case l.Measure == "rate":
			t.add(l.Name, "", "", l.rate(), "(a rate: asked of each request)")
		}
	}
	switch hidden := len(a.Limits) - len(shown); {
	case len(t.rows) == 0 && strings.HasPrefix(a.Name, "service:"):
	case len(t.rows) == 0:
		fmt.Fprintln(w, "  no limit binds it")
	default:
		t.write(w, "  ")
		if hidden > 0 && !strings.Contains(a.Name, "~") {
			fmt.Fprintf(w, "  and %s of services that it has not used yet\n", count(hidden, "limit"))
		}
	}
}

// writeUses prints limits with what is used and left of them.
func writeUses(w io.Writer, uses []proxy.LimitUse, now time.Time, loc *time.Location) {
	tableOfUses(uses, now, loc).write(w, "  ")
}

func tableOfUses(uses []proxy.LimitUse, now time.Time, loc *time.Location) *table {
	t := newTable("LIMIT", ">USED", ">LEFT", ">ALLOW", "RESETS", "")
	for i := range uses {
		u := &uses[i]
		name := u.Limit
		if u.Key != "" {
			name += " for " + u.Key
		}
		used, left, allow := strconv.FormatInt(u.Used, 10), strconv.FormatInt(max(u.Allow-u.Used, 0), 10), strconv.FormatInt(u.Allow, 10)
		if words, ok := measureCell(u); ok {
			used, left, allow = "", "", words
		}
		resets, when := "never", ""
		switch {
		case !u.Resets.IsZero():
			resets = shortTime(u.Resets, loc)
			if when = inWords(u.Resets.Sub(now)); when != "now" {
				when = "in " + when
			}
		case !strings.HasSuffix(u.Measure, "per lifetime"):
			resets = "-" // nothing is counted that could leave
		}
		var notes []string
		if u.Short {
			notes = append(notes, "no room")
		}
		if u.WarnAt > 0 && u.Used >= u.WarnAt && !u.Short {
			notes = append(notes, "nearly used up")
		}
		if u.Shadow {
			notes = append(notes, "shadow")
		}
		if u.Warn {
			notes = append(notes, "only warns")
		}
		if u.Scope != "" {
			notes = append(notes, "of all accounts together")
		}
		if len(notes) > 0 {
			when = strings.TrimSpace(when + "  " + strings.Join(notes, ", "))
		}
		t.add(name, used, left, allow, resets, when)
	}
	return t
}

// shortTime is a time to the minute, or to the second where that matters.
func shortTime(t time.Time, loc *time.Location) string {
	t = t.In(loc)
	if t.Second() != 0 {
		return t.Format("2006-01-02 15:04:05")
	}
	return t.Format("2006-01-02 15:04")
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// completeAccounts offers the listed accounts to the shell.
func (p program) completeAccounts(f *flags) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := p.config(f)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		set, err := loadRules(c.Rules, rules.Options{Hash: newHashKey(make([]byte, minHashKey)).sum})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return set.AccountNames(), cobra.ShellCompDirectiveNoFileComp
	}
}
