package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A hundred clients that send a byte now and then, or read as little, on the
// front and inside interceptions: each is let go of when its time is over, and
// others are served meanwhile. slowhttptest
// (https://github.com/shekyan/slowhttptest) plays them; the proxy's own metrics
// say of whom it let go, and its count of connections that they are gone.
func TestSlowClientsAreLetGoAndOthersAreServedMeanwhile(t *testing.T) {
	need(t, "slowhttptest")
	const slow = 100
	s := newService(t)
	plain, secure := film(t, s, false), film(t, s, true)
	bridged := newBridge(t, "localhost")
	front, inside := "http://localhost/", "https://"+bridged.target+"/"
	for _, tc := range []struct {
		name  string
		bound string // by which each is let go
		args  []string
	}{
		{"headers at the front", "header_time", []string{"-H", "-d", "PROXY", "-u", front}},
		{"headers inside", "header_time", []string{"-H", "-u", inside}},
		{"body at the front", "body_time", []string{"-B", "-d", "PROXY", "-u", front + "send"}},
		{"body inside", "body_time", []string{"-B", "-u", inside + "send"}},
		{"read at the front", "answer_time", []string{"-X", "-n", "5", "-w", "1", "-y", "2", "-z", "1", "-d", "PROXY", "-u", front}},
		{"read inside", "answer_time", []string{"-X", "-n", "5", "-w", "1", "-y", "2", "-z", "1", "-u", inside}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := start(t, s, setup{
				rules:     localRules,
				connectTo: bridged.target + "=" + secure + ",localhost:80=" + plain,
				env: []string{"QUOTAGATE_ALLOW_PORTS=80,443," + bridged.port,
					"QUOTAGATE_HEADER_TIMEOUT=2s", "QUOTAGATE_BODY_TIMEOUT=2s", "QUOTAGATE_IDLE_TIMEOUT=1m"},
			})
			bridged.proxy.Store(g.listen)
			for i, a := range tc.args {
				if a == "PROXY" {
					tc.args[i] = g.listen
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			// A slow one goes on for as long as this test lets it.
			cmd := exec.CommandContext(ctx, "slowhttptest", append([]string{"-c", fmt.Sprint(slow), "-r", "50", "-i", "30", "-l", "60", "-p", "30"}, tc.args...)...)
			var out output
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cancel()

			client := g.byHand().client(t, false)
			client.Timeout = 20 * time.Second // never met by who is served at all
			asked, most := 0, 0
			refused := func(bound string) int { return g.metric(t, `quotagate_refused_total{bound="`+bound+`"}`) }
			eventually(t, 45*time.Second, "every slow client is let go of", func() bool {
				for _, url := range []string{front, inside} {
					asked++
					resp, err := client.Get(url + "short")
					if err != nil {
						t.Fatalf("another client, request %d: %v\n%s", asked, err, tail(uncoloured(out.String()), 1500))
					}
					a := read(resp)
					resp.Body.Close()
					if a.Status != http.StatusOK || a.Body != "here" || a.Error != "" {
						t.Fatalf("another client, request %d: %+v", asked, a)
					}
				}
				most = max(most, g.metric(t, "quotagate_connections"))
				// On a machine that is busy some are even slower than they mean to be.
				return refused("handshake_time")+refused("header_time")+refused("body_time")+refused("answer_time") >= slow
			})
			if n := refused(tc.bound); n < slow*3/4 || most < slow/4 || asked < 10 {
				t.Errorf("%d for their %s, %d connections at once, %d requests beside them: that shows nothing", n, tc.bound, most, asked)
			}
			cancel()
			eventually(t, 20*time.Second, "no connection is left but the other client's own", func() bool {
				return g.metric(t, "quotagate_connections") <= 2
			})
		})
	}
}

// film is a service with more to say than any socket keeps, and something
// short.
func film(t *testing.T, s *service, secure bool) (address string) {
	f := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/short" {
			io.WriteString(w, "here")
			return
		}
		b := make([]byte, 1<<20)
		for range 16 {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}))
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		f.EnableHTTP2 = true // so that all clients share a connection
		f.TLS = &tls.Config{Certificates: []tls.Certificate{s.authority.leaf(t, "localhost")}}
		f.StartTLS()
	} else {
		f.Start()
	}
	t.Cleanup(f.Close)
	return f.Listener.Addr().String()
}

// metric is a number of the proxy's /metrics, 0 if it is not there.
func (g *gate) metric(t *testing.T, name string) int {
	t.Helper()
	_, page := g.get("/metrics")
	for line := range strings.Lines(page) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	return 0
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// uncoloured is a terminal's text without its colours and movements.
func uncoloured(s string) string { return colours.ReplaceAllString(s, "") }

func tail(s string, n int) string {
	if len(s) > n {
		return fmt.Sprintf("… %s", s[len(s)-n:])
	}
	return s
}
