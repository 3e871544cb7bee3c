package proxy_test

// Two replicas on one Redis: what a person, or a message, changes at the one
// wakes those who wait at the other.

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// startRedis starts a server of the test's own, and returns its address.
func startRedis(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_, port, _ := strings.Cut(addr, ":")
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs redis-server: make test installs it, or use your package manager: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, "redis-server does not answer", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			err = c.Close()
		}
		return err == nil
	})
	return addr
}

// A heardLedger tells when its listener begins to hear.
type heardLedger struct {
	*ratelimit.Guarded
	hears chan struct{}
}

func (h *heardLedger) Listen(ctx context.Context, hear func(ratelimit.News)) error {
	return h.Guarded.Listen(ctx, func(n ratelimit.News) {
		hear(n)
		if n.All {
			h.hears <- struct{}{}
		}
	})
}

// replicas are two of them, which hear each other.
func replicas(t *testing.T, rules string) (near, far *lab) {
	addr := startRedis(t)
	near, far = newLab(t, rules), newLab(t, rules)
	for _, l := range []*lab{near, far} {
		l.onRedis(addr, t.TempDir())
		heard := &heardLedger{l.Ledger.(*ratelimit.Guarded), make(chan struct{}, 9)}
		l.Ledger = heard
		ctx, stop := context.WithCancel(context.Background())
		var ended sync.WaitGroup
		ended.Go(func() {
			if err := l.Listen(ctx); err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(func() { stop(); ended.Wait() })
		<-heard.hears
	}
	return near, far
}

// posts sends in the background and waits until it is held.
func (l *lab) posts(body string) <-chan int {
	l.t.Helper()
	done := make(chan int, 1)
	go func() {
		resp, _ := l.post("/send", body)
		done <- resp.StatusCode
	}()
	l.isHeld(1)
	return done
}

func (l *lab) isHeld(n int64) {
	l.t.Helper()
	eventually(l.t, "nobody is held", func() bool { return l.Held() == n })
}

// answeredSoon wants a status before anything that was to be waited for is due.
func answeredSoon(t *testing.T, done <-chan int, want int) {
	t.Helper()
	select {
	case got := <-done:
		if got != want {
			t.Errorf("answered %d, want %d", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("still held")
	}
}

func TestWhatAPersonChangesAtOneReplicaWakesThoseOfTheOther(t *testing.T) {
	near, far := replicas(t, chat+"limits: [{name: chat.roll, on: chat.message, allow: 1, per: 4m, wait: 5m}]\n")
	if resp, body := near.post("/send", `{"to":"a"}`); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	account := near.name()
	b := far.posts(`{"to":"b"}`)
	if err := near.Ledger.Give(t.Context(), account, ratelimit.Gift{ID: "more", Limit: "chat.roll", Units: 2}); err != nil {
		t.Fatal(err)
	}
	answeredSoon(t, b, 200)
	if err := near.Ledger.Pause(t.Context(), account, &ratelimit.Hold{Until: time.Now().Add(4 * time.Minute).UnixMilli()}); err != nil {
		t.Fatal(err)
	}
	c := far.posts(`{"to":"c"}`)
	if err := near.Ledger.Pause(t.Context(), account, nil); err != nil {
		t.Fatal(err)
	}
	answeredSoon(t, c, 200)
	if n := len(far.sent()); n != 2 {
		t.Errorf("%d sent", n)
	}
}

func TestAnEndAtOneReplicaWakesWhoWaitsForItAtTheOther(t *testing.T) {
	near, far := replicas(t, repeating(false, "limits: [{name: chat.once, on: chat.message, concurrent: 1, wait: 5m}, {name: chat.many, on: chat.message, allow: 1000, per: day, wait: 5m}]\n"))
	bodies := make(chan *io.PipeWriter, 1)
	near.answer = func(*http.Request) *http.Response {
		body, write := io.Pipe()
		bodies <- write
		r := answerOf(200, "")
		r.Body, r.ContentLength = body, -1
		return r
	}
	message := func(id int) string { return fmt.Sprintf(`{"to":"bob","id":"%d","text":"hello"}`, id) }
	first := make(chan int, 1)
	go func() {
		resp, _ := near.post("/send", message(1))
		first <- resp.StatusCode
	}()
	write := <-bodies
	other := far.posts(message(2)) // waits for the place
	same := make(chan int, 1)
	go func() {
		resp, _ := far.post("/send", message(1)) // waits for the same message
		same <- resp.StatusCode
	}()
	far.isHeld(2)
	write.Close()
	answeredSoon(t, first, 200)
	answeredSoon(t, other, 200)
	answeredSoon(t, same, 200)
	if n := len(near.sent()) + len(far.sent()); n != 3 {
		t.Errorf("%d sent", n)
	}
	if r := far.last(); r.Decision != proxy.DecisionForward {
		t.Errorf("%+v", r)
	}
}

// Two replicas, one place, and many who want it: no two are ever on their way.
func TestReplicasThatWakeEachOtherAreNeverOver(t *testing.T) {
	near, far := replicas(t, chat+"limits: [{name: chat.two, on: chat.message, concurrent: 2, wait: 5m}]\n")
	var mu sync.Mutex
	var now, most int
	for _, l := range []*lab{near, far} {
		l.answer = func(*http.Request) *http.Response {
			mu.Lock()
			defer mu.Unlock()
			now++
			most = max(most, now)
			r := answerOf(200, "ok")
			r.Body = &counted{Reader: strings.NewReader("ok"), done: func() {
				mu.Lock()
				defer mu.Unlock()
				now--
			}}
			return r
		}
	}
	var all sync.WaitGroup
	for i := range 60 {
		l := []*lab{near, far}[i%2]
		all.Go(func() {
			if resp, body := l.post("/send", fmt.Sprintf(`{"to":"%d"}`, i)); resp.StatusCode != 200 {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	all.Wait()
	if n := len(near.sent()) + len(far.sent()); n != 60 || most > 2 {
		t.Errorf("%d sent, %d at once", n, most)
	}
}

// A counted body tells when its last byte is about to be read.
type counted struct {
	io.Reader
	done func()
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if n > 0 {
		c.done()
	}
	return n, err
}

func (c *counted) Close() error { return nil }
