package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"quotagate/internal/freeport"
)

// redis is a redis-server of a test, as docker-compose.yml configures it.
type redis struct {
	addr string
	args []string
	cmd  *exec.Cmd
}

func startRedis(t *testing.T) *redis {
	t.Helper()
	need(t, "redis-server")
	addr := freeport.Address(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	r := &redis{addr: addr, args: []string{"--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(),
		"--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--save", ""}}
	r.run(t)
	t.Cleanup(func() { r.kill(t) })
	return r
}

func (r *redis) run(t *testing.T) {
	t.Helper()
	r.cmd = exec.Command("redis-server", r.args...)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "redis-server answers", func() bool {
		c, err := net.DialTimeout("tcp", r.addr, time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, _ = c.Write([]byte("PING\r\n"))
		answer := make([]byte, 5)
		n, _ := c.Read(answer)
		return strings.HasPrefix(string(answer[:n]), "+PONG")
	})
}

func (r *redis) kill(t *testing.T) {
	t.Helper()
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

func (r *redis) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// TestThreeProxiesShareOneQuota: three proxies on one Redis under load. The
// Redis stands still for a while, a proxy is killed and comes back, the Redis is
// killed and comes back with its data. What the service received is the limit,
// to the message, and nothing has to be started again by hand.
func TestThreeProxiesShareOneQuota(t *testing.T) {
	t.Parallel()
	const replicas, allow = 3, 400
	s := newService(t)
	r := startRedis(t)
	key := filepath.Join(t.TempDir(), "hash.key")
	writeFile(t, key, strings.Repeat("k", 40))
	rules := rulesWith(listed("anna"),
		limits(fmt.Sprintf(`{name: life, on: linkedin.message, allow: %d, per: lifetime}`, allow),
			`{name: hour, on: linkedin.message, allow: 5000, per: 1h}`,
			`{name: day, on: linkedin.message, allow: 5000, per: day}`,
			`{name: pair, on: linkedin.message, allow: 5000, per: day, by: recipient}`))
	var gates []*gate
	for range replicas {
		gates = append(gates, start(t, s, setup{rules: rules, store: "redis://" + r.addr, env: []string{"QUOTAGATE_HASH_KEY_FILE=" + key}}))
	}

	halt := make(chan struct{})
	var clients sync.WaitGroup
	var id, forwarded atomic.Int64
	for i := range 4 * replicas {
		client := gates[i%replicas].byHand().client(t, i%2 == 0)
		clients.Go(func() {
			for {
				select {
				case <-halt:
					return
				default:
				}
				sent := viaVoyager.nth("anna", int(id.Add(1)))
				req, err := http.NewRequest(sent.Method, sent.URL, strings.NewReader(sent.Body))
				if err != nil {
					t.Error(err)
					return
				}
				for name, value := range sent.Headers {
					req.Header.Set(name, value)
				}
				if a := do(client, req); a.Headers["quotagate-decision"] == "forward" {
					forwarded.Add(1)
				}
			}
		})
	}
	arrived := func(n int) {
		t.Helper()
		eventually(t, 60*time.Second, fmt.Sprintf("%d messages arrived", n), func() bool { return s.count(linkedinWeb) >= n })
	}
	arrived(allow / 8)
	r.signal(t, syscall.SIGSTOP)
	moment := time.NewTimer(600 * time.Millisecond)
	<-moment.C
	r.signal(t, syscall.SIGCONT)
	before := s.count(linkedinWeb)
	arrived(before + allow/8)
	gates[0].kill(t)
	arrived(s.count(linkedinWeb) + allow/8)
	gates[0].run(t)
	r.kill(t)
	r.run(t)
	// A killed proxy or a time-out may leave messages counted that never
	// arrived; all others do.
	eventually(t, 60*time.Second, "the quota is used up", func() bool {
		status, body := gates[1].get("/api/v1/accounts/anna")
		if status != http.StatusOK { // it is not back yet
			return false
		}
		used, ok := usedIn(t, body, "life")
		return ok && used == allow
	})
	rest := time.NewTimer(500 * time.Millisecond)
	<-rest.C
	close(halt)
	clients.Wait()
	got := s.count(linkedinWeb)
	t.Logf("%d arrived of %d; %d answers said forward; %d were asked for", got, allow, forwarded.Load(), id.Load())
	if got > allow {
		t.Errorf("%d messages arrived, the limit is %d", got, allow)
	}
	// Twelve clients were at most twelve times in doubt at each of three breaks.
	if lost := allow - got; lost > 36 {
		t.Errorf("%d places of %d were lost to failures", lost, allow)
	}
	if s.count(linkedinWeb) < int(forwarded.Load()) {
		t.Errorf("%d answers said forward, %d arrived", forwarded.Load(), got)
	}
}
