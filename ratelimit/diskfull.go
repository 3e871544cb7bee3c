package ratelimit

// Telling a full disk from a broken one.

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
)

// isFull reports whether a commit failed because there was no room, before it
// could be synced. bbolt passes the errors of its writes on as they are, and
// that of growing the file as text; a bare errno comes from fdatasync, after
// which nothing can be trusted.
func isFull(err error) bool {
	var path *fs.PathError
	grow := strings.HasPrefix(err.Error(), "file resize error: ")
	for _, no := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.As(err, &path) && path.Op == "write" && errors.Is(err, no) {
			return true
		}
		if grow && strings.Contains(err.Error(), no.Error()) {
			return true
		}
	}
	return false
}
