package proxy

// What a client may take up of the proxy, and what is told when it is more.

import (
	"cmp"
	"errors"
	"sync/atomic"
	"time"
)

// Limits bound everything that a client can take up of a Server. A field that
// is zero has the value of DefaultLimits.
type Limits struct {
	// Conns bounds the connections of clients, idle ones and those inside of
	// tunnels included. ConnsPerClient bounds those of one address (IPv6: its
	// /64); 0 lets this machine's own programs, which all have one address,
	// have three quarters of Conns, and any other address a tenth.
	Conns, ConnsPerClient int64
	// Tunnels bounds the connections that were handed over: tunnels,
	// intercepted connections, WebSockets.
	Tunnels int64

	// HeaderBytes and HeaderTime bound a request's header.
	HeaderBytes int
	HeaderTime  time.Duration
	// HandshakeTime is for a CONNECT's TLS handshake, the wait for its
	// beginning included.
	HandshakeTime time.Duration
	// IdleTime is how long a connection may wait for its next request.
	IdleTime time.Duration
	// TunnelIdleTime is how long nothing may move in a tunnel.
	TunnelIdleTime time.Duration
	// BodyTime is how long a body may stand still: a request's that does not
	// come, or an answer's that is not taken.
	BodyTime time.Duration

	// Of one intercepted HTTP/2 connection: requests at once; requests that
	// the client takes back in a minute; bytes in a minute for what is no
	// request (settings, pings, priorities, …).
	Streams      int
	Resets       int64
	ControlBytes int64
}

// DefaultLimits are generous to one machine's programs: they protect the
// process, not a quota.
func DefaultLimits() Limits {
	return Limits{
		Conns:          20_000,
		Tunnels:        16_000,
		HeaderBytes:    64 << 10,
		HeaderTime:     10 * time.Second,
		HandshakeTime:  10 * time.Second,
		IdleTime:       120 * time.Second,
		TunnelIdleTime: 10 * time.Minute,
		BodyTime:       60 * time.Second,
		Streams:        250, // as net/http's own server
		Resets:         1000,
		ControlBytes:   1 << 20, // as nginx, ngx_http_v2_module.c (release-1.27): a mebibyte beside the payload
	}
}

// whole fills in what is zero.
func (l Limits) whole() Limits {
	d := DefaultLimits()
	l.Conns = cmp.Or(l.Conns, d.Conns)
	l.Tunnels = cmp.Or(l.Tunnels, d.Tunnels)
	l.HeaderBytes = cmp.Or(l.HeaderBytes, d.HeaderBytes)
	l.HeaderTime = cmp.Or(l.HeaderTime, d.HeaderTime)
	l.HandshakeTime = cmp.Or(l.HandshakeTime, d.HandshakeTime)
	l.IdleTime = cmp.Or(l.IdleTime, d.IdleTime)
	l.TunnelIdleTime = cmp.Or(l.TunnelIdleTime, d.TunnelIdleTime)
	l.BodyTime = cmp.Or(l.BodyTime, d.BodyTime)
	l.Streams = cmp.Or(l.Streams, d.Streams)
	l.Resets = cmp.Or(l.Resets, d.Resets)
	l.ControlBytes = cmp.Or(l.ControlBytes, d.ControlBytes)
	return l
}

// A Bound is one of the limits on clients.
type Bound uint8

// The bounds, by what there is too much of.
const (
	BoundConns Bound = iota
	BoundConnsPerClient
	BoundTunnels
	BoundHeaderBytes
	BoundHeaderTime
	BoundHandshakeTime
	BoundIdleTime
	BoundTunnelIdleTime
	BoundBodyTime
	BoundAnswerTime
	BoundStreams
	BoundResets
	BoundControlBytes
	boundsInAll
)

// bounds are their names, and the variables that move them.
var bounds = [boundsInAll]struct{ name, variable string }{
	BoundConns:          {"conns", "QUOTAGATE_MAX_CONNS"},
	BoundConnsPerClient: {"conns_per_client", "QUOTAGATE_MAX_CONNS_PER_CLIENT"},
	BoundTunnels:        {"tunnels", "QUOTAGATE_MAX_TUNNELS"},
	BoundHeaderBytes:    {"header_bytes", "QUOTAGATE_MAX_HEADER_BYTES"},
	BoundHeaderTime:     {"header_time", "QUOTAGATE_HEADER_TIMEOUT"},
	BoundHandshakeTime:  {"handshake_time", "QUOTAGATE_HANDSHAKE_TIMEOUT"},
	BoundIdleTime:       {"idle_time", "QUOTAGATE_IDLE_TIMEOUT"},
	BoundTunnelIdleTime: {"tunnel_idle_time", "QUOTAGATE_TUNNEL_IDLE_TIMEOUT"},
	BoundBodyTime:       {"body_time", "QUOTAGATE_BODY_TIMEOUT"},
	BoundAnswerTime:     {"answer_time", "QUOTAGATE_BODY_TIMEOUT"},
	BoundStreams:        {"streams", "QUOTAGATE_MAX_STREAMS"},
	BoundResets:         {"resets", "QUOTAGATE_MAX_RESETS"},
	BoundControlBytes:   {"control_bytes", "QUOTAGATE_MAX_CONTROL_BYTES"},
}

// What a client is told, or meets, that reached one.
var (
	errNoRoom     = errors.New("there are too many connections")
	errSlowHeader = errors.New("the request's header takes too long")
	errLongHeader = errors.New("the request's header is too long")
	errSlowBody   = errors.New("the request's body stands still")
	errFlood      = errors.New("too much comes that is no request")
)

// Bounds are all of them.
func Bounds() []Bound {
	all := make([]Bound, boundsInAll)
	for i := range all {
		all[i] = Bound(i)
	}
	return all
}

func (b Bound) String() string { return bounds[b].name }

// refusals counts what each bound refused, or closed.
type refusals struct {
	counts [boundsInAll]atomic.Int64
	said   [boundsInAll]onceAMinute
}

// Refused is how often a bound was reached since the start.
func (s *Server) Refused(b Bound) int64 { return s.refusals.counts[b].Load() }

// over notes that a client reached a bound. That a connection was idle for too
// long is nothing to tell anybody.
func (s *Server) over(b Bound, client string) {
	s.refusals.counts[b].Add(1)
	if b == BoundIdleTime || b == BoundTunnelIdleTime || !s.refusals.said[b].now(time.Now()) {
		return
	}
	s.log.Warn("a client reached a bound; more are counted in the metrics", "bound", b.String(), "client", client, "variable", bounds[b].variable)
}
