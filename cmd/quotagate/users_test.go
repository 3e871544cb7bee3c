package main

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

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

func TestOnlyTheRightPasswordIsTheUsers(t *testing.T) {
	u, err := openUsers(usersFile(t, "# people\n\nanna:${hash}\n  bert:${hash}  \r\n"))
	if err != nil {
		t.Fatal(err)
	}
	// Twice, since what was right once is remembered.
	for range 2 {
		for _, tc := range []struct {
			name, password string
			ok             bool
		}{
			{"anna", "right", true}, {"anna", "wrong", false}, {"anna", "", false}, {"anna", "righ", false}, {"anna", "rightt", false},
			{"anna", string(u.hashes["anna"]), false},
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
	u, err := openUsers(usersFile(t, "anna:${hash}\n"))
	if err != nil {
		t.Fatal(err)
	}
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
	u.hashes["anna"] = []byte("not a hash")
	if !u.check("anna", "right") {
		t.Error("the remembered password is checked anew")
	}
	if u.check("anna", "wrong") || u.check("anna", "") {
		t.Error("another password is taken for the remembered one")
	}
	// Who is no user any more was never remembered.
	delete(u.hashes, "anna")
	if u.check("anna", "right") {
		t.Error("a user who is not in the file")
	}
}

func TestManyAreCheckedAtOnce(t *testing.T) {
	u, err := openUsers(usersFile(t, "anna:${hash}\n"))
	if err != nil {
		t.Fatal(err)
	}
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
	for _, line := range []string{"carl", "carl:", ":${hash}", "carl:plain", "carl:$apr1$abc$def", "carl:{SHA}abc=", "carl ${hash}", "carl:bert:${hash}"} {
		file := usersFile(t, "# people\nanna:${hash}\n\n"+line+"\nbert:${hash}\n")
		_, err := openUsers(file)
		if err == nil || !strings.Contains(err.Error(), file+":4: not a name and a bcrypt hash") {
			t.Errorf("%q: %v", line, err)
		}
		if err != nil && strings.Contains(err.Error(), "$2") {
			t.Errorf("%q: the error shows a hash: %v", line, err)
		}
	}
	if _, err := openUsers(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "read the users file") {
		t.Errorf("no file: %v", err)
	}
}
