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
	"strings"
	"testing"
	"time"
)

// Two hundred clients that send a byte now and then, or read none, on the front
// and inside interceptions: each is let go of when its time is over, and nobody
// else notices. slowhttptest (https://github.com/shekyan/slowhttptest) plays
// them, and says at its end whether connections were left.
func TestSlowClientsAreLetGoAndNobodyElseNotices(t *testing.T) {
	need(t, "slowhttptest")
	s := newService(t)
	film := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 1<<20)
		for range 8 { // more than any socket's buffer
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}))
	film.Config.ErrorLog = log.New(io.Discard, "", 0)
	film.TLS = &tls.Config{Certificates: []tls.Certificate{s.authority.leaf(t, "localhost")}}
	film.StartTLS()
	t.Cleanup(film.Close)
	bridged := newBridge(t, "localhost")
	g := start(t, s, setup{
		rules:     localRules,
		connectTo: bridged.target + "=" + film.Listener.Addr().String() + "," + linkedinWeb + ":443=" + s.secure,
		env: []string{"QUOTAGATE_ALLOW_PORTS=80,443," + bridged.port,
			"QUOTAGATE_HEADER_TIMEOUT=3s", "QUOTAGATE_BODY_TIMEOUT=3s", "QUOTAGATE_IDLE_TIMEOUT=3s"},
	})
	bridged.proxy = g.listen

	front, inside := "http://"+g.listen+"/", "https://"+bridged.target+"/"
	for name, args := range map[string][]string{
		"slow headers, front":  {"-H", "-u", front},
		"slow headers, inside": {"-H", "-u", inside},
		"slow body, inside":    {"-B", "-u", inside + "send"},
		"slow read, inside":    {"-X", "-c", "60", "-u", inside, "-n", "5", "-w", "1", "-y", "2", "-z", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, "slowhttptest", append([]string{"-c", "200"}, append(args, "-r", "100", "-i", "5", "-l", "18", "-p", "5")...)...)
			var out output
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()

			client := g.byHand().client(t, false)
			client.Timeout = 10 * time.Second
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			asked := 0
			for running := true; running; {
				select {
				case <-ended:
					running = false
				case <-tick.C:
					asked++
					resp, err := client.Head(inside)
					if err != nil {
						t.Fatalf("another client, request %d: %v", asked, err)
					}
					resp.Body.Close()
					if resp.StatusCode != http.StatusOK {
						t.Errorf("another client, request %d: %s", asked, resp.Status)
					}
				}
			}
			told := plain(out.String())
			gone := strings.Contains(told, "No open connections left")
			if args[0] == "-X" { // it reads what lies in its buffers, whoever has gone
				gone = strings.Contains(g.out.String(), "bound=answer_time")
			}
			if asked < 3 || !gone {
				t.Errorf("after %d requests of another client, slowhttptest says:\n%s", asked, tail(told, 1500))
			}
		})
	}
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// plain is a terminal's text without its colours and movements.
func plain(s string) string { return colours.ReplaceAllString(s, "") }

func tail(s string, n int) string {
	if len(s) > n {
		return fmt.Sprintf("… %s", s[len(s)-n:])
	}
	return s
}
