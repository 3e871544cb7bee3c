package main

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func aWiring() *wiring {
	return &wiring{
		listen: "127.0.0.1:8080", proxy: &url.URL{Scheme: "http", Host: "127.0.0.1:8080"},
		ca: "/data/ca.pem", bundle: "/data/bundle.pem", preload: "/data/node-preload.cjs",
	}
}

func TestSettingsKeepWhatTheUserHas(t *testing.T) {
	for _, c := range []struct{ name, old, want string }{
		{"NO_PROXY", "", "localhost,127.0.0.1,::1"},
		{"no_proxy", "internal.example, .corp", "localhost,127.0.0.1,::1,internal.example,.corp"},
		{"NO_PROXY", "127.0.0.1,a.example", "localhost,127.0.0.1,::1,a.example"},
		{"NO_PROXY", "*", "localhost,127.0.0.1,::1"},
		{"NODE_OPTIONS", "", "--require /data/node-preload.cjs"},
		{"NODE_OPTIONS", "--max-old-space-size=512", "--max-old-space-size=512 --require /data/node-preload.cjs"},
		{"NODE_OPTIONS", "--require /data/node-preload.cjs -r x", "--require /data/node-preload.cjs -r x"},
	} {
		i := slices.IndexFunc(aWiring().variables(map[string]string{c.name: c.old}), func(v variable) bool { return v.name == c.name })
		if got := aWiring().variables(map[string]string{c.name: c.old})[i].value; got != c.want {
			t.Errorf("%s=%q becomes %q, want %q", c.name, c.old, got, c.want)
		}
	}
	w := aWiring()
	w.preload = `C:\My "Data"\node-preload.cjs`
	if got, want := nodeOptions(w, ""), `--require "C:\\My \"Data\"\\node-preload.cjs"`; got != want {
		t.Errorf("a path with spaces becomes %s, want %s", got, want)
	}
}

// TestTheShellReadsItsLines, also with the quotes forgotten around them.
func TestTheShellReadsItsLines(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	s.env = append(s.env, "NO_PROXY=it's.example")
	printed := s.run(t, "env")
	if printed.code != exitOK {
		t.Fatalf("exit %d: %s", printed.code, printed.stderr)
	}
	for _, eval := range []string{`eval "$LINES_OF_ENV"`, `eval $LINES_OF_ENV`} {
		c := exec.CommandContext(t.Context(), "sh", "-c", eval+` && printf '%s|' "$HTTPS_PROXY" "$no_proxy" "$SSL_CERT_FILE" "$NODE_OPTIONS"`)
		c.Env = []string{"LINES_OF_ENV=" + printed.out.String()}
		got, err := c.CombinedOutput()
		want := "|localhost,127.0.0.1,::1,it's.example|" + filepath.Join(s.data, "bundle.pem") + `|--require "` + filepath.Join(s.data, "node-preload.cjs") + `"|`
		if err != nil || !strings.HasSuffix(string(got), want) || !strings.HasPrefix(string(got), "http://127.0.0.1:") {
			t.Errorf("%s: %v, %s, want …%s", eval, err, got, want)
		}
	}
}

func TestEnvPrintsForEveryKindOfProgram(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	listen := strings.TrimPrefix(s.env[slices.IndexFunc(s.env, func(v string) bool { return strings.HasPrefix(v, "QUOTAGATE_LISTEN=") })], "QUOTAGATE_LISTEN=")
	for kind, want := range map[string][]string{
		"sh":         {"export HTTPS_PROXY='http://anna:any@" + listen + "'\n", "export NODE_EXTRA_CA_CERTS='" + s.data},
		"docker":     {"docker run --network host", "-v '" + filepath.Join(s.data, "ca.pem") + "':/etc/quotagate/ca.pem:ro", "-e SSL_CERT_FILE='/etc/quotagate/bundle.pem'", "host.docker.internal", listen},
		"node":       {"NODE_EXTRA_CA_CERTS", "setGlobalDispatcher", listen},
		"python":     {`"REQUESTS_CA_BUNDLE": "` + filepath.Join(s.data, "bundle.pem"), "trust_env", listen},
		"playwright": {`proxy: { server: "http://` + listen + `", username: "anna", password: "any" }`, "--ignore-certificate-errors-spki-list="},
	} {
		r := s.run(t, "env", "--for", kind, "--as", "anna")
		if r.code != exitOK {
			t.Errorf("%s: exit %d: %s", kind, r.code, r.stderr)
		}
		wantContains(t, kind, r.out.String(), want...)
		wantContains(t, "standard error", r.stderr.String(), "quotagate: warning: no proxy answers on 127.0.0.1:")
	}
	s.serve(t)
	if r := s.run(t, "env"); r.code != exitOK || r.stderr.String() != "" {
		t.Errorf("with a proxy: exit %d, %s%s", r.code, r.out, r.stderr)
	}
	typo := filepath.Join(t.TempDir(), "typo")
	for _, args := range [][]string{{"env", "--data", typo, "--admin", "127.0.0.1:1"}, {"ca", "show", "--data", typo}} {
		r := s.run(t, args...)
		if _, err := os.Stat(typo); r.code != exitFailure || err == nil {
			t.Errorf("%v: exit %d, %v: %s", args, r.code, err, r.stderr)
		}
		wantContains(t, "standard error", r.stderr.String(), "there is no directory "+typo, "hint: `quotagate run --data ")
	}
	r := s.run(t, "env", "--for", "perl")
	if r.code != exitUsage {
		t.Errorf("for perl: exit %d", r.code)
	}
	wantContains(t, "standard error", r.stderr.String(), `there are no settings for "perl"`)
}

func TestEnvLeadsAroundAnAddressThatStandsForAll(t *testing.T) {
	for _, c := range []struct{ listen, reached, user, want string }{
		{"127.0.0.1:8080", "127.0.0.1:8081", "", "http://127.0.0.1:8080"},
		{"0.0.0.0:8080", "127.0.0.1:8081", "", "http://127.0.0.1:8080"},
		{"[::]:8080", "10.0.0.7:8081", "", "http://10.0.0.7:8080"},
		{":8080", ":8081", "", "http://127.0.0.1:8080"},
		{"127.0.0.1:8080", "127.0.0.1:8081", "anna", "http://anna:any@127.0.0.1:8080"},
		{"127.0.0.1:8080", "127.0.0.1:8081", "anna:a:b@c", "http://anna:a%3Ab%40c@127.0.0.1:8080"},
	} {
		w, err := newWiring(c.listen, c.reached, c.user)
		if err != nil || w.proxy.String() != c.want {
			t.Errorf("%s, reached by %s, as %q: %v, %v, want %s", c.listen, c.reached, c.user, w, err, c.want)
		}
	}
}

// TestClientsKeepTheRootsTheyHad: a company's CA that the environment names is
// trusted on, although the variables now name other files.
func TestClientsKeepTheRootsTheyHad(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	company, err := os.ReadFile(s.slack.caFile) // any certificate that is not ours
	if err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "REQUESTS_CA_BUNDLE="+s.slack.caFile)
	r := s.run(t, "exec", "--", "sh", "-c", `cat "$SSL_CERT_FILE" && echo ==== && cat "$NODE_EXTRA_CA_CERTS"`)
	if r.code != exitOK {
		t.Fatalf("exit %d: %s", r.code, r.stderr)
	}
	ours := s.run(t, "ca", "export").out.String()
	bundle, extra, _ := strings.Cut(r.out.String(), "====")
	wantContains(t, "the bundle", bundle, ours, string(company))
	wantContains(t, "Node's extra roots", extra, ours, string(company))
	if n := strings.Count(extra, "BEGIN CERTIFICATE"); n != 2 {
		t.Errorf("Node's extra roots are %d certificates, want 2", n)
	}
}
