package main

// Who may use the proxy: a file of names and hashed passwords, read again when
// it changes.

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// users are those who may use the proxy, as `quotagate user add` and
// `htpasswd -B` write them.
type users struct {
	file string
	log  *slog.Logger
	salt []byte
	// nobody is hashed against for names that there are not, so that the time
	// an answer takes does not tell which there are.
	nobody passwordHash

	mu      sync.Mutex
	hashes  map[string]passwordHash
	version fileVersion
	looked  time.Time // at the file

	// A check takes tens of milliseconds by design, and a client gives its
	// password with every connection: what was right once is remembered,
	// hashed under a salt of this process.
	known map[string][sha256.Size]byte
}

// lookAgain is how long a change of the users file may go unnoticed.
const lookAgain = time.Second

// A fileVersion tells one state of a file from another.
type fileVersion struct {
	size int64
	mod  time.Time
}

func openUsers(file string, log *slog.Logger) (*users, error) {
	u := &users{file: file, log: log, salt: []byte(rand.Text()), known: map[string][sha256.Size]byte{}}
	var err error
	if u.nobody, err = hashPassword([]byte(rand.Text())); err != nil {
		return nil, err
	}
	u.version, _ = versionOf(file) // readUsers says why it cannot be read
	if u.hashes, err = readUsers(file); err != nil {
		return nil, err
	}
	return u, nil
}

func versionOf(file string) (fileVersion, error) {
	info, err := os.Stat(file)
	if err != nil {
		return fileVersion{}, err
	}
	return fileVersion{info.Size(), info.ModTime()}, nil
}

// refresh reads the file again if it has changed. One that cannot be read
// leaves those in force who were.
func (u *users) refresh(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Sub(u.looked) < lookAgain {
		return
	}
	u.looked = now
	v, err := versionOf(u.file)
	if err == nil && v == u.version {
		return
	}
	var hashes map[string]passwordHash
	if err == nil {
		hashes, err = readUsers(u.file)
	}
	if err != nil {
		if u.version != v { // not said yet
			u.log.Error("the users file does not load; those who might use the proxy before still may", "error", err.Error())
		}
		u.version = v
		return
	}
	u.hashes, u.version = hashes, v
	clear(u.known)
	u.log.Info("the users file changed", "users", len(hashes))
}

// remembers reports whether the password was found right before.
func (u *users) remembers(name, password string) bool {
	u.refresh(time.Now())
	sum := u.sum(password)
	u.mu.Lock()
	defer u.mu.Unlock()
	known, ok := u.known[name]
	return ok && subtle.ConstantTimeCompare(known[:], sum[:]) == 1
}

// check reports whether the password is the user's.
func (u *users) check(name, password string) bool {
	u.mu.Lock()
	hash, ok := u.hashes[name]
	version := u.version
	u.mu.Unlock()
	if !ok {
		u.nobody.is([]byte(password))
		return false
	}
	if !hash.is([]byte(password)) {
		return false
	}
	sum := u.sum(password)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.version == version { // else it may be another's by now
		u.known[name] = sum
	}
	return true
}

func (u *users) sum(password string) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s%s", u.salt, password))
}
