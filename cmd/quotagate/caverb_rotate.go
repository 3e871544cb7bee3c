package main

// This file is `ca rotate`: one CA follows another in two steps, so that every
// client can be told in between.

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"quotagate/certs"
)

func (p program) caRotateCommand(f *flags) *cobra.Command {
	var finish, cancel, now bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "let another CA follow this one",
		Long: "Makes the next CA, limited to the hosts of the rules as they are now. The old\n" +
			"one goes on signing, and clients are given both, until --finish. A running\n" +
			"proxy notices by itself.",
		Example: "  quotagate ca rotate\n  quotagate ca install        # or give clients what `quotagate ca export` prints\n  quotagate ca rotate --finish",
		Args:    argCount(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if finish && cancel || finish && now || cancel && now {
				return usageError{errors.New("ca rotate: --finish, --cancel and --now do not go together")}
			}
			ca, c, err := p.openCA(f)
			if err != nil {
				return err
			}
			if ca.Brought() {
				return hinted(fmt.Errorf("the CA in %s is one of your own, which quotagate only reads", ca.File()),
					"replace the two files by their successors; a running proxy notices")
			}
			switch {
			case finish:
				err = p.finishRotation(c)
			case cancel:
				if err = certs.Cancel(c.Data, p.caOptions(c, c.readRules)); err == nil {
					fmt.Fprintln(p.stdout, "cancelled: the next CA is removed, and the old one stays")
				}
			default:
				err = p.rotate(c)
				if err == nil && now {
					err = p.finishRotation(c)
				}
			}
			if errors.Is(err, certs.ErrNothingNext) {
				return hinted(err, "`quotagate ca rotate` makes one")
			}
			if err != nil {
				return c.ours(withHint(err))
			}
			// What `exec` hands out holds what is to be trusted now.
			if ca, _, err = p.openCA(f); err != nil {
				return err
			}
			return writeBundle(c.Data, ca, p.logger(c))
		},
	}
	cmd.Flags().BoolVar(&finish, "finish", false, "the next CA signs from now on, and the old one's key is gone")
	cmd.Flags().BoolVar(&cancel, "cancel", false, "remove the next CA")
	cmd.Flags().BoolVar(&now, "now", false, "both steps at once, for machines where `exec` is all that needs it, or where the key has leaked")
	return cmd
}

func (p program) rotate(c *config) error {
	next, err := certs.Rotate(c.Data, p.caOptions(c, c.readRules))
	waiting := errors.Is(err, certs.ErrWaiting)
	if err != nil && !waiting {
		return err
	}
	if waiting {
		fmt.Fprintln(p.stdout, "the next CA is there already; `quotagate ca rotate --cancel` removes it, for instance to make one for other rules")
	}
	p.printCA("next", next)
	fmt.Fprint(p.stdout, "\nthe old CA goes on signing. Let clients trust the next one too:\n"+
		"  quotagate ca install         the stores of this machine\n"+
		"  quotagate ca export          both certificates, for others\n"+
		"what `quotagate exec` starts from now on does. Then:\n"+
		"  quotagate ca rotate --finish\n")
	return nil
}

func (p program) finishRotation(c *config) error {
	next, old, err := certs.Finish(c.Data, p.caOptions(c, c.readRules))
	if err != nil {
		return err
	}
	p.printCA("signs now", next)
	if old != nil {
		p.printCA("ended", old)
	}
	fmt.Fprintln(p.stdout, "\nthe old key is gone. `quotagate ca uninstall --old` takes the old certificate out of this machine's stores")
	return nil
}

func (p program) printCA(what string, c *x509.Certificate) {
	fmt.Fprintf(p.stdout, "%-13s%s, SHA-256 %s, valid until %s\n%-13ssigns for %s\n", what, printable(c.Subject.CommonName),
		certs.Fingerprint(c), c.NotAfter.UTC().Format(time.DateOnly), "", permitted(c.PermittedDNSDomains))
}
