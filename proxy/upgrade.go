package proxy

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
)

// switchProtocols joins client and service after a 101: WebSockets, mostly.
// What the client sent right behind its request is passed on first, and when
// either side ends, both are closed.
func (s *Server) switchProtocols(w http.ResponseWriter, r *http.Request, resp *http.Response, asked string) {
	upstream, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || !strings.EqualFold(asked, upgradeType(resp.Header)) {
		writeResponse(w, response(r, problem(http.StatusBadGateway, "quotagate: the service switched to a protocol that was not asked for", nil)))
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
	stop := context.AfterFunc(r.Context(), func() { upstream.Close() })
	defer stop()
	done := make(chan struct{}, 2)
	go func() {
		io.Copy(upstream, io.MultiReader(bufferedOf(rw.Reader), conn)) // an error ends both sides as well
		done <- struct{}{}
	}()
	go func() {
		io.Copy(conn, upstream)
		done <- struct{}{}
	}()
	<-done
	upstream.Close()
	conn.Close()
	<-done
}

// bufferedOf reads what a connection's buffer already holds, and no more.
func bufferedOf(r interface {
	Buffered() int
	io.Reader
}) io.Reader {
	return io.LimitReader(r, int64(r.Buffered()))
}
