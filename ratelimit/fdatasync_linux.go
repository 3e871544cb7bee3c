package ratelimit

import (
	"os"
	"syscall"
)

// fdatasync makes what was written to a file durable, without the times of its
// writing.
func fdatasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
