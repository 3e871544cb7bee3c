package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestExecStartsAProxyOfItsOwn: with no proxy anywhere, `quotagate exec` is
// all that a script needs.
func TestExecStartsAProxyOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := prepare(t, s, setup{rules: rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
	got := pyRequests.call(t, g.byExec(t), viaVoyager.series("alone", 4))
	wantTexts(t, s.from("alone"), 3)
	wantThreeThenRefused(t, got, viaVoyager, "three-a-day")

	// The ledger is on disk: a second run goes on where the first ended.
	got = pyRequests.call(t, g.byExec(t), viaVoyager.series("alone", 1))
	wantTexts(t, s.from("alone"), 3)
	wantRefused(t, got[0], viaVoyager, "three-a-day", false)
}

// TestExecIsTheProgram: its exit code and streams are those of the command,
// and what it has to say goes to standard error.
func TestExecIsTheProgram(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
	w := g.byExec(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	c := w.command(ctx, "sh", "-c", `cat; echo "to standard error" >&2; exit 7`)
	var stdout, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader("from standard input"), &stdout, &stderr
	err := c.Run()
	if got := exitCode(err); got != 7 {
		t.Errorf("exit code %d (%v), want the command's 7", got, err)
	}
	if stdout.String() != "from standard input" || !strings.Contains(stderr.String(), "to standard error") {
		t.Errorf("standard output %q, standard error %q", stdout.String(), stderr.String())
	}
	// Nothing came through the proxy, and it says so.
	if !strings.Contains(stderr.String(), "quotagate: ") {
		t.Errorf("no word that nothing came through the proxy: %q", stderr.String())
	}

	out, err := w.command(ctx, "sh", "-c", "env").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE",
		"CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "NODE_USE_ENV_PROXY", "DENO_CERT", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE", "PIP_CERT"} {
		if !strings.Contains("\n"+string(out), "\n"+name+"=") {
			t.Errorf("exec does not set %s", name)
		}
	}

	if out, err := w.command(ctx, "no-such-program").CombinedOutput(); err == nil || !strings.Contains(string(out), "quotagate: error: ") {
		t.Errorf("a program that is not there: %v, %s", err, out)
	}
}

// TestEnvPrintsWhatExecSets: the settings of `quotagate env` lead a shell's
// clients through the proxy.
func TestEnvPrintsWhatExecSets(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
	script := fmt.Sprintf(`eval "$(%q env --for sh)" && curl -qsS --data-urlencode token=xoxb-shell --data-urlencode channel=C1 --data-urlencode 'text=message 1' https://slack.com/api/chat.postMessage`, binary(t))
	c := exec.CommandContext(t.Context(), "sh", "-c", script)
	c.Env = cleanEnv(g.env()...)
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), `"ok":true`) {
		t.Errorf("%v: %s", err, out)
	}
	wantTexts(t, s.from("shell"), 1)
}
