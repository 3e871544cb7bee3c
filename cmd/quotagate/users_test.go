package main

import (
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// usersFile writes a users file; "${hash}" stands for the hash of "right".
func usersFile(t *testing.T, text string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "${hash}", string(hash))), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

var quiet = slog.New(slog.DiscardHandler)

// someKey is 32 bytes that are the hash of nothing known.
const someKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func newUsers(t *testing.T, file string) *users {
	t.Helper()
	u, err := openUsers(file, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// The hash is one of the reference implementation's tests: test.c of P-H-C/phc-winner-argon2, read 2026-11-22.
func TestArgon2HashesAreRead(t *testing.T) {
	const hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	u := newUsers(t, usersFile(t, "anna:"+hash+"\n"))
	if !u.check("anna", "password") || u.check("anna", "Password") || u.check("anna", "") {
		t.Error("a password was judged wrongly")
	}
}

func TestChangesOfTheUsersFileAreNoticed(t *testing.T) {
	file := usersFile(t, "anna:${hash}\nbert:${hash}\n")
	u := newUsers(t, file)
	if !u.check("anna", "right") || !u.remembers("anna", "right") {
		t.Fatal("anna is not let in")
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		u.looked = time.Time{} // time has passed
	}
	write("not a line\n")
	if !u.remembers("anna", "right") || !u.check("bert", "right") {
		t.Error("a broken file locks people out")
	}
	write("carl:" + string(u.hashes["bert"].(bcryptHash)) + "\n")
	if u.remembers("anna", "right") || u.check("anna", "right") {
		t.Error("who was removed is still let in")
	}
	if !u.check("carl", "right") {
		t.Error("who was added is not let in")
	}
}

func TestOnlyTheRightPasswordIsTheUsers(t *testing.T) {
	u := newUsers(t, usersFile(t, "# people\n\nanna:${hash}\n  bert:${hash}  \r\n"))
	// Twice, since what was right once is remembered.
	for range 2 {
		for _, tc := range []struct {
			name, password string
			ok             bool
		}{
			{"anna", "right", true}, {"anna", "wrong", false}, {"anna", "", false}, {"anna", "righ", false}, {"anna", "rightt", false},
			{"anna", string(u.hashes["anna"].(bcryptHash)), false},
			{"bert", "right", true}, {"bert", "wrong", false},
			{"carl", "right", false}, {"", "right", false}, {"", "", false}, {"Anna", "right", false}, {"# people", "", false},
		} {
			if got := u.check(tc.name, tc.password); got != tc.ok {
				t.Errorf("%q with %q: %v", tc.name, tc.password, got)
			}
		}
	}
}

func TestARememberedPasswordIsNobodyElses(t *testing.T) {
	u := newUsers(t, usersFile(t, "anna:${hash}\n"))
	if u.check("anna", "wrong") || len(u.known) > 0 {
		t.Errorf("a wrong password is remembered: %v", u.known)
	}
	if !u.check("anna", "right") || len(u.known) != 1 {
		t.Errorf("the right one is not: %v", u.known)
	}
	if u.known["anna"] == sha256.Sum256([]byte("right")) {
		t.Error("the password is remembered without salt")
	}
	// Without bcrypt's say no other password comes through, and the right one does.
	u.hashes["anna"] = bcryptHash("not a hash")
	if !u.remembers("anna", "right") {
		t.Error("the right one is not remembered")
	}
	if u.remembers("anna", "wrong") || u.remembers("anna", "") || u.remembers("bert", "right") {
		t.Error("another password is taken for the remembered one")
	}
}

func TestManyAreCheckedAtOnce(t *testing.T) {
	u := newUsers(t, usersFile(t, "anna:${hash}\n"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if !u.check("anna", "right") || u.check("anna", "wrong") {
				t.Error("a check went wrong")
			}
		})
	}
	wg.Wait()
}

func TestALineThatIsNoUserIsTold(t *testing.T) {
	for _, line := range []string{"carl", "carl:", ":${hash}", "carl:plain", "carl:$apr1$abc$def", "carl:{SHA}abc=", "carl ${hash}", "carl:bert:${hash}",
		"carl:$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$" + someKey, "carl:$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$" + someKey,
		"carl:$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$" + someKey, "carl:$argon2id$v=19$m=4000000000,t=1,p=1$c29tZXNhbHQ$" + someKey,
		"carl:$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$c2hvcnQ", "carl:$argon2id$v=19$m=64,t=1,p=1,x=1$c29tZXNhbHQ$" + someKey} {
		file := usersFile(t, "# people\nanna:${hash}\n\n"+line+"\nbert:${hash}\n")
		_, err := openUsers(file, quiet)
		if err == nil || !strings.Contains(err.Error(), file+":4: not a name and a bcrypt or argon2id hash") {
			t.Errorf("%q: %v", line, err)
		}
		if err != nil && strings.Contains(err.Error(), "$2") {
			t.Errorf("%q: the error shows a hash: %v", line, err)
		}
	}
	if _, err := openUsers(filepath.Join(t.TempDir(), "none"), quiet); err == nil || !strings.Contains(err.Error(), "read the users file") {
		t.Errorf("no file: %v", err)
	}
}
