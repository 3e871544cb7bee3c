package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browserPatience is how long one step in the browser may take, on a machine
// that runs all other tests beside it.
const browserPatience = time.Minute

// A browser is a headless Chromium with a home of its own, so that its database
// of certificates holds what the test put there and nothing else. No option of
// it weakens the verification of certificates.
type browser struct {
	context.Context
	started bool // the context has its tab
}

// newBrowser starts a Chromium that goes through the proxy, and trusts the
// certificates of the PEM files beside its own roots.
func newBrowser(t *testing.T, proxy string, trusted ...string) *browser {
	t.Helper()
	need(t, "certutil")
	path, err := exec.LookPath("chromium")
	if err != nil {
		if path, err = exec.LookPath("chromium-browser"); err != nil {
			missing(t, "Chromium is not installed; scripts/install-test-tools.sh installs it")
		}
	}
	home, err := os.MkdirTemp("", "quotagate-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(t, home) })
	database := filepath.Join(home, ".pki", "nssdb") // where Chromium on Linux looks
	if err := os.MkdirAll(database, 0o700); err != nil {
		t.Fatal(err)
	}
	certutil(t, "-N", "-d", "sql:"+database, "--empty-password")
	for _, file := range trusted {
		certutil(t, "-A", "-d", "sql:"+database, "-n", file, "-t", "C,,", "-i", file)
	}
	out := &output{}
	var started *exec.Cmd
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(filepath.Join(home, "profile")),
		chromedp.ProxyServer(proxy),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-domain-reliability", true),
		chromedp.Flag("no-pings", true),
		// A plain page stays one, as in other browsers.
		chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable"),
		chromedp.DisableGPU,
		chromedp.CombinedOutput(out),
		chromedp.WSURLReadTimeout(browserPatience),
		chromedp.ModifyCmdFunc(func(c *exec.Cmd) {
			started = c
			c.Env = cleanEnv("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "XDG_DATA_HOME="+filepath.Join(home, "data"))
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its helpers end with it
		}),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium does not start otherwise
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		closeTab()
		stop()
		if started != nil && started.Process != nil {
			// The whole group: what is left of it when the browser has gone.
			_ = syscall.Kill(-started.Process.Pid, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("what Chromium printed:\n%s", out)
		}
	})
	b := &browser{Context: tab}
	if err := b.do(); err != nil {
		t.Fatalf("start Chromium: %v\n%s", err, out)
	}
	return b
}

// removeAll removes what processes that are being killed may still write to.
func removeAll(t *testing.T, dir string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(browserPatience)
	for err := os.RemoveAll(dir); err != nil; err = os.RemoveAll(dir) {
		select {
		case <-tick.C:
		case <-late:
			t.Errorf("remove the browser's files: %v", err)
			return
		}
	}
}

func certutil(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "certutil", args...).CombinedOutput(); err != nil {
		t.Fatalf("certutil %v: %v\n%s", args, err, out)
	}
}

// tab opens one more tab of the same browser.
func (b *browser) tab(t *testing.T) *browser {
	t.Helper()
	tab, closeTab := chromedp.NewContext(b)
	t.Cleanup(closeTab)
	return &browser{Context: tab}
}

// do runs steps, within the patience. What is run first on a context starts its
// tab, which lasts as long as that context: it has no deadline.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) error {
	if !b.started {
		if err := chromedp.Do(b); err != nil {
			return err
		}
		b.started = true
	}
	ctx, cancel := context.WithTimeout(b, browserPatience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// open goes to a page and waits until it is there.
func (b *browser) open(t *testing.T, url string) {
	t.Helper()
	if err := b.do(chromedp.Navigate(url)); err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
}

// eval evaluates a script, awaits the promise if it gives one, and reads what
// comes of it as JSON.
func (b *browser) eval(t *testing.T, script string, into any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b, browserPatience)
	defer cancel()
	raw, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("evaluate %s: %v", script, err)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("evaluate %s: %q: %v", script, raw, err)
	}
}

// shows waits until the text of an element is as wanted.
func (b *browser) shows(t *testing.T, selector, what string, done func(text string) bool) {
	t.Helper()
	last := ""
	defer func() {
		if t.Failed() {
			t.Logf("%s says %q", selector, last)
		}
	}()
	eventually(t, browserPatience, what, func() bool {
		b.eval(t, "document.querySelector("+quoted(selector)+")?.innerText ?? ''", &last)
		return done(last)
	})
}

// quoted is a string as JavaScript writes it.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""` // a string always encodes
	}
	return string(b)
}
