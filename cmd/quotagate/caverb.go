package main

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quotagate/certs"
)

func (p program) caCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "the certificate that clients have to trust",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{hinted(fmt.Errorf("ca: there is no verb %q", args[0]), "see `%s --help`", cmd.CommandPath())}
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(p.caShowCommand(f), p.caExportCommand(f), p.caInstallCommand(f), p.caUninstallCommand(f), p.caRotateCommand(f))
	return cmd
}

// openCA opens the CA of the data directory, and makes one on a machine that
// has none. It signs for nobody.
func (p program) openCA(f *flags) (*certs.Authority, *config, error) {
	c, err := p.config(f)
	if err != nil {
		return nil, nil, err
	}
	if err := c.named(f); err != nil {
		return nil, nil, err
	}
	ca, err := certs.Open(c.Data, p.caOptions(c, c.readRules))
	if err != nil {
		return nil, nil, c.ours(withHint(err))
	}
	return ca, c, nil
}

// A shownCA is what `ca show --json` prints.
type shownCA struct {
	Subject     string    `json:"subject"`
	Fingerprint string    `json:"sha256"`
	SPKI        string    `json:"spki"`
	NotAfter    time.Time `json:"not_after"`
	File        string    `json:"file"`
	Permits     []string  `json:"permits"` // null: every host
	Next        *nextCA   `json:"next,omitempty"`
	Trusted     []string  `json:"trusted_in"`
	Warnings    []string  `json:"warnings,omitempty"`
}

// A nextCA is the one that waits to follow.
type nextCA struct {
	Subject     string    `json:"subject"`
	Fingerprint string    `json:"sha256"`
	NotAfter    time.Time `json:"not_after"`
	Permits     []string  `json:"permits"`
}

// look gathers what there is to say of a CA.
func (p program) look(c *config, ca *certs.Authority) (shownCA, error) {
	permits, _ := ca.Limits()
	shown := shownCA{
		Subject:     ca.Subject(),
		Fingerprint: ca.Fingerprint(),
		SPKI:        ca.SPKI(),
		NotAfter:    ca.NotAfter().UTC(),
		File:        ca.File(),
		Permits:     permits,
		Trusted:     p.trustedIn(ca),
	}
	if set, err := c.readRules(); err == nil { // broken rules are said by other verbs
		for _, w := range caWarnings(c, ca, set) {
			shown.Warnings = append(shown.Warnings, w.String())
		}
	}
	if w, soon := caEnd(ca, time.Now()); soon {
		shown.Warnings = append(shown.Warnings, w.String())
	}
	if ca.Brought() {
		return shown, nil
	}
	next, err := certs.Next(c.Data, p.caOptions(c, c.readRules))
	switch {
	case errors.Is(err, certs.ErrNothingNext):
		return shown, nil
	case err != nil:
		return shown, withHint(err)
	}
	shown.Next = &nextCA{next.Subject.CommonName, certs.Fingerprint(next), next.NotAfter.UTC(), next.PermittedDNSDomains}
	return shown, nil
}

func (p program) caShowCommand(f *flags) *cobra.Command {
	var spki, asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "its name, fingerprint, file, and what it may sign for",
		Args:  argCount(0, 0),
		RunE: func(*cobra.Command, []string) error {
			ca, c, err := p.openCA(f)
			if err != nil {
				return err
			}
			if spki {
				_, err = fmt.Fprintln(p.stdout, ca.SPKI())
				return err
			}
			shown, err := p.look(c, ca)
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(p.stdout)
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "  ")
				return enc.Encode(shown)
			}
			_, err = p.stdout.Write([]byte(shown.text()))
			return err
		},
	}
	cmd.Flags().BoolVar(&spki, "spki", false, "only the SHA-256 of its public key, for Chromium's --ignore-certificate-errors-spki-list")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return cmd
}

func (s shownCA) text() string {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-13s%s\n", what, printable(fmt.Sprintf(format, args...)))
	}
	line("subject", "%s", s.Subject)
	line("SHA-256", "%s", s.Fingerprint)
	line("SPKI", "%s", s.SPKI)
	line("valid until", "%s", s.NotAfter.Format(time.DateOnly))
	line("signs for", "%s", permitted(s.Permits))
	line("file", "%s", s.File)
	if len(s.Trusted) == 0 {
		line("trusted in", "no store of this machine that was looked into (`quotagate exec` needs none)")
	}
	for _, name := range s.Trusted {
		line("trusted in", "%s", name)
	}
	if s.Next != nil {
		line("next", "%s, SHA-256 %s, valid until %s", s.Next.Subject, s.Next.Fingerprint, s.Next.NotAfter.Format(time.DateOnly))
		line("", "signs for %s once `quotagate ca rotate --finish` is run", permitted(s.Next.Permits))
	}
	for _, w := range s.Warnings {
		line("warning:", "%s", w)
	}
	return b.String()
}

// permitted says the name constraints of a CA.
func permitted(domains []string) string {
	if len(domains) == 0 {
		return "every host"
	}
	return strings.Join(domains, ", ") + " (and what is below)"
}

func (p program) caExportCommand(f *flags) *cobra.Command {
	var bundle, der bool
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "the certificate as PEM on standard output",
		Long:    "The certificate as PEM on standard output; while one CA follows another, both. No key is ever printed.",
		Example: "  quotagate ca export > quotagate-ca.pem",
		Args:    argCount(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if bundle && der {
				return usageError{errors.New("ca export: DER holds one certificate, so --der and --bundle do not go together")}
			}
			ca, _, err := p.openCA(f)
			if err != nil {
				return err
			}
			out := ca.PEM()
			switch {
			case bundle:
				if out, err = ca.Bundle(); err != nil {
					return withHint(err)
				}
			case der:
				block, rest := pem.Decode(out)
				if len(rest) > 0 {
					return hinted(errors.New("there is more than one certificate to trust, and DER holds one"), "leave out --der")
				}
				out = block.Bytes
			}
			_, err = p.stdout.Write(out)
			return err
		},
	}
	cmd.Flags().BoolVar(&bundle, "bundle", false, "with the system's own roots before it, for clients that read one file only")
	cmd.Flags().BoolVar(&der, "der", false, "as DER, which Android and Windows open by themselves")
	return cmd
}
