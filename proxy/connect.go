package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// errGovernedName ends a tunnel whose client asks, under another name, for a
// host that the rules name: its messages would go uncounted.
var errGovernedName = errors.New("the client opened the connection under one name and asks for a governed host inside")

// tunnel joins a client to a host that no rule names. The host is dialled
// before the CONNECT is answered, so that a failure can still be told.
func (s *Server) tunnel(r *http.Request, conn net.Conn, t target) {
	early, raw := takeEarly(conn)
	if !s.conns.add(raw, t.host) {
		return
	}
	defer s.conns.remove(raw)
	// Registered, so a change of the rules closes it from here on; one that
	// came between is seen now.
	if s.cfg.Rules().Names(t.host) {
		s.conns.remove(raw)
		s.intercept(r, conn, t)
		return
	}
	if err := s.egress(t.host); err != nil {
		s.rejectConnect(raw, failed(r, err, ""))
		return
	}
	ctx, cancel := context.WithCancel(withVia(context.WithoutCancel(r.Context()), t.via))
	defer cancel()
	upstream, err := s.cfg.Dial(ctx, "tcp", t.addr)
	if err != nil {
		f := failureOf(err)
		s.countRefused(err)
		s.log.Warn("a tunnel could not be opened", "host", t.host, "error", f.Word, "cause", scrub(err))
		s.rejectConnect(raw, failed(r, err, ""))
		return
	}
	if !s.conns.add(upstream, t.host) {
		raw.Close()
		return
	}
	defer s.conns.remove(upstream)
	if _, err := io.WriteString(raw, connectOK); err != nil {
		raw.Close()
		upstream.Close()
		return
	}
	s.Counts.Tunnels.Add(1)
	joined := &tunnel{
		client: raw, upstream: upstream, early: early, idle: s.limits.TunnelIdleTime, hello: s.limits.HandshakeTime, log: s.log,
		allow: func(h hello) error {
			if s.nameless(ctx, t, h, upstream.RemoteAddr()) {
				return errNameless
			}
			// Registered first: rules that change from here on close it.
			if h.name == "" || !s.conns.add(raw, h.name) {
				return nil
			}
			if s.cfg.Rules().Names(h.name) {
				return errGovernedName
			}
			return nil
		},
	}
	switch _, _, err = joined.run(ctx); {
	case errors.Is(err, errGovernedName), errors.Is(err, errNameless):
		s.log.Warn("a tunnel was closed: "+err.Error(), "host", t.host, "client", t.client.Addr)
	case errors.Is(err, errTunnelIdle):
		s.over(BoundTunnelIdleTime, t.client.Addr)
	}
}

// rejectConnect answers a CONNECT that cannot be granted and closes it.
func (s *Server) rejectConnect(conn net.Conn, resp *http.Response) {
	defer conn.Close()
	resp.Close = true
	if conn.SetWriteDeadline(time.Now().Add(s.limits.HeaderTime)) == nil {
		_ = resp.Write(conn) // a client that left needs no answer
	}
}

// CloseNamedTunnels ends the tunnels to hosts that the rules name by now, and
// all where they let nothing else be reached; call it after the rules have
// changed. Their clients come again and are governed.
func (s *Server) CloseNamedTunnels() {
	set := s.cfg.Rules()
	s.conns.closeIf(func(names []string) bool {
		return len(names) > 0 && set.GovernedOnly() || slices.ContainsFunc(names, set.Names)
	})
}
