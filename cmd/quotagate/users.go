package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// users are those who may use the proxy, as htpasswd -B writes them:
// name:bcrypt hash, one a line, # for comments.
type users struct {
	hashes map[string][]byte
	salt   []byte

	// A check of bcrypt takes tens of milliseconds by design, and a client
	// gives its password with every connection: what was right once is
	// remembered, hashed under a salt of this process.
	mu    sync.Mutex
	known map[string][sha256.Size]byte
}

func openUsers(file string) (*users, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, hinted(fmt.Errorf("read the users file: %w", err), "%sPROXY_USERS names it; `htpasswd -cB FILE NAME` makes one", envPrefix)
	}
	u := &users{hashes: map[string][]byte{}, salt: []byte(rand.Text()), known: map[string][sha256.Size]byte{}}
	for line, n := bufio.NewScanner(bytes.NewReader(data)), 1; line.Scan(); n++ {
		text := strings.TrimSpace(line.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		name, hash, ok := strings.Cut(text, ":")
		if _, err := bcrypt.Cost([]byte(hash)); !ok || name == "" || err != nil {
			return nil, hinted(fmt.Errorf("%s:%d: not a name and a bcrypt hash", file, n), "`htpasswd -B %s NAME` writes such a line", file)
		}
		u.hashes[name] = []byte(hash)
	}
	return u, nil
}

// check reports whether the password is the user's.
func (u *users) check(name, password string) bool {
	hash, ok := u.hashes[name]
	if !ok {
		return false
	}
	sum := sha256.Sum256(append(append([]byte(nil), u.salt...), password...))
	u.mu.Lock()
	known, ok := u.known[name]
	u.mu.Unlock()
	if ok && subtle.ConstantTimeCompare(known[:], sum[:]) == 1 {
		return true
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.known[name] = sum
	return true
}
