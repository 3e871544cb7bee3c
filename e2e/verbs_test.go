package e2e

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestANewcomersFirstMinute: the starter rules that init writes are good, pass
// their own tests, and start a proxy.
func TestANewcomersFirstMinute(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := prepare(t, s, setup{})
	dir := t.TempDir()
	g.verb(t, "init", dir)
	g.rulesFile = filepath.Join(dir, "quotagate.yaml")
	g.verb(t, "check", g.rulesFile)
	if out := g.verb(t, "test", dir); !strings.Contains(out, "ok") {
		t.Errorf("`quotagate test` printed %q", out)
	}
	if out := g.verb(t, "explain", "POST", viaVoyager.nth("anna", 1).URL, "-d", viaVoyager.nth("anna", 1).Body); !strings.Contains(out, "linkedin.message") {
		t.Errorf("`quotagate explain` does not name the message: %q", out)
	}
	g.run(t)
	if a := do(g.byHand().client(t, false), encode(t, viaVoyager.nth("anna", 1))); a.Status != 200 {
		t.Errorf("a first message under the starter rules: %+v", a)
	}

	// A second init does not write over what a person has edited.
	c := exec.CommandContext(t.Context(), binary(t), "init", dir)
	c.Env = cleanEnv(g.env()...)
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "quotagate.yaml") {
		t.Errorf("init over existing rules: %v, %s", err, out)
	}
}

func TestTheDemoShowsAllThreeAnswersWithinTenSeconds(t *testing.T) {
	t.Parallel()
	path := binary(t)
	// The binary under test carries the race detector, which takes its time.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, path, "demo")
	c.Env = cleanEnv("QUOTAGATE_DATA=" + t.TempDir())
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, word := range []string{"forward", "hold", "reject"} {
		if !strings.Contains(string(out), word) {
			t.Errorf("the demo shows no %s:\n%s", word, out)
		}
	}
}

func TestVerbsThatPrintForPrograms(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
	if out := g.verb(t, "schema"); !json.Valid([]byte(out)) {
		t.Errorf("`schema` is no JSON: %.200s", out)
	}
	block, _ := pem.Decode([]byte(g.verb(t, "ca", "export")))
	if block == nil || block.Type != "CERTIFICATE" {
		t.Errorf("`ca export` is no certificate in PEM")
	}
	if out := g.verb(t, "ca", "export", "--bundle"); strings.Count(out, "BEGIN CERTIFICATE") < 2 {
		t.Errorf("the bundle has %d certificates", strings.Count(out, "BEGIN CERTIFICATE"))
	}
	if out := g.verb(t, "version"); !strings.Contains(out, "quotagate") {
		t.Errorf("`version` prints %q", out)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out := g.verb(t, "completion", shell); !strings.Contains(out, "quotagate") {
			t.Errorf("`completion %s` prints %q", shell, out)
		}
	}
	for kind, want := range map[string]string{"sh": `export (HTTPS|https)_(PROXY|proxy)=`, "docker": `-e `, "node": `NODE_EXTRA_CA_CERTS`, "python": `REQUESTS_CA_BUNDLE`, "playwright": `proxy`} {
		if out := g.verb(t, "env", "--for", kind); !regexp.MustCompile(want).MatchString(out) || !strings.Contains(out, g.listen) {
			t.Errorf("`env --for %s` prints %q", kind, out)
		}
	}
}

// TestTheSetUpPageIsServedThroughTheProxy, to clients that trust nothing yet.
func TestTheSetUpPageIsServedThroughTheProxy(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
	for path, want := range map[string]string{"/": "quotagate", "/ca.pem": "BEGIN CERTIFICATE", "/bundle.pem": "BEGIN CERTIFICATE"} {
		a := do(g.byHand().client(t, true), encode(t, request{Method: "GET", URL: "http://quotagate.internal" + path}))
		if a.Status != 200 || !strings.Contains(a.Body, want) {
			t.Errorf("GET %s: %d %.200s", path, a.Status, a.Body)
		}
	}
}
