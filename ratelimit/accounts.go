package ratelimit

// Listing the accounts of the embedded store: the committer tells what is not
// yet in the tree, the caller reads the tree itself, so that a million
// accounts hold nobody up.

import (
	"fmt"
	"slices"
)

// recent returns the accounts, and the aliases, that changed since they were
// last written to the tree.
func (s *diskShelf) recent() (names, aliases []string) {
	add := func(account, key string, alias bool) {
		switch {
		case key != "":
		case alias:
			aliases = append(aliases, account)
		default:
			names = append(names, account)
		}
	}
	for k, v := range s.disk.images.under([]byte{kindRecord}) {
		if account, key, ok := splitKey([]byte(k)); ok {
			add(account, key, isAlias(v))
		}
	}
	for _, rec := range s.dirty {
		add(rec.account, rec.key, rec.aliasOf != "")
	}
	return names, aliases
}

// accounts adds the tree's accounts to the recent ones, without aliases. Any
// goroutine may call it.
func (d *disk) accounts(recent, aliases []string) ([]string, error) {
	seen := map[string]bool{}
	err := d.eachInTree([]byte{kindRecord}, func(k, v []byte) error {
		account, key, ok := splitKey(k)
		if !ok {
			return fmt.Errorf("read a key: %w", ErrCorrupt)
		}
		if key == "" && !isAlias(v) {
			seen[account] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, name := range recent {
		seen[name] = true
	}
	for _, name := range aliases {
		delete(seen, name)
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}
