package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// streaming opens an answer that goes on until its events are closed.
func (g *gate) streaming(t *testing.T, name string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+linkedinWeb+"/realtime/connect", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(streamHeader, name)
	answer, err := g.byHand().client(t, false).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func (g *gate) signal(t *testing.T) {
	t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

func (g *gate) wantNotReady(t *testing.T) {
	t.Helper()
	eventually(t, 10*time.Second, "/readyz says 503", func() bool {
		status, _ := g.get("/readyz")
		return status == http.StatusServiceUnavailable
	})
}

func TestTheFirstSignalLetsWhatRunsFinish(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{
		rules: rulesWith(listed("anna"), limits(`{name: space-out, on: linkedin.message, pace: 60s, wait: 5m}`)),
		env:   []string{"QUOTAGATE_GRACE=60s"},
	})
	running := g.streaming(t, "drain")
	tunnel := connect(t, g.listen, untouched+":443")
	client := g.byHand().client(t, false)
	if a := do(client, encode(t, viaVoyager.nth("anna", 1))); a.Status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	held := make(chan attempt, 1)
	second := encode(t, viaVoyager.nth("anna", 2))
	go func() { held <- do(client, second) }()
	eventually(t, 10*time.Second, "the message is held", func() bool { return g.logged(t, "hold") == 1 })

	g.signal(t)
	g.wantNotReady(t)
	if a := <-held; a.Status != http.StatusServiceUnavailable || a.Headers["retry-after"] == "" || a.Headers["quotagate-error"] != "draining" {
		t.Errorf("what was held: %+v", a)
	}
	conn, err := net.Dial("tcp", g.listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", linkedinWeb, linkedinWeb)
	refused, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || refused.StatusCode != http.StatusServiceUnavailable || refused.Header.Get("Retry-After") == "" || !refused.Close {
		t.Errorf("a new CONNECT: %+v %v", refused, err)
	}
	tunnel.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	var late net.Error
	if _, err := tunnel.Read(make([]byte, 1)); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("the tunnel did not outlast what ran: %v", err)
	}
	s.events("drain") <- "still here"
	close(s.events("drain"))
	if body, err := io.ReadAll(running.Body); err != nil || !strings.Contains(string(body), "still here") {
		t.Errorf("what was running: %q %v", body, err)
	}
	select {
	case <-g.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end although nothing runs")
	}
	if g.err != nil {
		t.Errorf("it ended with %v\n%s", g.err, g.out)
	}
	g.wantSound(t)
}

func TestASecondSignalEndsItAtOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{
		rules: rulesWith(listed("anna"), limits(`{name: daily, on: linkedin.message, allow: 5, per: day}`)),
		env:   []string{"QUOTAGATE_GRACE=10m"},
	})
	running := g.streaming(t, "endless")
	if a := do(g.byHand().client(t, false), encode(t, viaVoyager.nth("anna", 1))); a.Status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	g.signal(t)
	g.wantNotReady(t)
	g.signal(t)
	select {
	case <-g.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	var exit *exec.ExitError
	if !errors.As(g.err, &exit) || exit.ExitCode() != 1 || !strings.Contains(g.out.String(), "second signal") {
		t.Errorf("it ended with %v\n%s", g.err, g.out)
	}
	if _, err := io.ReadAll(running.Body); err == nil {
		t.Error("half an answer was taken for a whole one")
	}
	g.wantSound(t)
	g.run(t) // on the same ledger
	if used, ok := g.used(t, "anna", "daily"); !ok || used != 1 {
		t.Errorf("%d counted, want 1", used)
	}
}
