package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"quotagate/proxy/admin"
	"quotagate/ratelimit"
	"quotagate/rules"
)

// accounts are asked of the running proxy or of the ledger at a standstill.
type accounts interface {
	names(ctx context.Context) ([]string, error)
	one(ctx context.Context, name string) (*admin.Account, error)
	all(ctx context.Context) ([]admin.Account, error)
	limits(ctx context.Context) ([]limitScope, error)
	// pause puts the account on hold: until zero, until it is resumed.
	pause(ctx context.Context, name, why string, until time.Time) error
	resume(ctx context.Context, name string) error
	// give adds units to a limit of the account.
	give(ctx context.Context, name string, g *admin.GiftRequest) error
}

// withAccounts calls f with whatever knows the accounts.
func (p program) withAccounts(ctx context.Context, f *flags, do func(accounts) error) error {
	c, err := p.config(f)
	if err != nil {
		return err
	}
	api, err := p.findProxy(ctx, c, f)
	if err != nil {
		return err
	}
	if api != nil {
		p.warnBroken(api)
		set, err := c.otherRules(api, f)
		if err != nil {
			return err
		}
		if set != nil {
			p.warn("a proxy is running with other rules (%s): it goes by those, and not by %s",
				api.status.Revision, strings.Join(c.Rules, ", "))
		}
		return do(api)
	}
	s, err := c.standstill(p.logger(c))
	if err != nil {
		return err
	}
	defer s.ledger.Close()
	return do(ledgerAccounts{s, c, p})
}

// known reports an error for an account that nobody has heard of, with the
// names that may have been meant.
func known(ctx context.Context, a accounts, name string) error {
	names, err := a.names(ctx)
	if err != nil || slices.Contains(names, name) {
		return err
	}
	err = fmt.Errorf("no account %s is listed in the rules or has sent anything", printable(name))
	if hint := rules.DidYouMean(name, names); hint != "" {
		return hinted(err, "%s", hint)
	}
	if len(names) == 0 {
		return hinted(err, "no account at all is listed or has sent anything yet")
	}
	return hinted(err, "the accounts are %s", strings.Join(names[:min(len(names), mostNames)], ", "))
}

// mostNames is how many names a hint lists.
const mostNames = 12

// The running proxy knows them.

func (a *proxyAPI) all(ctx context.Context) ([]admin.Account, error) {
	var out struct{ Accounts []admin.Account }
	err := a.call(ctx, http.MethodGet, "/api/v1/accounts", nil, &out)
	return out.Accounts, err
}

func (a *proxyAPI) names(ctx context.Context) ([]string, error) {
	all, err := a.all(ctx)
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return names, err
}

func (a *proxyAPI) one(ctx context.Context, name string) (*admin.Account, error) {
	out := &admin.Account{}
	return out, a.call(ctx, http.MethodGet, "/api/v1/accounts/"+url.PathEscape(name), nil, out)
}

func (a *proxyAPI) pause(ctx context.Context, name, why string, until time.Time) error {
	in := struct {
		Why   string    `json:"why,omitempty"`
		Until time.Time `json:"until,omitzero"`
	}{why, until}
	return a.call(ctx, http.MethodPost, "/api/v1/accounts/"+url.PathEscape(name)+"/pause", in, &struct{}{})
}

func (a *proxyAPI) resume(ctx context.Context, name string) error {
	return a.call(ctx, http.MethodPost, "/api/v1/accounts/"+url.PathEscape(name)+"/resume", struct{}{}, &struct{}{})
}

func (a *proxyAPI) give(ctx context.Context, name string, g *admin.GiftRequest) error {
	return a.call(ctx, http.MethodPost, "/api/v1/accounts/"+url.PathEscape(name)+"/give", g, &struct{}{})
}

// ledgerAccounts are the accounts while no proxy runs.
type ledgerAccounts struct {
	*standstill
	c *config
	p program
}

func (a ledgerAccounts) names(ctx context.Context) ([]string, error) {
	return admin.AccountNames(ctx, a.set, a.ledger)
}

func (a ledgerAccounts) one(ctx context.Context, name string) (*admin.Account, error) {
	return admin.AccountOf(ctx, a.set, a.ledger, name, time.Now())
}

func (a ledgerAccounts) all(ctx context.Context) ([]admin.Account, error) {
	names, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]admin.Account, 0, len(names))
	for _, name := range names {
		one, err := a.one(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, *one)
	}
	return all, nil
}

func (a ledgerAccounts) pause(ctx context.Context, name, why string, until time.Time) error {
	h := &ratelimit.Hold{Why: why}
	if !until.IsZero() {
		h.Until = until.UnixMilli()
	}
	return a.setHold(ctx, name, h)
}

func (a ledgerAccounts) resume(ctx context.Context, name string) error {
	return a.setHold(ctx, name, nil)
}

func (a ledgerAccounts) give(ctx context.Context, name string, g *admin.GiftRequest) error {
	return a.write(func(l ratelimit.Store) error { return admin.Give(ctx, a.set, l, name, g, time.Now()) })
}

func (a ledgerAccounts) setHold(ctx context.Context, name string, h *ratelimit.Hold) error {
	return a.write(func(l ratelimit.Store) error { return l.Pause(ctx, name, h) })
}

// write writes to the ledger, which is made if this is the first word in it.
func (a ledgerAccounts) write(do func(ratelimit.Store) error) error {
	if a.c.Store == "memory" {
		return hinted(errors.New("no proxy runs, and a store in memory keeps nothing"), "start the proxy first: `quotagate run`")
	}
	ledger := a.ledger
	if !a.c.shared() && !a.c.ledgerExists() {
		made, err := a.c.makeLedger(a.p)
		if err != nil {
			return err
		}
		defer made.Close()
		ledger = made
	}
	if err := do(ledger); err != nil {
		return fmt.Errorf("write to the ledger: %w", err)
	}
	return nil
}

// makeLedger makes the data directory's ledger.
func (c *config) makeLedger(p program) (ratelimit.Store, error) {
	if err := c.makeDataDir(); err != nil {
		return nil, err
	}
	key, err := c.openHashKey()
	if err != nil {
		return nil, err
	}
	return openLedger(c, key, p.logger(c))
}
