package ratelimit

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever goes back to an older quotagate finds that it does not open the
// ledger; the log has said so before.
func TestAFormatThatIsLeftBehindIsSaidOnce(t *testing.T) {
	for _, v := range []string{"", "1", "2"} {
		path := filepath.Join(t.TempDir(), "ledger.db")
		if v != "" {
			packed, err := os.Open(filepath.Join("testdata", "ledger-v"+v+".db.gz"))
			if err != nil {
				t.Fatal(err)
			}
			in, err := gzip.NewReader(packed)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			_ = packed.Close()
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var log bytes.Buffer
		c := &fakeClock{ms: t0 + second}
		for range 2 {
			e, err := OpenEmbedded(path, Options{Now: c.now, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		}
		want := 1
		if v == "" {
			want = 0
		}
		if n := strings.Count(log.String(), "newer format"); n != want || n == 1 && !strings.Contains(log.String(), "from="+v+" to="+formatVersion) {
			t.Errorf("from version %q: said %d times, want %d: %s", v, n, want, &log)
		}
	}
}
