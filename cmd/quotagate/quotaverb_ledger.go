package main

import (
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

// standstill opens the data directory's ledger. Where there is none yet, an
// empty one in memory stands for it, and nothing is made on the disk.
func (c *config) standstill(log *slog.Logger) (*standstill, error) {
	hash, err := c.hashForReading()
	if err != nil {
		return nil, err
	}
	set, err := loadRules(c.Rules, rules.Options{Hash: hash.sum, Shadow: c.Mode == "shadow"})
	if err != nil {
		return nil, err
	}
	if c.Store == "embedded" {
		file := filepath.Join(c.Data, ledgerFile)
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			ledger, err := ratelimit.OpenEmbedded(file, ratelimit.Options{Log: log})
			switch {
			case errors.Is(err, ratelimit.ErrLocked):
				return nil, hinted(fmt.Errorf("the ledger in %s is in use by another quotagate, and none answers on %s", c.Data, c.Admin),
					"name the admin address of that one with --admin")
			case err != nil:
				return nil, hinted(fmt.Errorf("open the ledger in %s: %w", c.Data, err), "name another directory with --data")
			}
			return &standstill{set, ledger}, nil
		}
	}
	return &standstill{set, ratelimit.NewMemory(ratelimit.Options{Log: log})}, nil
}

// hashForReading is the hash key, or, where none was made yet, any: nothing
// was ever named with it.
func (c *config) hashForReading() (*hashKey, error) {
	_, err := os.Stat(c.HashKeyFile)
	if errors.Is(err, os.ErrNotExist) {
		return newHashKey([]byte("no key was made yet")), nil
	}
	return openHashKey(c.HashKeyFile)
}

// emptyLedger forgets everything and thinks that it is at.
func emptyLedger(at time.Time) ratelimit.Store {
	return ratelimit.NewMemory(ratelimit.Options{Now: func() time.Time { return at }})
}
