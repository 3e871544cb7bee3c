package e2e

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestBadInputIsSaidClearly: the exit code, the sentence, and the hint.
func TestBadInputIsSaidClearly(t *testing.T) {
	t.Parallel()
	s := newService(t)
	good := rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))
	for _, c := range []struct {
		name string
		code int
		says string // a regular expression
		hint bool
		do   func(t *testing.T, g *gate) (args, env []string)
	}{
		{name: "a rules file that is not there", code: 1, says: `nowhere\.yaml`, hint: true, do: func(t *testing.T, g *gate) ([]string, []string) {
			return []string{"run", "--rules", filepath.Join(g.data, "nowhere.yaml")}, nil
		}},
		{name: "a rules file that cannot be read", code: 1, says: `loop\.yaml`, do: func(t *testing.T, g *gate) ([]string, []string) {
			// A link to itself: nobody can read that, root neither.
			loop := filepath.Join(g.data, "loop.yaml")
			if err := os.Symlink(loop, loop); err != nil {
				t.Fatal(err)
			}
			return []string{"run", "--rules", loop}, nil
		}},
		{name: "a typo in a rule", code: 1, says: `quotagate\.yaml:\d+:\d+: .*allwo(.|\n)*allow`, do: func(t *testing.T, g *gate) ([]string, []string) {
			writeFile(t, g.rulesFile, strings.Replace(good, "allow:", "allwo:", 1))
			return []string{"run", "--rules", g.rulesFile}, nil
		}},
		{name: "the same typo, checked", code: 1, says: `quotagate\.yaml:\d+:\d+: .*allwo`, do: func(t *testing.T, g *gate) ([]string, []string) {
			writeFile(t, g.rulesFile, strings.Replace(good, "allow:", "allwo:", 1))
			return []string{"check", g.rulesFile}, nil
		}},
		{name: "a port in use", code: 1, says: `in use`, hint: true, do: func(t *testing.T, g *gate) ([]string, []string) {
			l, err := net.Listen("tcp", g.listen)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return []string{"run", "--rules", g.rulesFile}, nil
		}},
		{name: "a data directory that is a file", code: 1, says: `quotagate\.yaml`, do: func(t *testing.T, g *gate) ([]string, []string) {
			return []string{"run", "--rules", g.rulesFile, "--data", g.rulesFile}, nil
		}},
		{name: "an open door with no credentials", code: 1, says: `0\.0\.0\.0`, hint: true, do: func(t *testing.T, g *gate) ([]string, []string) {
			return []string{"run", "--rules", g.rulesFile, "--listen", "0.0.0.0:0"}, nil
		}},
		{name: "an unknown store", code: 2, says: `filing-cabinet`, do: func(t *testing.T, g *gate) ([]string, []string) {
			return []string{"run", "--rules", g.rulesFile, "--store", "filing-cabinet"}, nil
		}},
		{name: "an unknown verb", code: 2, says: `rnu`, do: func(t *testing.T, g *gate) ([]string, []string) {
			return []string{"rnu"}, nil
		}},
		{name: "an unknown flag", code: 2, says: `--rulez`, do: func(t *testing.T, g *gate) ([]string, []string) {
			return []string{"run", "--rulez", g.rulesFile}, nil
		}},
		{name: "an unknown variable", code: 2, says: `QUOTAGATE_RULEZ`, do: func(t *testing.T, g *gate) ([]string, []string) {
			return []string{"run", "--rules", g.rulesFile}, []string{"QUOTAGATE_RULEZ=quotagate.yaml"}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := prepare(t, s, setup{rules: good})
			args, env := c.do(t, g)
			wantFailure(t, g, args, env, c.code, c.says, c.hint)
		})
	}
}

// wantFailure runs a command that must fail, and soon.
func wantFailure(t *testing.T, g *gate, args, env []string, code int, says string, hint bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	cmd.Env = cleanEnv(append(g.env(), env...)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if got := exitCode(err); got != code {
		t.Errorf("exit code %d (%v), want %d", got, err, code)
	}
	if !strings.Contains(stderr.String(), "quotagate: error: ") {
		t.Errorf("no `quotagate: error: …` on standard error")
	}
	if !regexp.MustCompile(says).MatchString(stderr.String()) {
		t.Errorf("standard error does not say %q", says)
	}
	if hint && !strings.Contains(stderr.String(), "hint: ") {
		t.Errorf("no `hint: …` on standard error")
	}
	if strings.Contains(stderr.String(), "goroutine ") {
		t.Errorf("a stack trace on standard error")
	}
	if t.Failed() {
		t.Logf("quotagate %s\nstandard output:\n%s\nstandard error:\n%s", strings.Join(args, " "), stdout.String(), stderr.String())
	}
}

func TestTwoProxiesDoNotShareADataDirectory(t *testing.T) {
	t.Parallel()
	s := newService(t)
	rules := rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))
	first := start(t, s, setup{rules: rules})
	second := prepare(t, s, setup{rules: rules, data: first.data})
	wantFailure(t, second, []string{"run"}, nil, 1, regexp.QuoteMeta(first.data), true)

	// The first is none the worse for it.
	got := curl(t, first.byHand(), viaVoyager.series("anna", 4), "--http1.1")
	wantTexts(t, s.from("anna"), 3)
	wantThreeThenRefused(t, got, viaVoyager, "three-a-day")
}

func TestAClientThatDoesNotTrustTheCAIsExplained(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(listed("anna"), limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
	w := g.byHand()
	w.ca = s.authority.file // as a system that knows nothing of the proxy's CA
	client := w.client(t, true)
	_, err := client.Do(encode(t, viaVoyager.nth("anna", 1)))
	var unknown x509.UnknownAuthorityError
	if err == nil || !strings.Contains(err.Error(), unknown.Error()) {
		t.Fatalf("the client got %v, want a certificate that it does not trust", err)
	}
	eventually(t, 10*time.Second, "the log explains it, with the way out", func() bool {
		log := g.out.String()
		return strings.Contains(log, linkedinWeb) && strings.Contains(log, "trust") && strings.Contains(log, "quotagate ")
	})
	if got := s.count(""); got != 0 {
		t.Errorf("%d messages arrived", got)
	}
	if used, _ := g.used(t, "anna", "three-a-day"); used != 0 {
		t.Errorf("%d used, want 0", used)
	}
}

// OpenSSL's clients reject a certificate in another way than Go's.
func TestCurlsDistrustIsExplained(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, version := range []string{"--tlsv1.3", "--tls-max=1.2"} {
		g := start(t, s, setup{rules: rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
		args := append(strings.Split(version, "="), "--silent", "--proxy", "http://"+g.listen, "https://"+linkedinWeb+"/")
		if out, err := exec.Command("curl", args...).CombinedOutput(); err == nil {
			t.Fatalf("curl %s trusts it: %s", version, out)
		}
		eventually(t, 10*time.Second, "the log explains it, with the way out", func() bool {
			log := g.out.String()
			return strings.Contains(log, linkedinWeb) && strings.Contains(log, "does not trust") && strings.Contains(log, "quotagate exec")
		})
	}
}

// TestRequestsThatAreNone: what could be a message and cannot be read for
// certain is refused, not waved through.
func TestRequestsThatAreNone(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: three-a-day, on: "*", allow: 3, per: day}`))})
	client := g.byHand().client(t, true)
	for _, c := range []struct {
		name, body string
	}{
		{"the same key twice", `{"mailboxUrn":"urn:li:fsd_profile:anna","mailboxUrn":"urn:li:fsd_profile:bert","message":{"body":{"text":"a"}}}`},
		{"half a body", `{"mailboxUrn":"urn:li:fsd_profile:anna","message":`},
		{"no body", ``},
	} {
		r := encode(t, request{Method: http.MethodPost, URL: "https://" + linkedinWeb + "/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage", Body: c.body})
		if a := do(client, r); a.Error != "" || a.Status < 400 || a.Status > 499 || a.Headers["quotagate-decision"] != "reject" {
			t.Errorf("%s: %+v, want a refusal", c.name, a)
		}
	}
	if got := s.count(""); got != 0 {
		t.Errorf("%d messages arrived", got)
	}
}
