package main

// This file starts a redis-server on loopback and asks it how it spends its
// time.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// A server is a redis-server of ours.
type server struct {
	cmd    *exec.Cmd
	ended  chan error
	addr   string
	client *redis.Client
}

// startServer starts a server as docker-compose.yml does: nothing is evicted,
// and with aof every write is logged and synced once a second.
func startServer(ctx context.Context, dir string, aof bool) (*server, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("this needs redis-server: make test-tools installs it, or use your package manager")
	}
	if dir, err = os.MkdirTemp(dir, "redis-"); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{addr: l.Addr().String(), ended: make(chan error, 1)}
	_, port, _ := net.SplitHostPort(s.addr)
	appendonly := "no"
	if aof {
		appendonly = "yes"
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "",
		"--appendonly", appendonly, "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--loglevel", "warning")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.Close(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	s.client = redis.NewClient(&redis.Options{Addr: s.addr})
	for deadline := time.After(10 * time.Second); ; {
		if s.client.Ping(ctx).Err() == nil {
			return s, nil
		}
		select {
		case err := <-s.ended:
			return nil, fmt.Errorf("redis-server ended: %w", err)
		case <-deadline:
			s.stop()
			return nil, errors.New("redis-server does not answer")
		case <-ctx.Done():
			s.stop()
			return nil, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *server) stop() {
	s.client.Close()
	s.cmd.Process.Kill()
	<-s.ended
}

// spent is the time that the server has spent in commands of clients since it
// was last asked. What a script calls is part of the script.
func (s *server) spent(ctx context.Context) (time.Duration, error) {
	text, err := s.client.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	var inside, all int64
	scripts := false
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "cmdstat_")), ":")
		if !ok || name == "info" || strings.HasPrefix(name, "config") || strings.HasPrefix(name, "#") {
			continue
		}
		_, usec, _ := strings.Cut(rest, ",usec=")
		usec, _, _ = strings.Cut(usec, ",")
		n, err := strconv.ParseInt(usec, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read commandstats: %q", line)
		}
		if all += n; strings.HasPrefix(name, "eval") {
			inside += n
			scripts = true
		}
	}
	if scripts {
		all = inside
	}
	if err := s.client.ConfigResetStat(ctx).Err(); err != nil {
		return 0, err
	}
	return time.Duration(all) * time.Microsecond, nil
}

func (s *server) version(ctx context.Context) string {
	text, err := s.client.Info(ctx, "server").Result()
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); ok {
			return v
		}
	}
	return "unknown"
}
