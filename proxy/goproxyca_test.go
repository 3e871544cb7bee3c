package proxy_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elazarl/goproxy"

	"quotagate/certs"
)

// TestTheCAThatGoproxyPublishesIsRefused holds the fingerprint in certs, where
// goproxy is not imported, against the goproxy that is built in.
func TestTheCAThatGoproxyPublishesIsRefused(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{certs.CertFile: goproxy.CA_CERT, certs.KeyFile: goproxy.CA_KEY} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := certs.Open(dir, certs.Options{})
	var refusal *certs.Refusal
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Problem, "goproxy") {
		t.Errorf("got %v", err)
	}
}
