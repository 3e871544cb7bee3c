package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"
)

func (p program) envCommand(f *flags) *cobra.Command {
	var kind, user string
	cmd := &cobra.Command{
		Use:   "env",
		Short: "the settings that bring a program through the proxy",
		Example: `  eval "$(quotagate env)"
  quotagate env --for playwright`,
		Args: argCount(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			i := slices.IndexFunc(envFormats, func(e envFormat) bool { return e.name == kind })
			if i < 0 {
				return usageError{hinted(fmt.Errorf("there are no settings for %q", kind), "--for takes %s", strings.Join(envNames(), ", "))}
			}
			c, err := p.config(f)
			if err != nil {
				return err
			}
			api, err := p.findProxy(cmd.Context(), c, f)
			if err != nil {
				return err
			}
			var w *wiring
			if api != nil {
				w, err = p.wire(cmd.Context(), c, &api.status, user)
			} else if err = c.named(f); err == nil {
				w, err = p.wireBlind(c, user)
			}
			if err != nil {
				return err
			}
			if err := envFormats[i].write(p.stdout, w, env.ToMap(p.env)); err != nil {
				return err
			}
			if api == nil {
				p.warn("no proxy answers on %s now; `quotagate run` starts it", c.Admin)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&kind, "for", "sh", "`WHAT`: "+strings.Join(envNames(), ", "))
	cmd.Flags().StringVar(&user, "as", "", "`ACCOUNT` to name to the proxy, or NAME:PASSWORD of one of its users")
	completeWords(cmd, "for", envNames())
	return cmd
}

// An envFormat writes the settings in the words of one kind of program.
type envFormat struct {
	name  string
	title string // on the set-up page
	write func(out io.Writer, w *wiring, env map[string]string) error
}

var envFormats = []envFormat{
	{"sh", "A shell, and all that it starts", forShell},
	{"curl", "curl", forCurl},
	{"python", "Python: requests, httpx, aiohttp", forPython},
	{"node", "Node.js: fetch, undici, axios", forNode},
	{"playwright", "Playwright", forPlaywright},
	{"puppeteer", "Puppeteer", forPuppeteer},
	{"chromium", "Chromium, Chrome, Edge", forChromium},
	{"firefox", "Firefox", forFirefox},
	{"docker", "Docker", forDocker},
	{"go", "Go", forGo},
	{"java", "Java", forJava},
	{"powershell", "PowerShell, and all that it starts", forPowerShell},
	{"windows", "Windows, for all programs", forWindows},
	{"macos", "macOS, for all programs", forMacOS},
}

func envNames() []string {
	names := make([]string, len(envFormats))
	for i, f := range envFormats {
		names[i] = f.name
	}
	return names
}
