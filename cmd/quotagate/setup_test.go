package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
)

// through is a client that goes through the stage's proxy.
func (s *stage) through(t *testing.T, user *url.Userinfo) *http.Client {
	t.Helper()
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", User: user, Host: s.variable("QUOTAGATE_LISTEN")})}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

// ask asks the set-up page's host for a file.
func ask(t *testing.T, c *http.Client, method, file string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, plainOrigin+file, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestTheSetUpPageHoldsWhatAClientNeeds(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	s.serve(t)
	c := s.through(t, nil)
	resp, page := ask(t, c, "GET", "/")
	wantContains(t, "the page", page, "<!doctype html>", s.variable("QUOTAGATE_LISTEN")+"</code>",
		"slack.com", "two-a-day", "2 in any 24h", "none came through yet", "http://"+s.variable("QUOTAGATE_ADMIN")+"/")
	for _, f := range envFormats {
		wantContains(t, "the page", page, `id="for-`+f.name+`"`, f.title)
	}
	for _, wrong := range []string{atHome, s.data, "style=", "onclick", "<script>"} {
		if strings.Contains(page, wrong) {
			t.Errorf("the page has %q", wrong)
		}
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "Cross-Origin-Resource-Policy": "same-origin",
		"X-Content-Type-Options": "nosniff", "Content-Type": "text/html",
	} {
		wantContains(t, name, resp.Header.Get(name), want)
	}
	shown := s.run(t, "ca", "show").out.String()
	for file, kind := range map[string]string{
		"/ca.pem": "application/x-pem-file", "/ca.crt": "application/x-x509-ca-cert", "/bundle.pem": "application/x-pem-file",
		"/proxy.pac": "application/x-ns-proxy-autoconfig", "/quotagate.mobileconfig": "application/x-apple-aspen-config",
		"/node-preload.cjs": "application/node", "/page.js": "text/javascript; charset=utf-8", "/style.css": "text/css; charset=utf-8",
	} {
		resp, body := ask(t, c, "GET", file)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != kind || body == "" {
			t.Errorf("%s: %s, %s, %d bytes", file, resp.Status, resp.Header.Get("Content-Type"), len(body))
		}
		switch file {
		case "/ca.pem":
			if exported := s.run(t, "ca", "export").out.String(); body != exported {
				t.Errorf("ca.pem is %q, and ca export prints %q", body, exported)
			}
		case "/ca.crt":
			if _, err := x509.ParseCertificate([]byte(body)); err != nil {
				t.Error(err)
			}
		case "/quotagate.mobileconfig":
			if err := xml.Unmarshal([]byte(body), new(struct{ XMLName xml.Name })); err != nil {
				t.Error(err)
			}
		}
	}
	fingerprint := page[strings.Index(page, `fingerprint">`)+len(`fingerprint">`):]
	wantContains(t, "ca show", shown, fingerprint[:95])

	for _, c := range []struct {
		method, path string
		status       int
	}{{"HEAD", "/", 200}, {"HEAD", "/events", 200}, {"GET", "/none", 404}, {"POST", "/", 405}, {"DELETE", "/ca.pem", 405}, {"OPTIONS", "/ok", 405}} {
		if resp, _ := ask(t, s.through(t, nil), c.method, c.path); resp.StatusCode != c.status {
			t.Errorf("%s %s: %s, want %d", c.method, c.path, resp.Status, c.status)
		}
	}
	// Nobody reaches it but through the proxy.
	direct, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.variable("QUOTAGATE_LISTEN")+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	direct.Host = proxy.InternalHost
	resp, err = http.DefaultTransport.RoundTrip(direct)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("asked directly: %v, %v", resp, err)
	}
	resp.Body.Close()
}

// TestOtherWebsitesAreKeptOut of the set-up page, whatever they make a browser
// send.
func TestOtherWebsitesAreKeptOut(t *testing.T) {
	reached := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	for _, c := range []struct {
		name, host, origin, site, mode string
		status                         int
	}{
		{"opened", "quotagate.internal", "", "", "", 200},
		{"opened by TLS", "quotagate.internal", "", "none", "navigate", 200},
		{"another spelling", "QuotaGate.Internal.:80", "", "", "", 200},
		{"its own script", "quotagate.internal", secureOrigin, "same-origin", "cors", 200},
		{"its own picture", "quotagate.internal", "", "same-origin", "no-cors", 200},
		{"the plain page asks by TLS", "quotagate.internal", plainOrigin, "cross-site", "cors", 200},
		{"a link of another site", "quotagate.internal", "", "cross-site", "navigate", 200},
		{"a script of another site", "quotagate.internal", "https://evil.example", "cross-site", "cors", 403},
		{"the same by an old browser", "quotagate.internal", "https://evil.example", "", "", 403},
		{"a sandboxed frame", "quotagate.internal", "null", "cross-site", "cors", 403},
		{"<script src> of another site", "quotagate.internal", "", "cross-site", "no-cors", 403},
		{"<img> of a sister", "quotagate.internal", "", "same-site", "no-cors", 403},
		{"a name that looks alike", "quotagate.internal", "https://quotagate.internal.evil.example", "cross-site", "cors", 403},
		{"another port", "quotagate.internal", "http://quotagate.internal:8080", "same-site", "cors", 403},
		{"rebinding", "evil.example", "", "", "", 403},
		{"rebinding to an address", "127.0.0.1:8080", "", "", "", 403},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = c.host
		for name, value := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site, "Sec-Fetch-Mode": c.mode} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		guardSetup(reached).ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s: %d, want %d", c.name, w.Code, c.status)
		}
	}
}

// TestAnOpenPageHoldsNoProxyUp: one that stops ends it.
func TestAnOpenPageHoldsNoProxyUp(t *testing.T) {
	s := &service{visits: someVisits(t, false), draining: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.events(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/events", nil))
	}()
	s.stopHolding()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the page is still open")
	}
}

// TestThePageTellsOfTheFirstRequest while it is open.
func TestThePageTellsOfTheFirstRequest(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	s.serve(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", plainOrigin+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.through(t, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() (v visitsShown) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &v); err != nil {
					t.Fatal(err)
				}
				return v
			}
		}
		t.Fatalf("the events ended: %v", lines.Err())
		return v
	}
	if v := next(); v.First != nil || v.Untrusted != nil || len(v.Latest) != 0 {
		t.Errorf("at first: %+v", v)
	}
	if r := s.run(t, append([]string{"exec", "--"}, s.posting()...)...); r.code != exitOK {
		t.Fatalf("exit %d: %s", r.code, r.stderr)
	}
	v := next()
	for len(v.Latest) < 2 {
		v = next()
	}
	if v.First == nil || v.First.Host != "slack.com" || v.First.Decision != proxy.DecisionForward {
		t.Errorf("the first is %+v", v.First)
	}
	if last := v.Latest[0]; last.Decision != proxy.DecisionReject || !strings.Contains(last.Text, "a message (slack.message), refused by two-a-day until ") {
		t.Errorf("the last is %+v", last)
	}
	text, err := json.Marshal(v)
	if err != nil || strings.Contains(string(text), "xoxb") || strings.Contains(string(text), "C1") {
		t.Errorf("%s, %v", text, err)
	}
	_, page := ask(t, s.through(t, nil), "GET", "/")
	wantContains(t, "the page", page, "your first request came through", "a message (slack.message), let through; the answer was 200")
}

// needProgram fails the test without a program that it needs.
func needProgram(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatal(name + " is not installed; scripts/install-test-tools.sh installs it")
	}
}

// TestThePACFileSendsTheRulesHostsAndNoOthers, as a browser evaluates it.
func TestThePACFileSendsTheRulesHostsAndNoOthers(t *testing.T) {
	pac := proxyPAC("[::1]:8080", "https", []string{"api.example", "*.one.example", "**.many.example", "port.example:8443", "a.*.b.example"})
	const through, straight = "HTTPS [::1]:8080", "DIRECT"
	want := map[string]string{
		"api.example": through, "API.example.": through, "x.api.example": straight, "quotagate.internal": through,
		"a.one.example": through, "one.example": straight, "a.b.one.example": straight,
		"a.many.example": through, "a.b.many.example": through, "many.example": straight, "xmany.example": straight,
		"port.example": through, "a.x.b.example": through, "a.x.y.b.example": straight, "other.example": straight,
	}
	hosts, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	script := string(pac) + "\nfor (const [h, want] of Object.entries(" + string(hosts) + ")) {" +
		" const got = FindProxyForURL('https://' + h + '/', h); if (got !== want) console.log(h, got); }"
	needProgram(t, "node")
	c := exec.CommandContext(t.Context(), "node", "-e", script)
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v, otherwise than wanted: %s", err, out)
	}
}

// TestTheSnippetsRun: what is copied from the page into a shell and into Python
// finds the files under the home directory, also one with a space in its name.
func TestTheSnippetsRun(t *testing.T) {
	t.Parallel()
	needProgram(t, "curl")
	needProgram(t, "python3")
	s := newStage(t, twoADay)
	s.serve(t)
	home := filepath.Join(t.TempDir(), "my home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	w := aWiring()
	w.listen = s.variable("QUOTAGATE_LISTEN")
	w.proxy.Host = w.listen
	w.ca, w.bundle, w.preload = atHome+"/quotagate/ca.pem", atHome+"/quotagate/bundle.pem", atHome+"/quotagate/node-preload.cjs"
	w.caPEM = []byte(s.run(t, "ca", "export").out.String())
	all, err := pageSnippets(w)
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for _, one := range all {
		text[one.Name] = one.Text
		if strings.Contains(one.Text, atHome) {
			t.Errorf("%s: %s", one.Name, one.Text)
		}
	}
	shell := func(script string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "sh"}, args...)...)
		c.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
		var stderr bytes.Buffer
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", script, err, stderr.String())
		}
		return string(out)
	}
	shell(fetchFiles(w))
	if got, err := os.ReadFile(filepath.Join(home, "quotagate", "ca.pem")); err != nil || !bytes.Equal(got, w.caPEM) {
		t.Errorf("the fetched certificate is %q, %v", got, err)
	}
	got := shell(text["sh"] + `cat "$SSL_CERT_FILE" | wc -c; printf '%s|' "$NODE_OPTIONS" "$HTTPS_PROXY"`)
	wantContains(t, "the shell", got, "--require "+home+"/quotagate/node-preload.cjs|http://"+w.listen+"|")
	got = shell(strings.Replace(text["curl"], "URL", "-s "+plainOrigin+"/ok", 1))
	if got != "trusted\n" {
		t.Errorf("curl got %q", got)
	}
	wantContains(t, "Python", shell(`python3 -c "$1"`, text["python"]+"\nprint(bundle, proxy)"), home+"/quotagate/bundle.pem http://"+w.listen)
	wantContains(t, "PowerShell", text["powershell"], `$env:SSL_CERT_FILE = "$HOME/quotagate/bundle.pem"`, "Invoke-WebRequest -Proxy 'http://"+w.listen+"'")
	wantContains(t, "Go", text["go"], `os.ReadFile(os.Getenv("HOME") + "/quotagate/bundle.pem")`)
}
