//go:build !linux

package ratelimit

import "os"

// fdatasync makes what was written to a file durable.
func fdatasync(f *os.File) error { return f.Sync() }
