package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"sync"
)

// minHashKey is the shortest key: as long as the hash (RFC 2104, 3).
const minHashKey = 32

// A hashKey names people and accounts without naming them: the same value
// under the same key has the same name, and nobody can go back from it.
type hashKey struct{ pool sync.Pool }

// openHashKey reads the key, and makes one where there is none: unless it was
// named and a ledger was counted under it, since another key would give every
// account that is not listed a new name.
func (c *config) openHashKey() (*hashKey, error) {
	file := c.HashKeyFile
	key, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) && (c.ownHashKey() || !c.counted()) {
		key = []byte(rand.Text() + rand.Text() + "\n")
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return nil, fmt.Errorf("make the hash key: %w", err)
		}
		err = makeOnce(file, key)
		if errors.Is(err, os.ErrExist) { // another process was first
			key, err = os.ReadFile(file)
		}
		if err != nil {
			return nil, c.ours(fmt.Errorf("make the hash key: %w", err))
		}
	} else if err != nil {
		return nil, c.ours(hinted(fmt.Errorf("read the hash key: %w", err),
			"%sHASH_KEY_FILE names the key that the ledger in the data directory was counted under: %d bytes or more of any text", envPrefix, minHashKey))
	}
	key = bytes.TrimSpace(key)
	if len(key) < minHashKey {
		return nil, hinted(fmt.Errorf("the hash key in %s is too short: %d bytes", file, len(key)),
			"it needs %d bytes or more of any text; changing it gives every account that is not listed a new name", minHashKey)
	}
	return newHashKey(key), nil
}

// counted reports whether a ledger in the data directory was counted under a
// key.
func (c *config) counted() bool {
	_, err := os.Stat(filepath.Join(c.Data, keyIDFile))
	return err == nil
}

// makeOnce writes a file that must not exist, whole or not at all.
func makeOnce(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), name)
}

func newHashKey(key []byte) *hashKey {
	key = bytes.Clone(key)
	return &hashKey{pool: sync.Pool{New: func() any { return &hasher{Hash: hmac.New(sha256.New, key)} }}}
}

// id tells keys apart and gives none away.
func (k *hashKey) id() string { return k.sum("fingerprint", "") }

// sum is the name of a value of a kind: 64 bits of its HMAC in hex. Two of a
// million names are the same with a chance of 3 in 100 million.
func (k *hashKey) sum(kind, value string) string {
	h := k.pool.Get().(*hasher)
	defer h.done(&k.pool)
	// The length keeps ("a", "bc") and ("ab", "c") apart.
	h.buf[0], h.buf[1] = byte(len(kind)>>8), byte(len(kind))
	h.Write(h.buf[:2])
	h.add(kind)
	h.add(value)
	var name [16]byte
	hex.Encode(name[:], h.Sum(h.buf[:0])[:8])
	return string(name[:])
}

// A hasher is a reused HMAC. It keeps nothing of what it hashed.
type hasher struct {
	hash.Hash
	buf [128]byte // what goes in and comes out
}

func (h *hasher) add(text string) {
	for len(text) > 0 {
		n := copy(h.buf[:], text)
		h.Write(h.buf[:n])
		text = text[n:]
	}
}

func (h *hasher) done(pool *sync.Pool) {
	h.Reset()
	clear(h.buf[:])
	pool.Put(h)
}
