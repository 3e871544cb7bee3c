package proxy

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"time"
)

// switchProtocols joins client and service after a 101: WebSockets.
func (s *Server) switchProtocols(w http.ResponseWriter, r *http.Request, resp *http.Response, asked string) {
	upstream, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || !strings.EqualFold(asked, upgradeType(resp.Header)) {
		writeResponse(w, response(r, problem(http.StatusBadGateway, "quotagate: the service switched to a protocol that was not asked for", nil)))
		return
	}
	if !handOver(connOf(r.Context())) { // one of the front: others are counted since their CONNECT
		writeResponse(w, failed(r, errNoRoom, ""))
		return
	}
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.log.Warn("cannot take over an upgraded connection", "error", err.Error())
		return
	}
	if !s.conns.add(conn) {
		return
	}
	defer s.drop(conn)
	if err := rw.Flush(); err != nil {
		return
	}
	socket := &webSocket{client: conn, early: bufferedOf(rw.Reader), service: upstream, idle: s.cfg.WebSocketIdle, log: s.log}
	stop := context.AfterFunc(r.Context(), func() { socket.shut(upstream) })
	defer stop()
	if socket.run() {
		s.log.Info("a WebSocket was closed: nothing passed for too long", "host", r.Host, "idle", s.cfg.WebSocketIdle)
	}
}

// bufferedOf reads what a connection's buffer already holds, and no more.
func bufferedOf(r interface {
	Buffered() int
	io.Reader
}) io.Reader {
	return io.LimitReader(r, int64(r.Buffered()))
}

// linger is how long one side may still speak when the other has ended. A
// WebSocket that closes as RFC 6455, 7.1.1, wants it takes a round trip.
const linger = 5 * time.Second

// A webSocket joins a client to a service after the upgrade. Its frames are
// not looked at.
type webSocket struct {
	client  io.ReadWriteCloser
	early   io.Reader // what the client sent right behind its request
	service io.ReadWriteCloser
	idle    time.Duration // 0: for ever
	log     *slog.Logger  // nil: nobody is told of a panic
}

// run returns when both sides are closed, and whether that was for idleness.
// When one side ends, the other is told, has a moment to finish, and is closed.
func (w *webSocket) run() (idled bool) {
	moved := make(chan struct{}, 1)
	done := make(chan struct{}, 2)
	pass := func(to io.WriteCloser, from io.Reader) {
		defer func() { done <- struct{}{} }()
		ended := false
		Contained(w.log, "a WebSocket", func() {
			if _, err := io.Copy(noting{to, moved}, from); err == nil {
				end, ok := to.(interface{ CloseWrite() error })
				ended = ok && end.CloseWrite() == nil
			}
		})
		if !ended {
			w.close()
		}
	}
	go pass(w.service, io.MultiReader(w.early, w.client))
	go pass(w.client, w.service)

	var timer *time.Timer
	var idle <-chan time.Time
	if w.idle > 0 {
		timer = time.NewTimer(w.idle)
		defer timer.Stop()
		idle = timer.C
	}
	for left := 2; left > 0; {
		select {
		case <-moved:
			if idle != nil {
				timer.Reset(w.idle)
			}
		case <-done:
			if left--; left == 1 {
				last := time.AfterFunc(linger, w.close)
				defer last.Stop()
				idle = nil
			}
		case <-idle:
			idled, idle = true, nil
			w.goAway()
		}
	}
	w.close()
	return idled
}

func (w *webSocket) close() {
	w.shut(w.client)
	w.shut(w.service)
}

// shut closes one side; whatever happens there, the other's turn comes.
func (w *webSocket) shut(side io.Closer) {
	Contained(w.log, "the end of a WebSocket", func() { side.Close() })
}

// Close frames of status 1001, "going away" (RFC 6455, 5.5.1 and 7.4.1): one
// from a server, and one from a client, whose payload is masked, here with
// zeros: nothing in between could take these bytes for a request.
const (
	serverGoesAway = "\x88\x06\x03\xe9idle"
	clientGoesAway = "\x88\x86\x00\x00\x00\x00\x03\xe9idle"
)

// goAway says to both sides why, if they take it at once, and ends both.
func (w *webSocket) goAway() {
	told := make(chan struct{}, 2)
	tell := func(side io.Writer, frame string) {
		defer func() { told <- struct{}{} }()
		Contained(w.log, "the end of a WebSocket", func() {
			_, _ = io.WriteString(side, frame) // it may be gone already
		})
	}
	go tell(w.client, serverGoesAway)
	go tell(w.service, clientGoesAway)
	enough := time.NewTimer(time.Second)
	defer enough.Stop()
	for range 2 {
		select {
		case <-told:
		case <-enough.C: // neither may take it
			w.close()
			return
		}
	}
	w.close()
}

// noting is a writer that tells when something was written.
type noting struct {
	io.Writer
	moved chan<- struct{}
}

func (n noting) Write(p []byte) (int, error) {
	k, err := n.Writer.Write(p)
	select {
	case n.moved <- struct{}{}:
	default:
	}
	return k, err
}
