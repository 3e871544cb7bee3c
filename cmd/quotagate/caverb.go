package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
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
	cmd.AddCommand(p.caShowCommand(f), p.caExportCommand(f))
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
}

func (p program) caShowCommand(f *flags) *cobra.Command {
	var spki, asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "its name, fingerprint and file",
		Args:  argCount(0, 0),
		RunE: func(*cobra.Command, []string) error {
			ca, c, err := p.openCA(f)
			if err != nil {
				return err
			}
			shown := shownCA{
				Subject:     ca.Subject(),
				Fingerprint: ca.Fingerprint(),
				SPKI:        ca.SPKI(),
				NotAfter:    ca.NotAfter().UTC(),
				File:        filepath.Join(c.Data, certs.CertFile),
			}
			switch {
			case spki:
				_, err = fmt.Fprintln(p.stdout, shown.SPKI)
			case asJSON:
				enc := json.NewEncoder(p.stdout)
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "  ")
				err = enc.Encode(shown)
			default:
				_, err = fmt.Fprintf(p.stdout, "subject      %s\nSHA-256      %s\nSPKI         %s\nvalid until  %s\nfile         %s\n",
					shown.Subject, shown.Fingerprint, shown.SPKI, shown.NotAfter.Format(time.DateOnly), shown.File)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&spki, "spki", false, "only the SHA-256 of its public key, for Chromium's --ignore-certificate-errors-spki-list")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return cmd
}

func (p program) caExportCommand(f *flags) *cobra.Command {
	var bundle bool
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "the certificate as PEM on standard output",
		Example: "  quotagate ca export > quotagate-ca.pem",
		Args:    argCount(0, 0),
		RunE: func(*cobra.Command, []string) error {
			ca, _, err := p.openCA(f)
			if err != nil {
				return err
			}
			pem := ca.PEM()
			if bundle {
				if pem, err = ca.Bundle(); err != nil {
					return withHint(err)
				}
			}
			_, err = p.stdout.Write(pem)
			return err
		},
	}
	cmd.Flags().BoolVar(&bundle, "bundle", false, "with the system's own roots before it, for clients that read one file only")
	return cmd
}
