package ratelimit

// Real Redis servers for tests: processes on free loopback ports, which a test
// may pause, kill, start again with or without their data, and promote. They
// end with the test. See testcluster_test.go for Sentinel and Cluster, and
// testwire_test.go for a connection that breaks.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A redisServer is a redis-server process of a test.
type redisServer struct {
	t      testing.TB
	dir    string
	port   int
	config []string // lines of redis.conf
	flags  []string // --sentinel
	env    []string

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

// startRedis starts a server with lines of configuration beside those that
// every test wants: loopback, no snapshots. `appendonly yes` makes it keep its
// data over restart.
func startRedis(t testing.TB, config ...string) *redisServer {
	t.Helper()
	s := &redisServer{t: t, config: append([]string{`save ""`, "maxmemory-policy noeviction", "repl-diskless-sync-delay 0"}, config...)}
	s.first()
	return s
}

// startReplica starts a server that follows another, and waits until it has
// caught up.
func startReplica(t testing.TB, of *redisServer, config ...string) *redisServer {
	t.Helper()
	s := startRedis(t, append([]string{fmt.Sprintf("replicaof 127.0.0.1 %d", of.port)}, config...)...)
	s.eventually("the replica follows its master", func() bool {
		// The master sends what is written only after the replica's first word.
		return s.info("replication", "master_link_status") == "up" &&
			strings.Contains(of.info("replication", "slave0"), fmt.Sprintf("port=%d,state=online", s.port))
	})
	return s
}

// first makes a directory, finds a port and starts the process; another port
// if that one was taken in the meantime.
func (s *redisServer) first() {
	s.t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		s.t.Fatal("this test needs redis-server: make test installs it, or use your package manager")
	}
	dir, err := os.MkdirTemp("", "quotagate-redis-") // short enough for a Unix socket's name
	if err != nil {
		s.t.Fatal(err)
	}
	s.dir = dir
	s.t.Cleanup(func() {
		s.kill()
		_ = os.RemoveAll(dir)
	})
	for range 10 {
		s.port = freePort(s.t)
		if s.launch() {
			return
		}
	}
	s.t.Fatalf("redis-server does not start: %s", s.log())
}

// freePort is a randomPort, or the test's end.
func freePort(t testing.TB) int {
	t.Helper()
	port, err := randomPort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// randomPort finds a port outside the range that the system hands out, free
// together with the one for the Cluster's bus, 10,000 above.
func randomPort() (int, error) {
	for range 200 {
		port := 12_000 + rand.IntN(10_000)
		a, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		b, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+10_000))
		_ = a.Close()
		if err != nil {
			continue
		}
		_ = b.Close()
		return port, nil
	}
	return 0, errors.New("no free port")
}

// launch starts the process and reports whether it answers.
func (s *redisServer) launch() bool {
	s.t.Helper()
	conf := filepath.Join(s.dir, "redis.conf")
	if _, err := os.Stat(conf); err != nil || len(s.flags) == 0 { // Sentinel keeps what it learned in its file
		lines := append([]string{
			"bind 127.0.0.1", fmt.Sprint("port ", s.port), "daemonize no", "protected-mode no",
			"dir " + s.dir, "logfile " + filepath.Join(s.dir, "log"),
		}, s.config...)
		if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	cmd := exec.Command("redis-server", append([]string{conf}, s.flags...)...)
	cmd.Env = append(os.Environ(), s.env...)
	dieWithUs(cmd)
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The system takes the death of the thread that started a process for
		// its parent's: the thread stays.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.cmd, s.ended = cmd, ended
	s.mu.Unlock()

	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; {
		select {
		case <-ended:
			return false
		case <-deadline:
			s.t.Fatalf("redis-server does not answer: %s", s.log())
		case <-tick.C:
			c, err := net.Dial("tcp", s.addr()) // a client would log that it is refused
			if err != nil {
				continue
			}
			_ = c.Close()
			if _, err := s.try("PING"); err == nil {
				return true
			}
		}
	}
}

func (s *redisServer) log() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(b)
}

func (s *redisServer) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }
func (s *redisServer) url() string  { return "redis://" + s.addr() + "/0" }

// client returns a client of the test's own, which asks once.
func (s *redisServer) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.addr(), MaxRetries: -1, DialerRetries: 1, Protocol: 2, PoolSize: 1,
		DialTimeout: 2 * time.Second, ReadTimeout: 5 * time.Second})
}

// try sends one command on a connection of its own.
func (s *redisServer) try(args ...any) (any, error) {
	c := s.client()
	defer func() { _ = c.Close() }()
	v, err := c.Do(context.Background(), args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return v, err
}

// do is a try that must succeed.
func (s *redisServer) do(args ...any) any {
	s.t.Helper()
	v, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("redis on %d: %v: %v", s.port, args, err)
	}
	return v
}

// insist is a do for goroutines beside the test's, on a busy machine.
func (s *redisServer) insist(args ...any) {
	var err error
	for range 20 {
		if _, err = s.try(args...); err == nil {
			return
		}
	}
	s.t.Errorf("redis on %d: %v: %v", s.port, args, err)
}

// info returns one field of a section of INFO; "" from a server that is
// changing its role, and cuts its clients off.
func (s *redisServer) info(section, field string) string {
	v, _ := s.try("INFO", section)
	text, _ := v.(string)
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return v
		}
	}
	return ""
}

func (s *redisServer) signal(sig os.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("redis on %d: %v: %v", s.port, sig, err)
	}
}

// pause freezes the process: connections stay open, nothing is answered.
func (s *redisServer) pause()  { s.t.Helper(); s.signal(stopSignal) }
func (s *redisServer) resume() { s.t.Helper(); s.signal(continueSignal) }

// kill is kill -9, paused or not; nothing if it has ended.
func (s *redisServer) kill() {
	s.mu.Lock()
	cmd, ended := s.cmd, s.ended
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill()
	<-ended
}

// restart starts a killed server again, on the same port, with what its disk
// holds.
func (s *redisServer) restart() {
	s.t.Helper()
	s.kill()
	if !s.launch() {
		s.t.Fatalf("redis-server does not start again: %s", s.log())
	}
}

// wipe removes all the data of a killed server.
func (s *redisServer) wipe() {
	s.t.Helper()
	s.kill()
	left, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range left {
		if e.Name() != "redis.conf" && e.Name() != "log" {
			if err := os.RemoveAll(filepath.Join(s.dir, e.Name())); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// promote makes a replica a master.
func (s *redisServer) promote() {
	s.t.Helper()
	s.do("REPLICAOF", "NO", "ONE")
	s.eventually("the replica is a master", func() bool { return s.info("replication", "role") == "master" })
}

// follow makes a server the replica of another.
func (s *redisServer) follow(m *redisServer) {
	s.t.Helper()
	s.do("REPLICAOF", "127.0.0.1", strconv.Itoa(m.port))
}

// eventually asks every few milliseconds, for at most 30 seconds.
func (s *redisServer) eventually(what string, ok func() bool) {
	s.t.Helper()
	eventually(s.t, what, ok)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited 30 s in vain: %s", what)
		}
	}
}
