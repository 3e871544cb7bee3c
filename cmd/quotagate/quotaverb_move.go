package main

// Moving a ledger: to another machine, to another store, to a smaller file.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"quotagate/ratelimit"
)

func (p program) exportCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "export [FILE]",
		Short: "write all that is counted, as lines of JSON",
		Long: `export writes the whole ledger to a file, or to standard output. The running
proxy is asked; where none runs, the ledger itself. The names in it are hashed
under the hash key: whoever imports it needs the same key.`,
		Args: argCount(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.config(f)
			if err != nil {
				return err
			}
			from, done, err := p.exporter(cmd.Context(), c, f)
			if err != nil {
				return err
			}
			defer done()
			if len(args) == 0 || args[0] == "-" {
				return from(cmd.Context(), p.stdout)
			}
			return writeWhole(args[0], func(w io.Writer) error { return from(cmd.Context(), w) })
		},
	}
}

// exporter finds what can write the ledger out.
func (p program) exporter(ctx context.Context, c *config, f *flags) (write func(context.Context, io.Writer) error, done func(), err error) {
	api, err := p.findProxy(ctx, c, f)
	if err != nil {
		return nil, nil, err
	}
	if api != nil {
		return api.export, func() {}, nil
	}
	at, err := c.standstill(p.logger(c))
	if err != nil {
		return nil, nil, err
	}
	from, ok := at.ledger.(counters)
	if !ok {
		return nil, nil, errors.Join(errors.New("this store cannot be exported"), at.ledger.Close())
	}
	key, err := c.hashForReading()
	if err != nil {
		return nil, nil, errors.Join(err, at.ledger.Close())
	}
	write = func(ctx context.Context, w io.Writer) error { return from.Export(ctx, &keyedWriter{w, key.id()}) }
	return write, func() { at.ledger.Close() }, nil
}

// export copies the running proxy's ledger, which may take longer than any
// question.
func (a *proxyAPI) export(ctx context.Context, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+"/api/v1/ledger", nil)
	if err != nil {
		return err
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := (&http.Client{Transport: a.client.Transport}).Do(req)
	if err != nil {
		return fmt.Errorf("ask the running proxy: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return a.refusal(resp)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("read the running proxy's ledger: it is not whole: %w", err)
	}
	return nil
}

// writeWhole makes a file of what do writes, for its owner alone: all of it, or
// none.
func writeWhole(name string, do func(io.Writer) error) error {
	out, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	buf := bufio.NewWriter(out)
	err = do(buf)
	if err == nil {
		err = errors.Join(buf.Flush(), out.Sync())
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), name)
	}
	if err != nil {
		os.Remove(out.Name())
	}
	return err
}

func (p program) importCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "import [FILE]",
		Short: "take in what export wrote",
		Long: `import takes the ledger that export wrote, from a file or standard input, into
the store that is named. Nothing of it may be counted there already. No proxy
may run on an embedded ledger meanwhile.`,
		Args: argCount(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.config(f)
			if err != nil {
				return err
			}
			from := p.stdin
			if len(args) == 1 && args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer file.Close()
				from = file
			}
			return p.importFrom(cmd.Context(), c, f, from)
		},
	}
}

func (p program) importFrom(ctx context.Context, c *config, f *flags, from io.Reader) error {
	if c.Store == "memory" {
		return hinted(errors.New("a store in memory keeps nothing"), "name the store with --store or %sSTORE", envPrefix)
	}
	if err := p.nobodyRuns(ctx, c, f); err != nil {
		return err
	}
	key, err := c.openHashKey()
	if err != nil {
		return err
	}
	if from, err = countedUnder(key, from); err != nil {
		return err
	}
	var to ratelimit.Store
	if c.shared() {
		to, err = c.openRedis(ctx, key, p.logger(c))
	} else {
		to, err = c.makeLedger(p)
	}
	if err != nil {
		return err
	}
	into, ok := to.(counters)
	if !ok {
		return errors.Join(errors.New("nothing can be imported into this store"), to.Close())
	}
	return errors.Join(into.Import(ctx, from), to.Close())
}

// nobodyRuns reports an error while a proxy has the ledger open.
func (p program) nobodyRuns(ctx context.Context, c *config, f *flags) error {
	if c.shared() {
		return nil
	}
	api, err := p.findProxy(ctx, c, f)
	if err == nil && api != nil && api.status.Data == c.Data {
		err = hinted(fmt.Errorf("a proxy is running on %s", c.Data), "stop it first")
	}
	return err
}

func (p program) compactCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "compact",
		Short: "make the ledger's file as small as what is in it",
		Args:  argCount(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.config(f)
			if err != nil {
				return err
			}
			if c.Store != "embedded" {
				return hinted(fmt.Errorf("the store %s has no file here", storeName(c.Store)), "compact is for the embedded store")
			}
			if err := p.nobodyRuns(cmd.Context(), c, f); err != nil {
				return err
			}
			before, after, err := ratelimit.Compact(filepath.Join(c.Data, ledgerFile))
			if err != nil {
				return c.whyShut(err)
			}
			fmt.Fprintf(p.stdout, "%s: %d kB before, %d kB now\n", ledgerFile, (before+1023)/1024, (after+1023)/1024)
			return nil
		},
	}
}

func (p program) acceptCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "accept",
		Short: "take a shared store that lost its data as it is",
		Long: `accept tells the running proxies to go on with a Redis that came back without
what it had counted. Every quota is open anew, but for what this proxy has sent
in the last minutes. Rather restore the data, where it can be had.`,
		Args: argCount(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.config(f)
			if err != nil {
				return err
			}
			api, err := p.findProxy(cmd.Context(), c, f)
			if err != nil {
				return err
			}
			if api == nil {
				return hinted(errors.New("no proxy runs, and it is a proxy that has to go on"), "start it first: `quotagate run`")
			}
			if err := api.call(cmd.Context(), http.MethodPost, "/api/v1/ledger/accept", struct{}{}, &struct{}{}); err != nil {
				return err
			}
			fmt.Fprintln(p.stdout, "the store is accepted as it is")
			return nil
		},
	}
}
