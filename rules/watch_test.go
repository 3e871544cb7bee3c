package rules

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// watched is a running Watch over a directory.
type watched struct {
	t    *testing.T
	dir  string
	news chan string // the limits of a new set, or the error
}

func watchFiles(t *testing.T, files map[string]string, names ...string) *watched {
	w := &watched{t: t, dir: t.TempDir(), news: make(chan string, 100)}
	for name, text := range files {
		w.write(name, text)
	}
	w.begin(names...)
	return w
}

func (w *watched) begin(names ...string) {
	t := w.t
	for i := range names {
		names[i] = filepath.Join(w.dir, names[i])
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Watch(ctx, names, Options{Hash: testHash}, func(s *Set, err error) {
			if err != nil {
				w.news <- "error: " + err.Error()
				return
			}
			var limits []string
			for _, l := range s.Limits() {
				limits = append(limits, fmt.Sprintf("%s=%v", l.Name, l.Allow))
			}
			w.news <- strings.Join(limits, " ")
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (w *watched) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// until waits for news that has want in it. Saving takes several steps, and
// each may be seen.
func (w *watched) until(want string) {
	w.t.Helper()
	last := "nothing"
	deadline := time.After(20 * time.Second)
	for {
		select {
		case last = <-w.news:
			if strings.Contains(last, want) {
				return
			}
		case <-deadline:
			w.t.Fatalf("the last news is %s, not %s", last, want)
		}
	}
}

func limitOf(name string, n int) string {
	return fmt.Sprintf("%s\nlimits: [{name: %s, on: acme.post, allow: %d, per: day}]\n", wired, name, n)
}

func TestWatchSeesAFileWrittenInPlace(t *testing.T) {
	w := watchFiles(t, map[string]string{"q.yaml": limitOf("day", 1)}, "q.yaml")
	w.until("day=1")
	w.write("q.yaml", limitOf("day", 2))
	w.until("day=2")
}

func TestWatchKeepsOnAfterAnError(t *testing.T) {
	w := watchFiles(t, map[string]string{"q.yaml": limitOf("day", 1)}, "q.yaml")
	w.until("day=1")
	w.write("q.yaml", "version: 1\nlimts: []")
	w.until(`unknown key "limts"`)
	w.write("q.yaml", limitOf("day", 3))
	w.until("day=3")
}

func TestWatchSeesARename(t *testing.T) {
	w := watchFiles(t, map[string]string{"q.yaml": limitOf("day", 1)}, "q.yaml")
	w.until("day=1")
	w.write(".q.yaml.swp", limitOf("day", 2))
	if err := os.Rename(filepath.Join(w.dir, ".q.yaml.swp"), filepath.Join(w.dir, "q.yaml")); err != nil {
		t.Fatal(err)
	}
	w.until("day=2")
	if err := os.Remove(filepath.Join(w.dir, "q.yaml")); err != nil {
		t.Fatal(err)
	}
	w.until("there is no such file")
	w.write("q.yaml", limitOf("day", 4))
	w.until("day=4")
}

func TestWatchSeesTheLinkThatKubernetesSwaps(t *testing.T) {
	w := &watched{t: t, dir: t.TempDir(), news: make(chan string, 100)}
	w.write("..1/q.yaml", limitOf("day", 1))
	w.write("..2/q.yaml", limitOf("day", 2))
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", "..data")
	link(filepath.Join("..data", "q.yaml"), "q.yaml")
	w.begin("q.yaml")
	w.until("day=1")
	link("..2", "..data_tmp")
	if err := os.Rename(filepath.Join(w.dir, "..data_tmp"), filepath.Join(w.dir, "..data")); err != nil {
		t.Fatal(err)
	}
	w.until("day=2")
}

func TestWatchSeesWhatFilesUse(t *testing.T) {
	w := watchFiles(t, map[string]string{
		"q.yaml": wired + "\nuse: [./more/*.yaml]", "more/a.yaml": "version: 1\nlimits: [{name: a, on: acme.post, allow: 1, per: day}]",
	}, "q.yaml")
	w.until("a=1")
	w.write("more/b.yaml", "version: 1\nlimits: [{name: b, on: acme.post, allow: 2, per: day}]")
	w.until("b=2")
	w.write("more/a.yaml", "version: 1\nlimits: [{name: a, on: acme.post, allow: 7, per: day}]")
	w.until("a=7 b=2")
}

func TestWatchReadsAFileThatAppears(t *testing.T) {
	w := watchFiles(t, nil, "not/yet/q.yaml")
	w.until("there is no such file")
	w.write("not/yet/q.yaml", limitOf("day", 1))
	w.until("day=1")
}
