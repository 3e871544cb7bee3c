package proxy

// How many connections there are, in all and of each client.

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// A census counts the connections of clients until each is closed.
type census struct {
	limits *Limits

	mu      sync.Mutex
	conns   int64
	tunnels int64
	clients map[netip.Prefix]int64
}

// enter counts a connection, or tells which bound it is beyond.
func (c *census) enter(from netip.Prefix) (Bound, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.conns >= c.limits.Conns:
		return BoundConns, false
	case c.clients[from] >= c.limits.perClient(from):
		return BoundConnsPerClient, false
	}
	if c.clients == nil {
		c.clients = map[netip.Prefix]int64{}
	}
	c.conns++
	c.clients[from]++
	return 0, true
}

func (c *census) leave(from netip.Prefix, tunnel bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns--
	if c.clients[from]--; c.clients[from] == 0 {
		delete(c.clients, from)
	}
	if tunnel {
		c.tunnels--
	}
}

// handOver counts a connection that leaves net/http.
func (c *census) handOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tunnels >= c.limits.Tunnels {
		return false
	}
	c.tunnels++
	return true
}

func (c *census) handBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tunnels--
}

// Open is how many connections of clients there are now, and how many of them
// are tunnels, intercepted, or WebSockets.
func (s *Server) Open() (conns, tunnels int64) {
	s.census.mu.Lock()
	defer s.census.mu.Unlock()
	return s.census.conns, s.census.tunnels
}

func (l *Limits) perClient(from netip.Prefix) int64 {
	switch {
	case l.ConnsPerClient > 0:
		return l.ConnsPerClient
	case from.Addr().IsLoopback():
		return max(l.Conns*3/4, 1)
	}
	return max(l.Conns/10, 1)
}

// networkOf is the part of a client's address that it does not choose: an IPv6
// customer has a /64 at least (RFC 6177).
func networkOf(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if !ip.Is4() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil { // no address at all
		return netip.Prefix{}
	}
	return p
}

// An entrance is the listener for clients, which lets in as many as there may
// be.
type entrance struct {
	net.Listener
	server *Server
	plain  bool          // a client that is turned away can read why
	away   chan struct{} // has room for as many as are turned away at once
}

// turnedAway is how many may be told at once that there is no room; the others
// are hung up on. turnTime is how long that may take.
const (
	turnedAway = 64
	turnTime   = 2 * time.Second
)

func (s *Server) entrance(l net.Listener, plain bool) *entrance {
	return &entrance{Listener: l, server: s, plain: plain, away: make(chan struct{}, turnedAway)}
}

// Accept returns the next connection that there is room for.
func (e *entrance) Accept() (net.Conn, error) {
	for {
		c, err := e.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := c.(*net.TCPConn)
		if !ok { // tests, and listeners of other programs
			return c, nil
		}
		from := networkOf(tcp.RemoteAddr())
		beyond, ok := e.server.census.enter(from)
		if ok {
			k := &socket{TCPConn: tcp, server: e.server, from: from}
			if e.plain {
				return e.server.spoken(k), nil
			}
			return &secured{Conn: k}, nil
		}
		e.server.over(beyond, tcp.RemoteAddr().String())
		e.turnAway(tcp)
	}
}

// turnAway answers a client that there is no room for.
func (e *entrance) turnAway(c *net.TCPConn) {
	select {
	case e.away <- struct{}{}:
	default:
		c.Close()
		return
	}
	go func() {
		defer func() { <-e.away }()
		defer c.Close()
		if e.plain {
			Contained(e.server.log, "the refusal of a connection", func() { sayBusy(c) })
		}
	}()
}

// sayBusy answers a client's first request, whatever it is, with a 503.
func sayBusy(c *net.TCPConn) {
	if c.SetDeadline(time.Now().Add(turnTime)) == nil {
		answerOnce(c, nil, rawAnswer(errNoRoom))
	}
}

// handOver counts a client's connection among those that net/http does not
// have; false: there are too many.
func handOver(c net.Conn) bool {
	k := below(c)
	return k == nil || k.handOver()
}

// rawAnswer is an error as the bytes of an answer, for where net/http does not
// write one.
func rawAnswer(err error) []byte { return rawResponse(failed(nil, err, "")) }

func rawResponse(resp *http.Response) []byte {
	var b bytes.Buffer
	body, _ := io.ReadAll(resp.Body) // from memory
	b.WriteString("HTTP/1.1 " + resp.Status + "\r\nConnection: close\r\n")
	_ = resp.Header.Write(&b)
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
