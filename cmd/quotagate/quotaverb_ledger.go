package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// A standstill is the rules and the ledger while no proxy runs.
type standstill struct {
	set    *rules.Set
	ledger ratelimit.Store
}

// standstill opens the data directory's ledger, or the shared one. Where there is none yet, an
// empty one in memory stands for it, and nothing is made on the disk.
func (c *config) standstill(log *slog.Logger) (*standstill, error) {
	key, err := c.hashForReading()
	if err != nil {
		return nil, err
	}
	set, err := c.loadFor(key)
	if err != nil {
		return nil, err
	}
	if c.shared() {
		ledger, err := c.openRedis(context.Background(), key, log)
		if err != nil {
			return nil, err
		}
		return &standstill{set, ledger}, nil
	}
	if c.Store != "embedded" || !c.ledgerExists() {
		return &standstill{set, ratelimit.NewMemory(ratelimit.Options{Log: log})}, nil
	}
	if err := c.sameKey(key); err != nil {
		return nil, err
	}
	ledger, err := ratelimit.OpenEmbedded(filepath.Join(c.Data, ledgerFile), ratelimit.Options{Log: log})
	switch {
	case errors.Is(err, ratelimit.ErrLocked):
		return nil, hinted(fmt.Errorf("the ledger in %s is in use by another quotagate, and none answers on %s", c.Data, c.Admin),
			"name the admin address of that one with --admin")
	case err != nil:
		return nil, c.whyShut(err)
	}
	return &standstill{set, ledger}, nil
}

// loadFor loads the rules as a proxy with this key would.
func (c *config) loadFor(key *hashKey) (*rules.Set, error) {
	return loadRules(c.Rules, rules.Options{Hash: key.sum, Shadow: c.Mode == "shadow", GovernedOnly: c.Egress == "governed-only"})
}

// loadForReading loads the rules as a proxy on the same data directory would,
// and makes nothing on the disk.
func (c *config) loadForReading() (*rules.Set, error) {
	key, err := c.hashForReading()
	if err != nil {
		return nil, err
	}
	return c.loadFor(key)
}

// otherRules are the rules that --rules names where the running proxy has
// others, and nil where it has the same or none are named.
func (c *config) otherRules(api *proxyAPI, f *flags) (*rules.Set, error) {
	if len(f.rules) == 0 {
		return nil, nil
	}
	set, err := c.loadForReading()
	if err != nil || set.Revision() == api.status.Revision {
		return nil, err
	}
	return set, nil
}

// hashForReading is the hash key, or, where none was made yet, any: nothing
// was ever named with it.
func (c *config) hashForReading() (*hashKey, error) {
	_, err := os.Stat(c.HashKeyFile)
	if errors.Is(err, os.ErrNotExist) && c.ownHashKey() {
		return newHashKey([]byte("no key was made yet")), nil
	}
	return c.openHashKey()
}

// emptyLedger forgets everything and thinks that it is at.
func emptyLedger(at time.Time) ratelimit.Store {
	return ratelimit.NewMemory(ratelimit.Options{Now: func() time.Time { return at }})
}
