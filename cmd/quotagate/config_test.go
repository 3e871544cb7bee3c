package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestAnotherUsersDataDirectoryIsSaidToBeOne(t *testing.T) {
	c := &config{Data: "/data/quotagate"}
	denied := func(path string) error {
		return fmt.Errorf("read the hash key: %w", &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission})
	}
	err := c.ours(denied("/data/quotagate/hash.key"))
	var h hintedError
	if !errors.As(err, &h) || !strings.HasPrefix(err.Error(), "this user may not use the data directory /data/quotagate: open /data/quotagate/hash.key: ") ||
		!strings.Contains(h.hint, "another user's") {
		t.Errorf("%v", err)
	}
	for _, err := range []error{nil, errors.New("other"), denied("/etc/hash.key")} {
		if got := c.ours(err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestAddressesThatMayBeReachedAreRead(t *testing.T) {
	for text, hint := range map[string]string{
		"10.0.0.0/8": "", "10.1.2.3": "", " 10.1.2.0/24": "", "::1": "", "fd00::/8": "",
		"10.0.0.0": "write 10.0.0.0/8, or 10.0.0.1/32 for one", "192.168.0.0": "write 192.168.0.0/16, or 192.168.0.1/32 for one",
		"10.1.2.0": "write 10.1.2.0/24, or 10.1.2.1/32 for one", "localhost": "write 127.0.0.0/8, or 127.0.0.1/32 for one",
	} {
		if got := wrongAddress(text); got != hint {
			t.Errorf("%q: %q, want %q", text, got, hint)
		}
	}
}
