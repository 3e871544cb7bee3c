package proxy

// This file answers for the hosts that no certificate can be made for. Their
// messages could not be looked into, so the connection is refused before it
// begins, where the client can read why; it is never passed on unread.

import (
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"quotagate/rules"
)

// What Certificates may answer, beside other errors, to have the client told.
var (
	// ErrMinting says that too many certificates were asked for.
	ErrMinting = errors.New("too many certificates are asked for")
	// ErrOutsideCA says that the CA may not sign for the host.
	ErrOutsideCA = errors.New("the CA may not sign for this host")
)

// certifiable refuses a CONNECT to a host that no certificate can be made for.
func (s *Server) certifiable(r *http.Request, conn net.Conn, t target) bool {
	_, err := s.cfg.Certificates.Certificate(t.host)
	if !errors.Is(err, ErrMinting) && !errors.Is(err, ErrOutsideCA) {
		return true
	}
	if s.uncertified.now(time.Now()) {
		s.log.Warn("a connection was refused: "+err.Error(), "host", t.host, "client", t.client.Addr)
	}
	id := newID(time.Now())
	if errors.Is(err, ErrOutsideCA) {
		s.recordOutside(r, t, id)
	}
	s.rejectConnect(conn, failed(r, err, id))
	return false
}

// recordOutside tells the decision log of a connection to a host that the CA may
// not sign for: nothing that goes there passes, and only a person can mend it.
func (s *Server) recordOutside(r *http.Request, t target, id string) {
	if s.cfg.Record == nil {
		return
	}
	set := s.cfg.Rules()
	sight := set.Look(&rules.Call{Method: http.MethodGet, Scheme: "https", Host: t.host, Path: "/", Header: http.Header{}})
	f := failureOf(ErrOutsideCA)
	s.cfg.Record(&Record{
		Time: time.Now(), ID: id, Decision: DecisionReject, Mode: set.Mode(),
		Service: sight.Service(), Messages: []RecordMessage{{Kind: callKind}}, Limit: f.Word,
		Method: r.Method, Host: t.host, Status: f.Status,
		Client: t.client.Addr, ProxyUser: t.client.User, Revision: set.Revision(),
		Reason: f.Detail,
	})
}

// onceAMinute bounds the lines that a client can make the log grow by.
type onceAMinute struct{ last atomic.Int64 }

func (o *onceAMinute) now(at time.Time) bool {
	last := o.last.Load()
	return (last == 0 || at.UnixNano()-last >= int64(time.Minute)) && o.last.CompareAndSwap(last, at.UnixNano())
}
