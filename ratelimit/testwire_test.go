package ratelimit

// A TCP connection between a store and its server that a test breaks: answers
// lost after the server has done what was asked, and requests lost half way; see
// testservers_test.go.

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// A wire forwards TCP connections to a server.
type wire struct {
	t  testing.TB
	ln net.Listener

	mu       sync.Mutex
	target   string
	conns    map[net.Conn]bool
	refusing bool
	answers  float64 // the share of answers that are lost, connection and all
	requests float64 // the share of requests of which half arrives
	rnd      *rand.Rand
	cuts     int

	wg sync.WaitGroup
}

// startWire listens on a port of its own for as long as the test runs.
func startWire(t testing.TB, target string) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, ln: ln, target: target, conns: map[net.Conn]bool{}, rnd: rand.New(rand.NewPCG(1, 2))}
	w.wg.Go(w.serve)
	t.Cleanup(func() {
		_ = ln.Close()
		w.cut()
		w.wg.Wait()
	})
	return w
}

func (w *wire) addr() string { return w.ln.Addr().String() }
func (w *wire) url() string  { return "redis://" + w.addr() + "/0" }

// lose makes a share of the answers, or of the requests, end their connection.
func (w *wire) lose(answers, requests float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers, w.requests = answers, requests
}

// refuse ends all connections and accepts no more, until told otherwise.
func (w *wire) refuse(on bool) {
	w.mu.Lock()
	w.refusing = on
	w.mu.Unlock()
	if on {
		w.cut()
	}
}

// lead sends later connections to another server, and ends those there are.
func (w *wire) lead(target string) {
	w.mu.Lock()
	w.target = target
	w.mu.Unlock()
	w.cut()
}

// cut ends all connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		_ = c.Close()
	}
}

// broken is how many requests and answers were lost.
func (w *wire) broken() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cuts
}

func (w *wire) serve() {
	for {
		c, err := w.ln.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		target, refusing := w.target, w.refusing
		w.mu.Unlock()
		if refusing {
			_ = c.Close()
			continue
		}
		s, err := net.Dial("tcp", target)
		if err != nil {
			_ = c.Close()
			continue
		}
		w.mu.Lock()
		w.conns[c], w.conns[s] = true, true
		w.mu.Unlock()
		w.wg.Go(func() { w.pipe(s, c, true) })
		w.wg.Go(func() { w.pipe(c, s, false) })
	}
}

// pipe copies one direction until either side ends, or chance ends both.
func (w *wire) pipe(to, from net.Conn, request bool) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
		w.mu.Lock()
		delete(w.conns, from)
		w.mu.Unlock()
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if w.loses(request) {
				if request {
					_, _ = to.Write(b[:n/2])
				}
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (w *wire) loses(request bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	share := w.answers
	if request {
		share = w.requests
	}
	lost := share > 0 && w.rnd.Float64() < share
	if lost {
		w.cuts++
	}
	return lost
}
