package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
)

// preload is what Node programs load before themselves; it says why.
//
//go:embed preload.cjs
var preload []byte

// preloadFile is its name.
const preloadFile = "node-preload.cjs"

// writePreload puts the preload where Node finds it, and returns its name.
func writePreload(dir string) (string, error) {
	name := filepath.Join(dir, preloadFile)
	if there, err := os.ReadFile(name); err == nil && bytes.Equal(there, preload) {
		return name, nil
	}
	if err := writeFile(name, preload, 0o644); err != nil {
		return "", hinted(fmt.Errorf("write Node's preload: %w", err), "name a directory that can be written with --data or %sDATA", envPrefix)
	}
	return name, nil
}
