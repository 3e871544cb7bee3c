package ruletest

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// The tests that the shipped packs bring.
func TestPacks(t *testing.T) {
	var names []string
	err := filepath.WalkDir(filepath.Join("..", "..", "rules", "packs"), func(name string, e fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".test.yaml") {
			names = append(names, name)
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("the packs' tests: %v %v", names, err)
	}
	files, err := Run(t.Context(), names, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		f := &files[i]
		t.Run(filepath.ToSlash(f.Name), func(t *testing.T) {
			if f.Err != nil {
				t.Fatal(f.Err)
			}
			for j := range f.Tests {
				one := &f.Tests[j]
				t.Logf("%s: %d sends in %v", one.Name, one.Sends, one.Elapsed)
				for _, failure := range one.Failures {
					t.Error(failure)
				}
			}
			t.Logf("%d tests in %v", len(f.Tests), f.Elapsed)
		})
	}
}
