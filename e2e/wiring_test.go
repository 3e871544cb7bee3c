package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os/exec"
	"testing"
	"time"
)

// wiring is how a client is pointed at a proxy: by the variables that people
// set by hand, or by a command in front of it (`quotagate exec --`) that sets
// everything up.
type wiring struct {
	proxy string   // http://127.0.0.1:…
	ca    string   // the PEM file of the CA that the client must trust
	front []string // the command in front of the client's own
	env   []string // what that command needs
}

// command is a client's command, wired up. The process ends with the test.
func (w wiring) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if len(w.front) > 0 {
		args = append(append(append([]string{}, w.front[1:]...), name), args...)
		name = w.front[0]
	}
	c := exec.CommandContext(ctx, name, args...)
	c.WaitDelay = 5 * time.Second
	c.Env = cleanEnv(w.env...)
	if len(w.front) == 0 {
		c.Env = append(c.Env,
			"http_proxy="+w.proxy, "HTTP_PROXY="+w.proxy, "https_proxy="+w.proxy, "HTTPS_PROXY="+w.proxy,
			"SSL_CERT_FILE="+w.ca, "REQUESTS_CA_BUNDLE="+w.ca, "CURL_CA_BUNDLE="+w.ca, "NODE_EXTRA_CA_CERTS="+w.ca)
	}
	return c
}

// attempt is what a client got back for one message.
type attempt struct {
	N       int               `json:"n"`
	Status  int               `json:"status"`
	Proto   string            `json:"proto"`
	Headers map[string]string `json:"headers"` // names in lower case
	Body    string            `json:"body"`
	Error   string            `json:"error"`
}

// attempts runs a client's script with the input as JSON on its standard
// input, and reads one attempt from each line of its output.
func (w wiring) attempts(t *testing.T, input any, name string, args ...string) []attempt {
	t.Helper()
	in, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := w.command(ctx, name, args...)
	c.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v\nstandard output: %s\nstandard error: %s", c.Args, err, out, stderr.String())
	}
	var all []attempt
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var a attempt
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatalf("%v printed what is no attempt: %q: %v", c.Args, lines.Text(), err)
		}
		all = append(all, a)
	}
	return all
}

// client is a Go client of the proxy. With fresh, every request has a
// connection of its own.
func (w wiring) client(t *testing.T, fresh bool) *http.Client {
	t.Helper()
	proxy, err := url.Parse(w.proxy)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		Proxy:               http.ProxyURL(proxy),
		TLSClientConfig:     &tls.Config{RootCAs: poolOf(t, w.ca)},
		DisableKeepAlives:   fresh,
		MaxIdleConnsPerHost: 512,
		ForceAttemptHTTP2:   false,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// exitCode is the code that a finished command left with, or -1.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err == nil {
		return 0
	}
	return -1
}
