package main

// Hashed passwords as they stand in a users file: bcrypt, as `htpasswd -B`
// writes it, and Argon2id in the PHC format.

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// bcryptCost takes some 250 ms here. OWASP's Password Storage Cheat Sheet asks
// for 10 or more (cheatsheetseries.owasp.org, read 2026-11-22).
const bcryptCost = 12

// A passwordHash tells whether a password is the right one.
type passwordHash interface{ is(password []byte) bool }

// hashPassword is the hash of a new password.
func hashPassword(password []byte) (bcryptHash, error) {
	hash, err := bcrypt.GenerateFromPassword(password, bcryptCost)
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		return nil, errors.New("the password has more than 72 bytes, of which bcrypt would not see the rest")
	}
	return hash, err
}

type bcryptHash []byte

func (h bcryptHash) is(password []byte) bool {
	return bcrypt.CompareHashAndPassword(h, password) == nil
}

// An argon2Hash is of version 19, which is 1.3.
type argon2Hash struct {
	memory, time uint32 // KiB, passes
	threads      uint8
	salt, key    []byte
}

func (h argon2Hash) is(password []byte) bool {
	got := argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(got, h.key) == 1
}

// The most that a hash may make us do: a users file is trusted, a slip of the
// finger in it should not take the machine's memory.
const (
	mostMemory = 1 << 20 // KiB
	mostPasses = 1000
)

// parseHash reads a hash; nil if it is none that is known.
func parseHash(text string) passwordHash {
	if _, err := bcrypt.Cost([]byte(text)); err == nil {
		return bcryptHash(text)
	}
	// $argon2id$v=19$m=19456,t=2,p=1$salt$key
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return nil
	}
	var h argon2Hash
	if n, err := fmt.Sscanf(parts[3]+"\n", "m=%d,t=%d,p=%d\n", &h.memory, &h.time, &h.threads); n != 3 || err != nil {
		return nil
	}
	var errs [2]error
	h.salt, errs[0] = base64.RawStdEncoding.DecodeString(parts[4])
	h.key, errs[1] = base64.RawStdEncoding.DecodeString(parts[5])
	if errors.Join(errs[:]...) != nil || len(h.salt) < 8 || len(h.key) < 16 || len(h.key) > 128 ||
		h.memory < 8 || h.memory > mostMemory || h.time < 1 || h.time > mostPasses || h.threads < 1 {
		return nil
	}
	return h
}

// readUsers reads a users file: name:hash, one a line, # for comments.
func readUsers(file string) (map[string]passwordHash, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, hinted(fmt.Errorf("read the users file: %w", err), "%sPROXY_USERS names it; `quotagate user add NAME` makes one", envPrefix)
	}
	hashes := map[string]passwordHash{}
	for line, n := bufio.NewScanner(bytes.NewReader(data)), 1; line.Scan(); n++ {
		name, hash, ok := userLine(line.Text())
		if !ok {
			continue
		}
		h := parseHash(hash)
		if name == "" || h == nil {
			return nil, hinted(fmt.Errorf("%s:%d: not a name and a bcrypt or argon2id hash", file, n), "`quotagate user add NAME` writes such a line, and so does `htpasswd -B`")
		}
		hashes[name] = h
	}
	return hashes, nil
}

// userLine takes a line apart; false if it is empty or a comment.
func userLine(text string) (name, hash string, ok bool) {
	text = strings.TrimSpace(text)
	if text == "" || strings.HasPrefix(text, "#") {
		return "", "", false
	}
	name, hash, _ = strings.Cut(text, ":")
	return name, hash, true
}
