package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"quotagate/ratelimit"
)

// The store that holds the ledger: this machine's file, memory, or a Redis
// that several proxies share. Its address may have a password, so it is shown
// by storeName alone.

// storeSchemes are the addresses of stores that are shared.
var storeSchemes = []string{"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster", "unix"}

// shared reports whether other proxies may use the same store.
func (c *config) shared() bool { return strings.Contains(c.Store, "://") }

// checkStore looks at the name of a store.
func (c *config) checkStore() error {
	scheme, _, shared := strings.Cut(c.Store, "://")
	if shared && slices.Contains(storeSchemes, scheme) || c.Store == "embedded" || c.Store == "memory" {
		return nil
	}
	return usageError{hinted(fmt.Errorf("there is no store %q", storeName(c.Store)),
		"use embedded, memory (which forgets when it stops), or redis://HOST:6379, rediss://…, redis+sentinel://HOST,HOST/MASTER, redis+cluster://HOST,HOST")}
}

// storeName is a store's name without user, password and options.
func storeName(store string) string {
	scheme, rest, ok := strings.Cut(store, "://")
	if !ok {
		return store
	}
	rest, _, _ = strings.Cut(rest, "?")
	// A password may hold an @ or a / that was not escaped.
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = rest[at+1:]
	}
	return scheme + "://" + rest
}

// storeTimeout is how long a shared store may take for an answer, as the
// address's read_timeout says; 0 is the guard's own.
func storeTimeout(store string) time.Duration {
	_, query, _ := strings.Cut(store, "?")
	options, err := url.ParseQuery(query)
	if err != nil {
		return 0 // whoever opens it says so
	}
	text := options.Get("read_timeout")
	if seconds, err := strconv.Atoi(text); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return max(0, d)
}

// A ledger is an open store and what comes with it.
type ledger struct {
	ratelimit.Store
	counters // where they really are: behind a guard that is the Redis
	rates    ratelimit.Rates
	guarded  *ratelimit.Guarded // nil where the store is this proxy's alone
	keyID    string             // of the key that it is counted under
}

// counters can be moved.
type counters interface {
	Export(ctx context.Context, w io.Writer) error
	Import(ctx context.Context, r io.Reader) error
}

const (
	// localFile counts this replica's share while a shared store does not
	// answer, and journalFile is what it was told lately.
	localFile   = "ledger-local.db"
	journalFile = "ledger.journal"
	// storeStart bounds how long the start waits for a shared store.
	storeStart = 5 * time.Second
)

// openStore opens what a running proxy counts in.
func openStore(ctx context.Context, c *config, key *hashKey, log *slog.Logger) (*ledger, error) {
	if c.shared() {
		return c.openShared(ctx, key, log)
	}
	store, err := openLedger(c, key, log)
	if err != nil {
		return nil, err
	}
	l := &ledger{Store: store, rates: ratelimit.NewLocalRates(ratelimit.Options{Log: log}), keyID: key.id()}
	l.counters, _ = store.(counters)
	return l, nil
}

// openShared opens the Redis that the configuration names, guarded by what lies
// in the data directory.
func (c *config) openShared(ctx context.Context, key *hashKey, log *slog.Logger) (*ledger, error) {
	redis, err := c.openRedis(ctx, key, log)
	if err != nil {
		return nil, err
	}
	local, err := c.openLocal(key, log)
	if err != nil {
		return nil, errors.Join(err, redis.Close())
	}
	guarded, err := ratelimit.NewGuarded(redis, local, ratelimit.GuardedOptions{
		Options: ratelimit.Options{Log: log},
		Timeout: storeTimeout(c.Store),
		Journal: filepath.Join(c.Data, journalFile),
	})
	if err != nil {
		return nil, errors.Join(c.ours(hinted(fmt.Errorf("open the journal of the shared store: %w", err), "name another directory with --data")), local.Close(), redis.Close())
	}
	l := &ledger{Store: guarded, rates: redis.Rates(), guarded: guarded, keyID: key.id()}
	l.counters, _ = any(redis).(counters)
	return l, nil
}

// openRedis opens it as it is, with no guard.
func (c *config) openRedis(ctx context.Context, key *hashKey, log *slog.Logger) (*ratelimit.Redis, error) {
	ctx, cancel := context.WithTimeout(ctx, storeStart)
	defer cancel()
	redis, err := ratelimit.OpenRedis(ctx, c.Store, ratelimit.RedisOptions{Options: ratelimit.Options{Log: log}, KeyID: key.id()})
	switch {
	case errors.Is(err, ratelimit.ErrKey):
		return nil, hinted(fmt.Errorf("open the store %s: %w", storeName(c.Store), err),
			"copy the hash key file of the other proxies to %s, or name it in %sHASH_KEY_FILE", c.HashKeyFile, envPrefix)
	case errors.Is(err, ratelimit.ErrAddress):
		return nil, hinted(fmt.Errorf("open the store %s: %w", storeName(c.Store), err),
			"write redis://USER:PASSWORD@HOST:6379/0, with options as ?pool_size=20&read_timeout=300ms")
	case err != nil:
		return nil, hinted(fmt.Errorf("open the store %s: %w", storeName(c.Store), err),
			"see whether it runs and takes the user and the password that %sSTORE has; without it nothing can be counted", envPrefix)
	}
	return redis, nil
}

// openLocal opens the file in which this replica counts its share.
func (c *config) openLocal(key *hashKey, log *slog.Logger) (*ratelimit.Embedded, error) {
	local, err := ratelimit.OpenEmbedded(filepath.Join(c.Data, localFile), ratelimit.Options{Log: log, AcceptClock: c.acceptClock})
	if errors.Is(err, ratelimit.ErrCorrupt) {
		return nil, hinted(fmt.Errorf("open this replica's share in %s: %w", c.Data, err),
			"it is only used while the shared store does not answer: delete %s", filepath.Join(c.Data, localFile))
	}
	if err != nil {
		return nil, c.whyShut(err)
	}
	if err := c.checkKey(key, false); err != nil {
		return nil, errors.Join(err, local.Close())
	}
	return local, nil
}

// down is why the store is not asked now, or "".
func (l *ledger) down() string {
	if l.guarded == nil {
		return ""
	}
	since, err := l.guarded.Down()
	if err == nil {
		return ""
	}
	return fmt.Sprintf("since %s: %v", since.UTC().Format(time.RFC3339), err)
}

// accept takes a shared store that lost its data as it is.
func (l *ledger) accept(ctx context.Context) error {
	if l.guarded == nil {
		return errors.New("the ledger is this proxy's own: there is nothing to accept")
	}
	return l.guarded.AcceptEmpty(ctx)
}

// export writes all that is counted. A store that lost its data has nothing that
// anybody would want in the place of an earlier export.
func (l *ledger) export(ctx context.Context, w io.Writer) error {
	if l.guarded != nil {
		if _, err := l.guarded.Down(); errors.Is(err, ratelimit.ErrForgot) {
			return err
		}
	}
	if l.counters == nil {
		return fmt.Errorf("this store cannot be exported")
	}
	return l.Export(ctx, &keyedWriter{w, l.keyID})
}

// fileExists reports whether a file is there, or might be.
func fileExists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, os.ErrNotExist)
}
