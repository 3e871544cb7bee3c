package proxy

import (
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"quotagate/rules"
)

// Certificates gives the certificate to show a client that asked for host. It
// must refuse hosts that the rules do not name, and it is asked once per
// handshake, by many goroutines.
type Certificates interface {
	Certificate(host string) (*tls.Certificate, error)
}

// Config is what a Server is made of. Rules, Certificates, Transport and Dial
// are required.
type Config struct {
	// Rules returns the set in force.
	Rules func() *rules.Set
	// Certificates answers the handshakes of intercepted hosts.
	Certificates Certificates
	// Transport governs and sends: usually an Enforcer.
	Transport http.RoundTripper
	// Dial opens tunnels; it is the guarded way out. It is given host:port.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Addresses, if set, tells where a host lives: connections to a governed
	// one's address that name nobody are closed. It is asked rarely.
	Addresses func(ctx context.Context, host string) []netip.AddrPort
	// PortAllowed says which ports clients may name.
	PortAllowed func(port uint16) bool
	// Authenticate, if set, is asked for every connection's credentials;
	// without it anyone may use the proxy, and a name given is only a claim.
	Authenticate func(user, password string) bool
	// Remembers, if set, is asked first: whether Authenticate found this
	// password right before. It hashes nothing slow.
	Remembers func(user, password string) bool
	// Guesses, if set, slows those whose passwords are wrong.
	Guesses *Guesses
	// Guard, if set, bounds the requests of each user of the proxy.
	Guard *Guard
	// WebSocketIdle ends a WebSocket through an intercepted host in which
	// nothing moved for so long; 0: none is.
	WebSocketIdle time.Duration
	// Internal answers http://quotagate.internal/ and https://quotagate.internal/;
	// ClientOf tells who asks.
	Internal http.Handler
	// Visited, if set, is told of what comes to the hosts that the rules name
	// and is no message. It is called for every such request, and must return
	// at once.
	Visited func(Visit)
	// Record, if set, is told of connections to governed hosts that are refused
	// before a request can come. It must not keep the record.
	Record func(*Record)
	// Pseudonym is our name in Via fields: of this process alone. Without one
	// no circle of proxies is noticed.
	Pseudonym string
	// TLS, if set, is spoken on the listener that Serve is given.
	TLS *tls.Config
	// Limits bound what clients may take up.
	Limits Limits
	// Log gets what a person running the proxy should see.
	Log *slog.Logger
}

// A Server is the forward proxy.
type Server struct {
	cfg    Config
	log    *slog.Logger
	tls    *tls.Config
	front  *http.Server
	inner  *http.Server
	inlet  *inlet // intercepted connections on their way to inner
	conns  connSet
	Counts Counts

	uncertified onceAMinute // its line in the log
	guessing    onceAMinute
	uncertain   onceAMinute
	limits      Limits // whole
	census      census
	refusals    refusals
	stopping    stopping
	gazetteer   gazetteer
	lookout     lookout
	watches     bool // who leaves is watched by the socket, not by net/http
}

// Counts are totals since the start.
type Counts struct {
	Intercepted atomic.Int64 // connections
	Tunnels     atomic.Int64
	Requests    atomic.Int64 // that entered the handler, governed or not
	// EgressRefused are the connections and requests that met an EgressError.
	EgressRefused atomic.Int64
	Loops         atomic.Int64 // that came back by way of other proxies
	// AddressRefused are those that led to an address that must not be reached.
	AddressRefused atomic.Int64
	Panics         atomic.Int64
	// ClientCertificates are the clients refused for theirs, at the front.
	ClientCertificates atomic.Int64
	// Broken are the HTTP/2 connections that were ended for what came on them.
	Broken atomic.Int64
}

// New makes a Server; Serve starts it.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, log: cfg.Log, inlet: newInlet(), limits: cfg.Limits.whole(), watches: watches}
	s.census.limits, s.lookout.server = &s.limits, s
	s.stopping.begin()
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.gazetteer.log = s.log
	s.tls = s.tlsConfig()
	quiet := log.New(netHTTP{slog.NewLogLogger(s.log.Handler(), slog.LevelDebug).Writer(), s}, "", 0)
	s.front = &http.Server{
		Handler:           s.around(s.frontHandler()),
		ReadHeaderTimeout: s.limits.HeaderTime,
		IdleTimeout:       s.limits.IdleTime,
		MaxHeaderBytes:    s.limits.HeaderBytes,
		Protocols:         new(http.Protocols),
		ConnContext:       withSocket,
		ConnState:         noteState,
		ErrorLog:          quiet,

		DisableGeneralOptionsHandler: true,
	}
	s.front.Protocols.SetHTTP1(true)
	s.inner = &http.Server{
		Handler:           s.around(s.serveIntercepted),
		ReadHeaderTimeout: s.limits.HeaderTime,
		IdleTimeout:       s.limits.IdleTime,
		// For streams of HTTP/2; a longer one is given more (lookout.go).
		WriteTimeout: s.limits.BodyTime,
		// What is a little longer comes in and is told so; net/http cannot
		// be asked what it cut off.
		MaxHeaderBytes: 2 * s.limits.HeaderBytes,
		TLSConfig:      s.tls.Clone(), // net/http writes to its own
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: s.limits.Streams,
			// No table of fields that were sent: what we say of a message
			// differs each time, and to look for it costs more than it saves
			// on the way to a client, which is a short one.
			MaxEncoderHeaderTableSize: 1,
			// The least that there is: a frame is kept whole before
			// anything of it moves on.
			MaxReadFrameSize: 16 << 10,
			CountError:       s.countHTTP2,
		},
		ConnState:   noteState,
		Protocols:   new(http.Protocols),
		ConnContext: connContext,
		ErrorLog:    quiet,
		// `OPTIONS *` is the service's to answer.
		DisableGeneralOptionsHandler: true,
	}
	s.inner.Protocols.SetHTTP1(true)
	s.inner.Protocols.SetHTTP2(true)
	s.inner.Protocols.SetUnencryptedHTTP2(true) // by prior knowledge, inside a CONNECT without TLS
	return s
}

// connSet is the connections that net/http gave away and will not close, and
// for tunnels the names of where they lead: by the CONNECT, and by the client's
// hello.
type connSet struct {
	mu     sync.Mutex
	closed bool
	all    map[net.Conn][]string
}

// add registers c; false, and c closed, once the server has ended.
func (s *connSet) add(c net.Conn, names ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return false
	}
	if s.all == nil {
		s.all = map[net.Conn][]string{}
	}
	s.all[c] = append(s.all[c], names...)
	return true
}

func (s *connSet) remove(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

func (s *connSet) closeIf(which func(names []string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, names := range s.all {
		if which(names) {
			c.Close()
		}
	}
}

func (s *connSet) closeAll() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.closeIf(func([]string) bool { return true })
}
