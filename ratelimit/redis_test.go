package ratelimit

// The Redis store under the tests of every store: on a real server and on
// miniredis, with a clock that only the test moves.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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

// patience is for tests of what is counted, and not of when one gives up: the
// store's own 300 ms may pass on a busy machine.
const patience = "?read_timeout=30s&write_timeout=30s&dial_timeout=30s&pool_timeout=1m"

// sharedRedis is one server for all tests that do not break it; each store has a
// prefix of its own. It ends with the process.
var sharedRedis = sync.OnceValues(func() (string, error) {
	var err error
	for range 10 { // another port, if that one was taken in the meantime
		var port int
		if port, err = randomPort(); err != nil {
			break
		}
		if err = launchShared(port); err == nil {
			return fmt.Sprintf("redis://127.0.0.1:%d/0", port) + patience, nil
		}
	}
	return "", fmt.Errorf("this test needs redis-server: make test installs it, or use your package manager: %w", err)
})

// launchShared starts the shared server and waits until it answers.
func launchShared(port int) error {
	// The shell ends it when nobody holds its input any more, and ends with it.
	name := fmt.Sprintf("shared-%d-%d", os.Getpid(), port)
	cmd := exec.Command("sh", "-c", `exec 3<&0; redis-server "$@" >/dev/null & server=$!; (cat <&3; kill $server) 2>/dev/null & wait $server`, "sh",
		"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--syslog-ident", name)
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	client := redis.NewClient(&redis.Options{Addr: fmt.Sprint("127.0.0.1:", port), MaxRetries: -1})
	defer func() { _ = client.Close() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); ; {
		select {
		case err := <-ended:
			return fmt.Errorf("redis-server ended: %w", err)
		case <-late:
			_ = input.Close()
			return errors.New("redis-server does not answer")
		case <-tick.C:
			// Not the server of a test of another package.
			if got, err := client.ConfigGet(context.Background(), "syslog-ident").Result(); err == nil && got["syslog-ident"] == name {
				sharedInput = input
				return nil
			}
		}
	}
}

// sharedInput is the shell's, until this process ends.
var sharedInput io.WriteCloser

var prefixes atomic.Int64

// openRedisAt opens a store of its own on a server, under a test's clock.
func openRedisAt(t testing.TB, url string, o Options) *Redis {
	t.Helper()
	if !strings.Contains(url, "?") {
		url += patience
	}
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
	return openRedisAt(t, "redis://"+miniredis.RunT(t).Addr(), o)
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
