// Command idle says what connections cost that do nothing: how much memory each
// takes, and whether normal traffic is slower beside them. It needs Linux, for
// the memory of the process in /proc.
//
//	go run ./idle -quotagate ../bin/quotagate        10,000, HTTP/1.1
//	go run ./idle -quotagate ../bin/quotagate -h2    HTTP/2
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// host is one that httptest's own certificate names.
const host = "example.com"

const rules = `version: 1
services: {bench: {hosts: [example.com], account: [{bearer: true, secret: true}]}}
messages:
  - {name: bench.message, match: {host: example.com, method: POST, path: /send}, text: {json: $.text}}
limits: [{name: bench.day, on: bench.message, allow: 1000000000, per: day}]
`

// The goals: a connection's memory, and how much slower the slowest hundredth
// of normal requests may be.
const (
	goalKiB    = 40
	goalFactor = 2
)

func main() {
	program := flag.String("quotagate", "", "the `program` to measure")
	n := flag.Int("n", 10_000, "idle connections")
	h2 := flag.Bool("h2", false, "HTTP/2 inside")
	each := flag.Duration("each", 10*time.Second, "how long normal traffic is measured, without and with them")
	flag.Parse()
	if err := run(*program, *n, *h2, *each); err != nil {
		fmt.Fprintf(os.Stderr, "idle: error: %v\n", err)
		os.Exit(1)
	}
}

func run(program string, n int, h2 bool, each time.Duration) error {
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"ok":true}`)
	}))
	upstream.EnableHTTP2 = h2
	upstream.StartTLS()
	defer upstream.Close()
	q, err := start(program, upstream)
	if err != nil {
		return err
	}
	defer q.stop()

	if _, err := q.traffic(h2, each/4); err != nil { // everything is warm
		return err
	}
	alone, err := q.traffic(h2, each)
	if err != nil {
		return err
	}
	before, err := q.memory()
	if err != nil {
		return err
	}
	conns, err := q.open(n, h2)
	for _, c := range conns {
		defer c.Close()
	}
	if err != nil {
		return fmt.Errorf("open connection %d: %w", len(conns)+1, err)
	}
	beside, err := q.traffic(h2, each)
	if err != nil {
		return err
	}
	after, err := q.memory()
	if err != nil {
		return err
	}
	kib := float64(after-before) / float64(n)
	fmt.Printf("%d idle intercepted connections, HTTP/2 %v\n", n, h2)
	fmt.Printf("  memory   %.1f KiB each (RSS %d -> %d MiB), goal <= %d\n", kib, before>>10, after>>10, goalKiB)
	fmt.Printf("  alone    %d requests, median %v, p99 %v\n", len(alone), at(alone, .5), at(alone, .99))
	fmt.Printf("  beside   %d requests, median %v, p99 %v: %.2f times, goal <= %d\n", len(beside), at(beside, .5), at(beside, .99),
		float64(at(beside, .99))/float64(at(alone, .99)), goalFactor)
	return nil
}

func at(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)].Round(10 * time.Microsecond)
}

// A quotagate is a running one, and what its clients need.
type quotagate struct {
	cmd   *exec.Cmd
	dir   string
	addr  string
	roots *x509.CertPool
}

func start(program string, upstream *httptest.Server) (*quotagate, error) {
	dir, err := os.MkdirTemp("", "quotagate-idle-")
	if err != nil {
		return nil, err
	}
	q := &quotagate{dir: dir}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})
	for name, text := range map[string]string{"rules.yaml": rules, "upstream.pem": string(ca)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	admin := ""
	for _, a := range []*string{&q.addr, &admin} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		*a = l.Addr().String()
		l.Close()
	}
	data := filepath.Join(dir, "data")
	q.cmd = exec.Command(program, "run", "--rules", filepath.Join(dir, "rules.yaml"), "--listen", q.addr, "--admin", admin, "--data", data, "--store", "memory")
	q.cmd.Stderr = os.Stderr
	q.cmd.Env = append(os.Environ(),
		"QUOTAGATE_CONNECT_TO="+host+":443="+upstream.Listener.Addr().String(), "QUOTAGATE_UPSTREAM_CA="+filepath.Join(dir, "upstream.pem"),
		"QUOTAGATE_ALLOW_ADDRESSES=127.0.0.0/8", "QUOTAGATE_IDLE_TIMEOUT=1h", "QUOTAGATE_LOG_LEVEL=warn")
	if err := q.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get("http://" + admin + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			q.stop()
			return nil, errors.New("quotagate is not ready after 20 s")
		}
	}
	cert, err := os.ReadFile(filepath.Join(data, "ca.pem"))
	if err != nil {
		q.stop()
		return nil, err
	}
	q.roots = x509.NewCertPool()
	q.roots.AppendCertsFromPEM(cert)
	return q, nil
}

func (q *quotagate) stop() {
	_ = q.cmd.Process.Signal(syscall.SIGTERM)
	_ = q.cmd.Wait()
	os.RemoveAll(q.dir)
}

// memory is the process's resident set, in KiB.
func (q *quotagate) memory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", q.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kib int64
	_, err = fmt.Sscan(rest, &kib)
	return kib, err
}

func (q *quotagate) client(h2 bool) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: q.addr}), TLSClientConfig: &tls.Config{RootCAs: q.roots}, ForceAttemptHTTP2: h2,
	}}
}

// traffic is four clients that send one message after the other; it returns
// what each took, sorted.
func (q *quotagate) traffic(h2 bool, each time.Duration) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), each)
	defer cancel()
	var (
		mu    sync.Mutex
		all   []time.Duration
		wrong error
		wg    sync.WaitGroup
	)
	for i := range 4 {
		wg.Go(func() {
			c := q.client(h2)
			defer c.CloseIdleConnections()
			var own []time.Duration
			for ctx.Err() == nil {
				begin := time.Now()
				if err := send(c, fmt.Sprint("user", i)); err != nil {
					mu.Lock()
					wrong = err
					mu.Unlock()
					return
				}
				own = append(own, time.Since(begin))
			}
			mu.Lock()
			all = append(all, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.Sort(all)
	if wrong == nil && len(all) == 0 {
		wrong = errors.New("no request in all the time")
	}
	return all, wrong
}

func send(c *http.Client, user string) error {
	req, err := http.NewRequest(http.MethodPost, "https://"+host+"/send", strings.NewReader(`{"text":"hello"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+user)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// open makes connections that have sent one request each and wait.
func (q *quotagate) open(n int, h2 bool) ([]net.Conn, error) {
	var conns []net.Conn
	config := &tls.Config{ServerName: host, RootCAs: q.roots, NextProtos: []string{"http/1.1"}}
	if h2 {
		config.NextProtos = []string{"h2"}
	}
	for range n {
		c, err := net.Dial("tcp", q.addr)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
		fmt.Fprintf(c, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", host, host)
		if _, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))); err != nil {
			return conns, err
		}
		s := tls.Client(c, config)
		first := "GET /me HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
		if h2 { // an empty SETTINGS, RFC 9113, 3.4
			first = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		}
		if _, err := io.WriteString(s, first); err != nil {
			return conns, err
		}
		if _, err := s.Read(make([]byte, 4<<10)); err != nil {
			return conns, err
		}
	}
	return conns, nil
}
