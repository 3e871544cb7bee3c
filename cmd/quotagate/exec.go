package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"

	"quotagate/rules"
)

// The exit codes of a shell for a program that it could not start.
const (
	exitNotStarted = 126
	exitNotFound   = 127
)

func (p program) execCommand(f *flags) *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:   "exec [--as ACCOUNT] -- CMD...",
		Short: "run a program through the proxy",
		Long: `exec runs a program with everything set that brings it through the proxy. If
none answers on the admin address, one runs for as long as the program does.
The exit code is the program's.`,
		Example: `  quotagate exec -- python3 bot.py
  quotagate exec --as anna -- node send.js`,
		Args:                  argCount(1, -1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.config(f)
			if err != nil {
				return err
			}
			return p.exec(cmd.Context(), c, f, user, args)
		},
	}
	cmd.Flags().StringVar(&user, "as", "", "`ACCOUNT` to name to the proxy, or NAME:PASSWORD of one of its users")
	cmd.Flags().SetInterspersed(false) // what follows the program is its own
	return cmd
}

// exec runs a program through the proxy that answers, or through one of its
// own.
func (p program) exec(ctx context.Context, c *config, f *flags, user string, args []string) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return p.notStarted(args[0], err)
	}
	api, err := p.findProxy(ctx, c, f)
	if err != nil {
		return err
	}
	stop := func() error { return nil }
	shared := api != nil
	if shared {
		set, err := c.otherRules(api, f)
		if err != nil {
			return err
		}
		if set != nil {
			return hinted(fmt.Errorf("the proxy on %s runs with its own rules", api.status.Listen),
				"leave --rules out to run the program by those, or stop that proxy first")
		}
	}
	if !shared {
		if api, stop, err = p.ownProxy(ctx, c, f); err != nil {
			return err
		}
	}
	code, err := p.execThrough(ctx, c, api, user, shared, &exec.Cmd{Path: path, Args: args})
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	if code != exitOK {
		return exitError(code)
	}
	return nil
}

// execThrough runs a program through a running proxy, and says at its end what
// became of its messages.
func (p program) execThrough(ctx context.Context, c *config, api *proxyAPI, user string, shared bool, cmd *exec.Cmd) (int, error) {
	w, err := p.wire(ctx, c, &api.status, user)
	if err != nil {
		return 0, err
	}
	p.warnUnknownUser(user, api.status.ProxyUsers)
	cmd.Env = p.environment(w, strings.TrimPrefix(api.base, "http://"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.stdin, p.stdout, p.stderr
	sum := &summary{api: api, shared: shared, program: cmd.Args[0], before: api.status, begin: time.Now().Truncate(time.Millisecond)}
	code, err := runChild(ctx, cmd)
	if err != nil && cmd.Process == nil {
		return 0, p.notStarted(cmd.Args[0], err)
	}
	if err != nil {
		return 0, err
	}
	// The program may have ended because the context did.
	sum.write(context.WithoutCancel(ctx), p.stderr)
	return code, nil
}

// warnUnknownUser tells that a name given alone stands for no account. With a
// password it may be one of the proxy's users all the same.
func (p program) warnUnknownUser(user string, known []string) {
	if user == "" || strings.Contains(user, ":") || slices.Contains(known, user) {
		return
	}
	fmt.Fprintf(p.stderr, "quotagate: warning: no listed account is known by the proxy user %q\n", user)
	if meant := rules.DidYouMean(user, known); meant != "" {
		fmt.Fprintf(p.stderr, "hint: did you mean %q?\n", meant)
	}
}

// environment is the program's: ours, with the settings over it. QUOTAGATE_ADMIN
// lets the verbs of quotagate find the same proxy from within; the token and a
// store's password, by which quotas could be changed, are not the program's
// business; nor is a parent proxy's.
func (p program) environment(w *wiring, admin string) []string {
	var all []string
	for _, kv := range p.env {
		name, value, _ := strings.Cut(kv, "=")
		if name != envPrefix+"ADMIN_TOKEN" && name != envPrefix+"UPSTREAM_PROXY" && (name != envPrefix+"STORE" || value == storeName(value)) {
			all = append(all, kv)
		}
	}
	for _, v := range w.variables(env.ToMap(p.env)) {
		all = append(all, v.name+"="+v.value) // the last one counts
	}
	return append(all, envPrefix+"ADMIN="+admin)
}

// notStarted says why a program did not start, and ends as a shell does.
func (p program) notStarted(name string, err error) error {
	code := exitNotStarted
	hint := "see whether it is a program that you may run: ls -l " + name
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = exitNotFound
		hint = "name a program that is in PATH, or its path"
		if strings.ContainsAny(name, " =|&;<>") {
			hint = "exec starts a program, not a line of the shell: quotagate exec -- sh -c '…'"
		}
	}
	var lookup *exec.Error
	if errors.As(err, &lookup) {
		err = lookup.Err
	}
	fmt.Fprintf(p.stderr, "quotagate: error: start %s: %s\nhint: %s\n", name, err, hint)
	return exitError(code)
}
