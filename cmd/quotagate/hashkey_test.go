package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// keyIn is a configuration whose hash key is the data directory's own.
func keyIn(dir string) *config {
	return &config{Data: dir, HashKeyFile: filepath.Join(dir, "hash.key")}
}

func TestTheHashKeyIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	// Each as a process of its own would: none has seen what the others made.
	ids := make([]string, 32)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			<-start
			key, err := keyIn(dir).openHashKey()
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = key.id()
		})
	}
	close(start)
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("different keys: %q", ids)
		}
	}
	if again, err := keyIn(dir).openHashKey(); err != nil || again.id() != ids[0] {
		t.Errorf("another key the next time: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the directory: %v %v", entries, err)
	}
	if other, err := keyIn(t.TempDir()).openHashKey(); err != nil || other.id() == ids[0] {
		t.Errorf("two directories have the same key: %v", err)
	}
}

func TestTheHashKeyIsItsOwnersAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // it has no such modes
	}
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := keyIn(dir).openHashKey(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{filepath.Join(dir, "hash.key"): 0o600, dir: 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", name, info.Mode(), err, want)
		}
	}
}

func TestAFileIsMadeOnceAndWhole(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := makeOnce(name, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := makeOnce(name, []byte("second")); !os.IsExist(err) && !strings.Contains(err.Error(), "exists") {
		t.Errorf("made twice: %v", err)
	}
	if got, err := os.ReadFile(name); string(got) != "first" {
		t.Errorf("%q %v", got, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(name)); len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
}

func TestAHashKeyHasThirtyTwoBytesAtLeast(t *testing.T) {
	dir := t.TempDir()
	for text, ok := range map[string]bool{
		"": false, "short": false, strings.Repeat("k", 31): false, strings.Repeat("k", 32): true,
		"  " + strings.Repeat("k", 30) + " \n": false, // white space is no part of it
		strings.Repeat("k", 32) + "\n":         true,
	} {
		if err := os.WriteFile(filepath.Join(dir, "hash.key"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := keyIn(dir).openHashKey()
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "too short") {
			t.Errorf("%q: %v", text, err)
		}
		if got, _ := os.ReadFile(filepath.Join(dir, "hash.key")); string(got) != text {
			t.Errorf("%q was changed to %q", text, got)
		}
	}
	// The end of a line is nobody's choice.
	file := filepath.Join(dir, "hash.key")
	var ids []string
	for _, end := range []string{"", "\n", "\r\n"} {
		if err := os.WriteFile(file, []byte(strings.Repeat("k", 40)+end), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := keyIn(dir).openHashKey()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, key.id())
	}
	if ids[0] != ids[1] || ids[0] != ids[2] {
		t.Errorf("the end of the line changes names: %q", ids)
	}
}

func TestNamesKeepKindsAndKeysApart(t *testing.T) {
	one, other := newHashKey([]byte(strings.Repeat("1", 32))), newHashKey([]byte(strings.Repeat("2", 32)))
	seen := map[string]string{}
	for what, name := range map[string]string{
		"a, bc": one.sum("a", "bc"), "ab, c": one.sum("ab", "c"), "abc": one.sum("abc", ""), "of nothing": one.sum("", "abc"),
		"another key": other.sum("a", "bc"), "the id": one.id(),
	} {
		if before, ok := seen[name]; ok {
			t.Errorf("%s and %s have the same name", what, before)
		}
		seen[name] = what
		if len(name) != 16 || strings.Trim(name, "0123456789abcdef") != "" {
			t.Errorf("%s: %q", what, name)
		}
	}
	for range 3 {
		if one.sum("a", "bc") != newHashKey([]byte(strings.Repeat("1", 32))).sum("a", "bc") {
			t.Error("the same value under the same key has two names")
		}
	}
	key := []byte(strings.Repeat("3", 32))
	kept := newHashKey(key)
	clear(key)
	if kept.sum("a", "b") != newHashKey([]byte(strings.Repeat("3", 32))).sum("a", "b") {
		t.Error("the key is its maker's to change")
	}
}

func TestANameIsAnHMACAndNothingOfItIsKept(t *testing.T) {
	key := []byte(strings.Repeat("1", 32))
	k := newHashKey(key)
	for _, value := range []string{"", "anna", strings.Repeat("long ", 1000)} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte("\x00\x05token" + value))
		if want := hex.EncodeToString(h.Sum(nil)[:8]); k.sum("token", value) != want {
			t.Errorf("%.9q: another name than %s, under which a ledger knows it", value, want)
		}
	}
	h := k.pool.New().(*hasher)
	h.add("secret")
	h.done(&k.pool)
	if h.buf != [len(h.buf)]byte{} {
		t.Errorf("kept: %q", bytes.TrimRight(h.buf[:], "\x00"))
	}
}
