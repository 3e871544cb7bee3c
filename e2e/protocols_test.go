package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What clients do on the wire goes through an interception as it does without
// one. The judge is the service's own record of the request, and what the
// client prints of the answer.
func TestWhatClientsDoOnTheWireWorksThroughAnInterception(t *testing.T) {
	t.Parallel()
	need(t, "curl", "nghttp", "node")
	s := newService(t)
	bridged := newBridge(t, "localhost")
	origin := newWitness(t, s)
	g := start(t, s, setup{
		rules:     wireRules,
		connectTo: bridged.target + "=" + origin.secure + ",localhost:80=" + origin.plain,
		env:       []string{"QUOTAGATE_ALLOW_PORTS=80,443," + bridged.port},
	})
	bridged.proxy.Store(g.listen)
	url := "https://" + bridged.target
	w := g.byHand()

	five := filepath.Join(t.TempDir(), "five") // nghttp asks how long it is
	writeFile(t, five, "hello")
	large := strings.Repeat("x", 300_000)
	curl := func(args ...string) *exec.Cmd {
		return w.command(t.Context(), "curl", append([]string{"-sS", "-q", "--noproxy", "", "-m", "30"}, args...)...)
	}
	nghttp := func(args ...string) *exec.Cmd { // through the bridge, since it knows no proxy
		c := exec.CommandContext(t.Context(), "nghttp", args...)
		c.Env = cleanEnv()
		return c
	}
	py := func(what string) *exec.Cmd {
		return w.command(t.Context(), python(t, "h2"), "clients/protocols.py", what, url)
	}
	node := func(what string) *exec.Cmd { return w.command(t.Context(), "node", "clients/protocols.mjs", what, url) }

	for _, tc := range []struct {
		name  string
		cmd   *exec.Cmd
		stdin string
		// what it prints, and must not; and the record of the request, see witness
		prints, not, record string
	}{
		{"curl, HTTP/1.0", curl("-i", "--http1.0", url+"/plain?a"), "", "HTTP/1.0 200 OK|here", "chunked", "GET /plain?a HTTP/2.0 length=0"},
		{"curl, HTTP/1.1", curl("-i", "--http1.1", url+"/plain?b"), "", "HTTP/1.1 200 OK|here", "", "GET /plain?b HTTP/2.0 length=0"},
		{"curl, HTTP/2", curl("-i", "--http2", url+"/plain?c"), "", "HTTP/2 200|here", "", "GET /plain?c HTTP/2.0 length=0"},
		{"curl, HTTP/2 without TLS", curl("-i", "--http2-prior-knowledge", "--proxytunnel", "http://localhost/plain?d"), "", "HTTP/2 200|here", "", "GET /plain?d HTTP/1.1 length=0"},
		{"curl, an upload that is asked for", curl("-v", "--http1.1", "-H", "Expect: 100-continue", "--data-binary", "@-", url+"/upload?e"), large, "HTTP/1.1 100 Continue|300000 bytes", "", "POST /upload?e HTTP/2.0 length=300000 body=300000"},
		{"curl, a message that is refused before its body", curl("-v", "--http1.1", "-H", "Authorization: Bearer anna", "-H", "Expect: 100-continue", "--data-binary", "@-", url+"/to/bob"), large, "HTTP/1.1 429", "100 Continue|We are completely uploaded", ""},
		{"curl, an upload that the service refuses", curl("-v", "--http1.1", "-H", "Expect: 100-continue", "--expect100-timeout", "20", "--data-binary", "@-", url+"/full?e"), large, "HTTP/1.1 413", "100 Continue", "POST /full?e HTTP/2.0 length=300000"},
		{"curl, an upload of unknown length", curl("--http1.1", "-T", "-", url+"/upload?f"), large, "300000 bytes", "", "PUT /upload?f HTTP/2.0 length=-1 body=300000"},
		{"curl, the same over HTTP/2", curl("--http2", "-T", "-", url+"/upload?g"), large, "300000 bytes", "", "PUT /upload?g HTTP/2.0 length=-1 body=300000"},
		{"curl, trailers", curl("--http1.1", "--raw", "-i", url+"/trailers?h"), "", "Trailer: X-Sum|0\r\nX-Sum: 5\r\n", "", "GET /trailers?h HTTP/2.0 length=0"},
		{"curl, early hints", curl("--http1.1", "-i", url+"/hints?i"), "", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>|HTTP/1.1 200 OK|here", "", "GET /hints?i HTTP/2.0 length=0"},
		{"curl, early hints over HTTP/2", curl("--http2", "-i", url+"/hints?j"), "", "HTTP/2 103|link: </a.css>|HTTP/2 200|here", "", "GET /hints?j HTTP/2.0 length=0"},
		{"curl, HEAD", curl("--http1.1", "-I", url+"/head?k"), "", "HTTP/1.1 200 OK|Content-Length: 300", "", "HEAD /head?k HTTP/2.0 length=0"},
		{"curl, a compressed answer", curl("--http1.1", "-i", "--compressed", url+"/packed?l"), "", "Content-Encoding: gzip|unpacked here", "", "GET /packed?l HTTP/2.0 length=0 encodings=deflate, gzip, br, zstd"},
		{"nghttp", nghttp("-v", url+"/plain?m"), "", ":status: 200|here", "", "GET /plain?m HTTP/2.0 length=0"},
		{"nghttp, twenty at once", nghttp("-v", "-m", "20", url+"/plain?n"), "", "stream_id=51|here", ":status: 5", "GET /plain?n HTTP/2.0 length=0"},
		{"nghttp, trailers of an upload", nghttp("-v", "-d", five, "--trailer=x-sum: 5", "-H", "te: trailers", url+"/upload?o"), "", "5 bytes", "", "POST /upload?o HTTP/2.0 length=5 body=5 trailer=5"},
		{"nghttp, trailers of an answer", nghttp("-v", url+"/trailers?p"), "", "x-sum: 5", "", "GET /trailers?p HTTP/2.0 length=0"},
		{"Node fetch, a piece at a time", node("fetch"), "", "first,second", "", "POST /slowly?upload HTTP/2.0 length=-1"},
		{"Node EventSource", node("EventSource"), "", "1,2", "", "GET /events?node HTTP/2.0 length=0"},
		{"Node WebSocket", node("WebSocket"), "", "one,xxxxx,xxxxx,1000", "", "GET /socket HTTP/1.1 length=0"},
		{"Python http.client, chunked", py("http.client"), "", "300000 bytes", "", "POST /upload HTTP/2.0 length=-1 body=300000"},
		{"Python requests", py("requests"), "", "300000 bytes|data: 1|['data: 2']", "", "GET /events?requests HTTP/2.0 length=0"},
		{"Python httpx, HTTP/2", py("httpx"), "", "HTTP/2 300000 bytes|data: 1|['data: 2']", "", "GET /events?httpx HTTP/2.0 length=0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ended := time.AfterFunc(40*time.Second, func() { tc.cmd.Process.Kill() })
			defer ended.Stop()
			if tc.stdin != "" {
				tc.cmd.Stdin = strings.NewReader(tc.stdin)
			}
			var out bytes.Buffer
			tc.cmd.Stdout, tc.cmd.Stderr = &out, &out
			err := tc.cmd.Run()
			told := uncoloured(out.String())
			if err != nil {
				t.Errorf("%v", err)
			}
			for part := range strings.SplitSeq(tc.prints, "|") {
				if !strings.Contains(told, part) {
					t.Errorf("it does not print %q", part)
				}
			}
			for part := range strings.SplitSeq(tc.not, "|") {
				if part != "" && strings.Contains(told, part) {
					t.Errorf("it prints %q", part)
				}
			}
			if tc.record == "" {
				if seen := origin.find("/to/"); seen != "" {
					t.Errorf("the service saw %q", seen)
				}
			} else if _, target, _ := strings.Cut(tc.record, " "); true {
				target, _, _ = strings.Cut(target, " ")
				if seen := origin.find(target + " "); seen != tc.record {
					t.Errorf("the service saw %q, want %q", seen, tc.record)
				}
			}
			if t.Failed() {
				t.Logf("it printed\n%s", tail(told, 1500))
			}
		})
	}
}

// wireRules govern a message whose path tells all of it.
const wireRules = `version: 1
services:
  local:
    hosts: [localhost]
    account: [{bearer: true, secret: true}]
messages:
  - name: local.message
    match: {host: localhost, method: POST, path: "/to/{to}"}
    recipients: [{path: to}]
defaults: {wait: 0s}
limits: [{name: local.none, on: local.message, allow: 0, per: day}]
`
