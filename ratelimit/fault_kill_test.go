package ratelimit

// Proxies that are killed with kill -9 while messages go through them, alone
// and together with their Redis. The judge is what arrived at the upstream.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxyChildVariable makes the test binary a proxy of sorts: the store's
// address, the upstream's, and the journal.
const proxyChildVariable = "RATELIMIT_PROXY_CHILD"

func proxyChildClaims() []Claim {
	return []Claim{lifetime("life", 1500), rolling("roll", 1600, day), lifetime("to", 1500).by("r")}
}

// proxyChild sends messages of one account to the upstream until it is killed.
func proxyChild(setting string) error {
	part := strings.Split(setting, "|")
	ctx := context.Background()
	s, err := OpenRedis(ctx, part[0], RedisOptions{})
	if err != nil {
		return err
	}
	g, err := NewGuarded(s, nil, GuardedOptions{Journal: part[2], Beat: 50 * time.Millisecond, Grace: 500 * time.Millisecond})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range 8 {
		go func() {
			upstream, err := net.Dial("tcp", part[1])
			if err != nil {
				failed <- err
				return
			}
			answers := bufio.NewReader(upstream)
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				d, err := g.Reserve(ctx, Request{ID: id, Account: "anna", Claims: proxyChildClaims()})
				switch {
				case errors.Is(err, ErrUnavailable):
					pause(ctx, 5*time.Millisecond)
					continue
				case err != nil:
					failed <- err
					return
				case d.Verdict != Go:
					pause(ctx, 5*time.Millisecond)
					continue
				case i%8 == 5: // its client has gone
					err = g.Cancel(ctx, id)
				default:
					if _, err = fmt.Fprintln(upstream, id); err == nil {
						_, err = answers.ReadString('\n')
					}
					if err == nil {
						err = g.Keep(ctx, id)
					}
				}
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// countingUpstream counts what arrives.
func countingUpstream(t *testing.T) (addr string, arrived *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived = &atomic.Int64{}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				for in := bufio.NewScanner(c); in.Scan(); {
					arrived.Add(1)
					if _, err := fmt.Fprintln(c, "ok"); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	return ln.Addr().String(), arrived
}

// startProxyChild starts one; kill ends it with kill -9.
func startProxyChild(t *testing.T, setting string) (kill func()) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), proxyChildVariable+"="+setting)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if strings.Contains(stderr.String(), "DATA RACE") || cmd.ProcessState.Exited() {
				t.Errorf("a proxy failed: %s", stderr.String())
			}
		})
	}
	t.Cleanup(kill)
	return kill
}

func TestProxiesKilledByKill9SendNothingTooMuch(t *testing.T) {
	const allow, lives = 1500, 4
	for name, trouble := range map[string]func(s *redisServer){
		"alone": func(*redisServer) {},
		// Whatever came after the file was saved is lost with the server, and
		// known to the journals of the killed proxies alone.
		"together with their Redis": func(s *redisServer) { s.kill(); s.restart() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			upstream, arrived := countingUpstream(t)
			dir := t.TempDir()
			start := func() (kills []func()) {
				for i := range 3 {
					kills = append(kills, startProxyChild(t, s.url()+"|"+upstream+"|"+filepath.Join(dir, fmt.Sprint("journal", i))))
				}
				return kills
			}
			for life := range lives {
				before := arrived.Load()
				kills := start()
				if life == 1 {
					eventually(t, "messages go", func() bool { return arrived.Load() > before+50 })
					s.do("SAVE")
				}
				goal := before + 100 + rand.Int64N(150)
				if life > 0 {
					goal += 50
				}
				eventually(t, "messages go", func() bool { return arrived.Load() >= goal })
				for _, kill := range kills {
					kill()
				}
				if life >= 1 {
					trouble(s)
				}
			}
			// Whoever starts now sends what is left, and no more.
			kills := start()
			last, still := int64(-1), 0
			eventually(t, "the quota is used up", func() bool {
				if n := arrived.Load(); n != last || n < allow-8*3*lives {
					last, still = n, 0
				} else {
					still++
				}
				return still > 100
			})
			for _, kill := range kills {
				kill()
			}
			f := guardedReplicas(t, 1, s.url())
			used, n := f.counted("anna", proxyChildClaims()...), arrived.Load()
			if n > allow {
				t.Errorf("%d arrived, %d are allowed", n, allow)
			}
			if used < n {
				t.Errorf("%d are counted, %d arrived", used, n)
			}
			t.Logf("%d arrived, %d counted, %d allowed, in %d lives of 3 proxies", n, used, allow, lives+1)
		})
	}
}
