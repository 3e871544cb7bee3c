package ruletest

import (
	"path/filepath"
	"testing"
)

// Every kind of limit, from a file to an answer.
func TestEveryKindOfLimit(t *testing.T) {
	files, err := Run(t.Context(), []string{filepath.Join("testdata", "measures.test.yaml")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if files[0].Err != nil {
		t.Fatal(files[0].Err)
	}
	for _, one := range files[0].Tests {
		t.Run(one.Name, func(t *testing.T) {
			for _, failure := range one.Failures {
				t.Error(failure)
			}
		})
	}
}
