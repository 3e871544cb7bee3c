package ratelimit

// The Redis store under the tests of every store: on a real server and on
// miniredis, with a clock that only the test moves.

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// sharedRedis is one server for all tests that do not break it; each store has a
// prefix of its own. It ends with the process.
var sharedRedis = sync.OnceValues(func() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil {
		return "", err
	}
	// The shell ends it when nobody holds its input any more.
	cmd := exec.Command("sh", "-c", `redis-server "$@" >/dev/null & cat; kill $!`, "sh",
		"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	if sharedInput, err = cmd.StdinPipe(); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start redis-server: %w", err)
	}
	addr := fmt.Sprint("127.0.0.1:", port)
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if err = client.Ping(context.Background()).Err(); err == nil {
			return "redis://" + addr + "/0?read_timeout=10s", nil
		}
		<-tick.C
	}
	return "", fmt.Errorf("this test needs redis-server: make test installs it, or use your package manager: %w", err)
})

// sharedInput is the shell's, until this process ends.
var sharedInput io.WriteCloser

var prefixes atomic.Int64

// openRedisAt opens a store of its own on a server, under a test's clock.
func openRedisAt(t testing.TB, url string, o Options) *Redis {
	t.Helper()
	s, err := OpenRedis(context.Background(), url, RedisOptions{
		Options: o, Prefix: fmt.Sprint("t", prefixes.Add(1)), argumentClock: o.Now != nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openShared(t testing.TB, o Options) *Redis {
	t.Helper()
	url, err := sharedRedis()
	if err != nil {
		t.Fatal(err)
	}
	return openRedisAt(t, url, o)
}

func openMini(t testing.TB, o Options) *Redis {
	t.Helper()
	return openRedisAt(t, "redis://"+miniredis.RunT(t).Addr()+"/0?read_timeout=10s", o)
}

// dump is all that a store keeps, as text.
func (s *Redis) dump(t testing.TB) string {
	t.Helper()
	ctx := context.Background()
	keys, err := s.client.Keys(ctx, globbed(s.prefix)+":*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, k := range keys {
		if fields, err := s.client.HGetAll(ctx, k).Result(); err == nil {
			fmt.Fprintln(&b, k, fields)
		} else {
			fmt.Fprintln(&b, k, s.client.Get(ctx, k).Val())
		}
	}
	return b.String()
}
