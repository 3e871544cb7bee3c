package proxy

// The end: no new work, what runs finishes within a grace time, tunnels go last.

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Serve accepts clients on l until the context ends. From then on whoever comes
// is told to come back later, connections that wait for a request are closed,
// and running requests may finish for grace; then what is left is closed,
// tunnels last. Close shortens the grace.
func (s *Server) Serve(ctx context.Context, l net.Listener, grace time.Duration) error {
	var clients net.Listener = s.entrance(l, s.cfg.TLS == nil)
	if s.cfg.TLS != nil {
		clients = tls.NewListener(clients, s.cfg.TLS)
	}
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	wg.Go(func() { errs <- s.front.Serve(clients) })
	wg.Go(func() { errs <- s.inner.Serve(s.inlet) })

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-errs:
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	stop := context.AfterFunc(s.stopping.hurried, cancel)
	defer stop()
	s.drain(deadline)
	s.conns.closeAll()
	wg.Wait()
	if failed != nil && !errors.Is(failed, http.ErrServerClosed) {
		return failed
	}
	return nil
}

// Close ends the grace that Serve gives.
func (s *Server) Close() { s.stopping.hurry() }

func (s *Server) drain(deadline context.Context) {
	idle := s.stopping.stop()
	// Connections that wait for a request are closed, others after theirs.
	s.front.SetKeepAlivesEnabled(false)
	if s.inner.Shutdown(deadline) != nil {
		s.inner.Close()
	}
	select {
	case <-idle:
	case <-deadline.Done():
	}
	if s.front.Shutdown(deadline) != nil {
		s.front.Close()
	}
}

// stopping knows whether the server ends, and which requests of its front run.
type stopping struct {
	hurried context.Context
	hurry   context.CancelFunc

	mu      sync.Mutex
	running int
	ended   bool
	idle    chan struct{} // closed once it ends and nothing runs
}

func (s *stopping) begin() {
	s.hurried, s.hurry = context.WithCancel(context.Background())
	s.idle = make(chan struct{})
}

// enter lets a request in, unless the server ends. A tunnel is none that could
// finish.
func (s *stopping) enter(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	if r.Method != http.MethodConnect {
		s.running++
	}
	return true
}

func (s *stopping) leave(r *http.Request) {
	if r.Method == http.MethodConnect {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if s.ended && s.running == 0 {
		close(s.idle)
	}
}

// stop lets nobody in any more; the channel is closed when nothing runs.
func (s *stopping) stop() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended = true; s.running == 0 {
		close(s.idle)
	}
	return s.idle
}

func stoppingAnswer(r *http.Request) *http.Response {
	resp := failed(r, ErrDraining, "")
	resp.Header.Set("Connection", "close")
	return resp
}

// countHTTP2 is told by net/http what was wrong with a frame; the words end in
// what it calls that (net/http of Go 1.26, h2_bundle.go).
func (s *Server) countHTTP2(what string) {
	switch {
	case strings.Contains(what, "_over_max_streams"):
		s.over(BoundStreams, "")
	case strings.HasSuffix(what, "_too_many_early_resets"):
		s.over(BoundResets, "")
	}
}
