package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quotagate/rules"
)

// What the starter rules show as an example works when it is uncommented.
// (Prose has one space after its #, an example none or several.)
func TestStarterExamplesWork(t *testing.T) {
	text, err := starter.ReadFile("starter/" + starterRules)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	examples := 0
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "#"); ok && (!strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, "  ")) {
			line = rest
			examples++
		}
		lines = append(lines, line)
	}
	file := filepath.Join(t.TempDir(), starterRules)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load([]string{file}, rules.Options{Hash: newHashKey(make([]byte, minHashKey)).sum})
	if err != nil {
		t.Fatal(err)
	}
	if examples < 10 || len(set.AccountNames()) != 1 {
		t.Errorf("%d lines of examples, accounts %v", examples, set.AccountNames())
	}
	for _, w := range set.Warnings() {
		t.Error(w)
	}
}
