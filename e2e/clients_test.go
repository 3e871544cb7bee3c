package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A caller is a client as people use it: it sends the requests one after the
// other and says what it got for each.
type caller struct {
	name string
	call func(t *testing.T, w wiring, requests []request) []attempt
}

var (
	curlHTTP1  = caller{"curl, HTTP/1.1", func(t *testing.T, w wiring, r []request) []attempt { return curl(t, w, r, "--http1.1") }}
	curlHTTP2  = caller{"curl, HTTP/2", func(t *testing.T, w wiring, r []request) []attempt { return curl(t, w, r, "--http2") }}
	pyRequests = caller{"Python requests", func(t *testing.T, w wiring, r []request) []attempt {
		return w.attempts(t, r, python(t, "requests"), "clients/requests_client.py")
	}}
	pyHTTPX = caller{"Python httpx", func(t *testing.T, w wiring, r []request) []attempt {
		return w.attempts(t, r, python(t, "httpx"), "clients/httpx_client.py")
	}}
	axiosNew    = caller{"axios", func(t *testing.T, w wiring, r []request) []attempt { return node(t, w, r, "axios.mjs", "axios") }}
	axiosOld    = caller{"axios 1.7, absolute form", func(t *testing.T, w wiring, r []request) []attempt { return node(t, w, r, "axios.mjs", "axios-1.7") }}
	goClient    = caller{"Go net/http", func(t *testing.T, w wiring, r []request) []attempt { return goSends(t, w, r) }}
	rawAbsolute = caller{"raw absolute form", rawAbsoluteForm}
)

var everyCaller = []caller{curlHTTP1, curlHTTP2, pyRequests, pyHTTPX, axiosNew, axiosOld, goClient, rawAbsolute}

// node runs one of the Node scripts.
func node(t *testing.T, w wiring, input any, script string, args ...string) []attempt {
	t.Helper()
	need(t, "node")
	if _, err := os.Stat("clients/node_modules"); err != nil {
		missing(t, "the Node packages are not installed; scripts/install-test-tools.sh installs them")
	}
	return w.attempts(t, input, "node", append([]string{filepath.Join("clients", script)}, args...)...)
}

// curl sends all the requests in one run, over kept-alive connections.
func curl(t *testing.T, w wiring, requests []request, version string) []attempt {
	t.Helper()
	need(t, "curl")
	dir := t.TempDir()
	var args []string
	for n, r := range requests {
		if n > 0 {
			args = append(args, "--next")
		}
		args = append(args, "-sS", "-q", version, "-X", r.Method, "-o", filepath.Join(dir, fmt.Sprint(n)), "-w", "%{json}%{header_json}")
		for _, k := range slices.Sorted(maps.Keys(r.Headers)) {
			args = append(args, "-H", k+": "+r.Headers[k])
		}
		switch {
		case r.Body != "":
			args = append(args, "--data-binary", r.Body)
		case r.JSON != nil:
			body, err := json.Marshal(r.JSON)
			if err != nil {
				t.Fatal(err)
			}
			args = append(args, "-H", "Content-Type: application/json", "--data-binary", string(body))
		}
		for _, k := range slices.Sorted(maps.Keys(r.Form)) {
			args = append(args, "--data-urlencode", k+"="+r.Form[k])
		}
		for _, k := range slices.Sorted(maps.Keys(r.Multipart)) {
			args = append(args, "-F", k+"="+r.Multipart[k])
		}
		args = append(args, r.URL)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := w.command(ctx, "curl", args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil && len(out) == 0 {
		t.Fatalf("curl: %v\n%s", err, stderr.String())
	}
	var all []attempt
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var did struct {
			Status  int    `json:"http_code"`
			Version string `json:"http_version"`
			Error   string `json:"errormsg"`
		}
		if err := d.Decode(&did); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("read curl's report: %v\n%s\n%s", err, out, stderr.String())
		}
		var headers map[string][]string
		if err := d.Decode(&headers); err != nil {
			t.Fatalf("read curl's headers: %v\n%s", err, out)
		}
		a := attempt{N: len(all) + 1, Status: did.Status, Proto: "HTTP/" + did.Version, Error: did.Error, Headers: make(map[string]string)}
		for k, v := range headers {
			a.Headers[strings.ToLower(k)] = v[len(v)-1]
		}
		if body, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(len(all)))); err == nil {
			a.Body = string(body)
		}
		all = append(all, a)
	}
}

// encode is a request as Go's net/http would send it.
func encode(t *testing.T, r request) *http.Request {
	t.Helper()
	var body bytes.Buffer
	kind := ""
	switch {
	case r.Body != "":
		body.WriteString(r.Body)
	case r.JSON != nil:
		kind = "application/json"
		if err := json.NewEncoder(&body).Encode(r.JSON); err != nil {
			t.Fatal(err)
		}
	case r.Form != nil:
		kind = "application/x-www-form-urlencoded"
		form := url.Values{}
		for k, v := range r.Form {
			form.Set(k, v)
		}
		body.WriteString(form.Encode())
	case r.Multipart != nil:
		form := multipart.NewWriter(&body)
		for k, v := range r.Multipart {
			if err := form.WriteField(k, v); err != nil {
				t.Fatal(err)
			}
		}
		form.Close()
		kind = form.FormDataContentType()
	}
	q, err := http.NewRequestWithContext(t.Context(), r.Method, r.URL, &body)
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		q.Header.Set("Content-Type", kind)
	}
	for k, v := range r.Headers {
		q.Header.Set(k, v)
	}
	return q
}

func goSends(t *testing.T, w wiring, requests []request) []attempt {
	t.Helper()
	client := w.client(t, false)
	var all []attempt
	for _, r := range requests {
		a := do(client, encode(t, r))
		a.N = len(all) + 1
		all = append(all, a)
	}
	return all
}

// do sends one request and reads the whole answer.
func do(client *http.Client, r *http.Request) attempt {
	answer, err := client.Do(r)
	if err != nil {
		return attempt{Error: err.Error()}
	}
	defer answer.Body.Close()
	return read(answer)
}

func read(answer *http.Response) attempt {
	a := attempt{Status: answer.StatusCode, Proto: answer.Proto, Headers: make(map[string]string)}
	for k, v := range answer.Header {
		a.Headers[strings.ToLower(k)] = v[0]
	}
	body, err := io.ReadAll(answer.Body)
	a.Body = string(body)
	if err != nil {
		a.Error = "read answer: " + err.Error()
	}
	return a
}

// rawAbsoluteForm writes each request with its whole URL in the request line,
// https included, on one connection to the proxy, with no CONNECT.
func rawAbsoluteForm(t *testing.T, w wiring, requests []request) []attempt {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.proxy, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	answers := bufio.NewReader(conn)
	var all []attempt
	for _, r := range requests {
		q := encode(t, r)
		if err := q.WriteProxy(conn); err != nil {
			t.Fatalf("write request: %v", err)
		}
		answer, err := http.ReadResponse(answers, q)
		if err != nil {
			t.Fatalf("read answer: %v", err)
		}
		a := read(answer)
		answer.Body.Close()
		a.N = len(all) + 1
		all = append(all, a)
	}
	return all
}
