package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"quotagate/proxy"
	"quotagate/proxy/admin"
)

func TestALineIsInTheFileWhenItsAnswerEnds(t *testing.T) {
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := openDecisionLog(data)
	if err != nil {
		t.Fatal(err)
	}
	var recent admin.Recent
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 100 {
				id := fmt.Sprintf("no%d.%d.", i, j)
				l.add(&proxy.Record{ID: id, Messages: make([]proxy.RecordMessage, 1)}, &recent)
				l.wait()
				if lines, err := os.ReadFile(decisionLogFile(data)); err != nil || !bytes.Contains(lines, []byte(id)) {
					t.Errorf("%s is not in the file: %v", id, err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	lines, err := os.ReadFile(decisionLogFile(data))
	if err != nil || bytes.Count(lines, []byte("\n")) != 800 || len(recent.Lines()) != 800 {
		t.Errorf("%d lines, %d shown: %v", bytes.Count(lines, []byte("\n")), len(recent.Lines()), err)
	}
}
