package main

// This file is `ca install` and `ca uninstall`: it says of every store what
// was done, or what to do about it.

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"quotagate/certs"
)

// storeFlags choose among the stores; without any, all are meant.
type storeFlags struct{ system, nss, dry bool }

func (s *storeFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.system, "system", false, "the system's store alone, which needs root")
	cmd.Flags().BoolVar(&s.nss, "nss", false, "the databases of this user's Firefox and Chromium alone")
	cmd.Flags().BoolVar(&s.dry, "dry-run", false, "say what would be done")
}

func (p program) stores(s storeFlags) []certs.Store {
	var stores []certs.Store
	if s.system || !s.nss {
		stores = append(stores, certs.SystemStore())
	}
	if s.nss || !s.system {
		stores = append(stores, certs.NSSStores(p.variable("HOME"))...)
	}
	return stores
}

// trustedIn are the stores of this machine that hold the CA. One that cannot
// be looked into is left out.
func (p program) trustedIn(ca *certs.Authority) []string {
	names := []string{}
	roots := ca.Roots()
	for _, s := range p.stores(storeFlags{}) {
		if has, err := s.Has(roots[0]); err == nil && has {
			names = append(names, s.Name())
		}
	}
	return names
}

func (p program) caInstallCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "install",
		Short:   "let this machine and this user's browsers trust it",
		Example: "  quotagate ca install --nss\n  sudo quotagate ca install --system --data \"$HOME/.local/share/quotagate\"",
	}
	return onStores(cmd, "unlimited", "also a CA that may sign for every host", func(which storeFlags, unlimited bool) error {
		ca, _, err := p.openCA(f)
		if err != nil {
			return err
		}
		for _, root := range ca.Roots() {
			if !certs.Limited(root) && !unlimited {
				return hinted(fmt.Errorf("%s may sign for every host: whoever got hold of its key could pose as any site to this machine", root.Subject.CommonName),
					"%s, which is limited to the hosts of the rules; --unlimited installs this one all the same", rotateHint)
			}
		}
		return p.eachStore(which, ca.Roots(), change{
			done: "installed", idle: "there already", would: "would be installed", want: true, do: certs.Store.Install,
		})
	})
}

func (p program) caUninstallCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{Use: "uninstall", Short: "take it, and those before it, out of those stores again"}
	return onStores(cmd, "old", "only those that `ca rotate` has ended", func(which storeFlags, old bool) error {
		c, err := p.config(f)
		if err != nil {
			return err
		}
		gone := certs.Old(c.Data)
		if !old {
			o := p.caOptions(c, c.readRules)
			o.Existing = true
			ca, err := certs.Open(c.Data, o)
			if err != nil && !errors.Is(err, certs.ErrNone) {
				return c.ours(withHint(err))
			}
			if err == nil {
				gone = append(ca.Roots(), gone...)
			}
		}
		if len(gone) == 0 {
			fmt.Fprintf(p.stdout, "nothing to do: there is no such CA in %s\n", c.Data)
			return nil
		}
		return p.eachStore(which, gone, change{
			done: "removed", idle: "not there", would: "would be removed", do: certs.Store.Uninstall,
		})
	})
}

// onStores completes a command on trust stores by the flags that choose them
// and one of its own.
func onStores(cmd *cobra.Command, flag, usage string, run func(which storeFlags, set bool) error) *cobra.Command {
	var which storeFlags
	var set bool
	cmd.Args = argCount(0, 0)
	cmd.RunE = func(*cobra.Command, []string) error { return run(which, set) }
	which.add(cmd)
	cmd.Flags().BoolVar(&set, flag, false, usage)
	return cmd
}

// A change is what is done to stores, and how it is said.
type change struct {
	done, idle, would string
	want              bool // whether the CA is to be there afterwards
	do                func(certs.Store, *x509.Certificate) error
}

// eachStore does one thing to every store and says what came of it. What could
// not be done in one does not keep it from being done in the next.
func (p program) eachStore(which storeFlags, cas []*x509.Certificate, c change) error {
	stores := p.stores(which)
	if len(stores) == 0 {
		fmt.Fprintln(p.stdout, "nothing to do: this user has no Firefox or Chromium whose database could be found")
	}
	failed := 0
	for _, s := range stores {
		for _, ca := range cas {
			said, hint := c.idle, ""
			has, err := s.Has(ca)
			switch {
			case err == nil && has == c.want:
			case err == nil && which.dry:
				said = c.would
			case err == nil:
				said = c.done
				err = c.do(s, ca)
			}
			if err != nil {
				failed++
				said = "failed: " + err.Error()
				var h hintedError
				if errors.As(withHint(err), &h) {
					hint = "\n" + fmt.Sprintf("%-36s  hint: %s", "", h.hint)
				}
			}
			fmt.Fprintf(p.stdout, "%-36s  %s: %s%s\n", s.Name(), printable(ca.Subject.CommonName), said, hint)
		}
	}
	if failed > 0 {
		return exitError(exitFailure)
	}
	return nil
}
