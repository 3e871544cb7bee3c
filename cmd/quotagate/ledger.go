package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"quotagate/ratelimit"
)

// The ledger of the data directory, and beside it a fingerprint of the hash
// key that its accounts were named with: under another key every account that
// is not listed would have another name, and so a fresh quota.

const (
	ledgerFile = "ledger.db"
	keyIDFile  = "ledger.key-id"
)

// openLedger opens the store that c names, and makes it if there is none.
func openLedger(c *config, key *hashKey, log *slog.Logger) (ratelimit.Store, error) {
	if c.Store == "memory" {
		return ratelimit.NewMemory(ratelimit.Options{Log: log}), nil
	}
	made := !c.ledgerExists()
	store, err := ratelimit.OpenEmbedded(filepath.Join(c.Data, ledgerFile), ratelimit.Options{Log: log, AcceptClock: c.acceptClock})
	if err != nil {
		return nil, c.whyShut(err)
	}
	// The ledger is ours from here on, and so is the file beside it.
	if err = c.checkKey(key, made); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// whyShut says why a file of the ledger does not open, and the way out.
func (c *config) whyShut(err error) error {
	switch {
	case errors.Is(err, ratelimit.ErrClock):
		return hinted(err, "set the system clock right; or, if it is right, let the ledger follow it once: quotagate run --accept-clock")
	case errors.Is(err, ratelimit.ErrLocked):
		return hinted(fmt.Errorf("open the ledger in %s: %w", c.Data, ratelimit.ErrLocked),
			"send through the one that runs, or stop it first: two ledgers would count the same account twice over")
	}
	why := fmt.Errorf("open the ledger in %s: %w", c.Data, err)
	switch {
	case errors.Is(err, ratelimit.ErrCorrupt):
		return hinted(why, "an export can be the backup: move %s away, then `quotagate quota import FILE`", ledgerFile)
	case errors.Is(err, ratelimit.ErrNewer):
		return hinted(why, "start the newer quotagate again; to stay with this one, let the newer `quotagate quota export FILE`, move %s away, and `quotagate quota import FILE` here", ledgerFile)
	case errors.Is(err, fs.ErrNotExist):
		return hinted(why, "nothing has been counted there yet; see --data")
	}
	return c.ours(hinted(why, "name another directory with --data"))
}

// ledgerExists reports whether the data directory has a ledger, or might.
func (c *config) ledgerExists() bool {
	return fileExists(filepath.Join(c.Data, ledgerFile))
}

// checkKey compares the key with the one that the ledger was counted under. A
// ledger that was just made, or is older than this file, is counted under this
// one.
func (c *config) checkKey(key *hashKey, made bool) error {
	file := filepath.Join(c.Data, keyIDFile)
	there, err := os.ReadFile(file)
	switch {
	case made || errors.Is(err, os.ErrNotExist):
		err = writeFile(file, []byte(key.id()+"\n"), 0o600)
	case err == nil && string(bytes.TrimSpace(there)) != key.id():
		return c.otherKey()
	}
	if err != nil {
		return c.ours(fmt.Errorf("note the ledger's hash key: %w", err))
	}
	return nil
}

// sameKey is checkKey for those who only read.
func (c *config) sameKey(key *hashKey) error {
	there, err := os.ReadFile(filepath.Join(c.Data, keyIDFile))
	if err == nil && string(bytes.TrimSpace(there)) != key.id() {
		return c.otherKey()
	}
	return nil
}

func (c *config) otherKey() error {
	return hinted(fmt.Errorf("the ledger in %s was counted under another hash key: every account that is not listed would start at nothing", c.Data),
		"name the old key file in %sHASH_KEY_FILE, or another --data", envPrefix)
}
