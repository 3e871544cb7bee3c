package proxy

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/elazarl/goproxy"

	"quotagate/rules"
)

// frontHandler is the front door. CONNECT goes to goproxy, which parses it,
// asks who it is, and hands the connection over; requests in absolute form go
// straight to our handler, past goproxy's own forwarding.
func (s *Server) frontHandler() http.HandlerFunc {
	gp := goproxy.NewProxyHttpServer()
	gp.Logger = discard{}
	// Nothing is ever sent through goproxy's own transport or signed by its
	// own authority: every CONNECT below is hijacked or rejected.
	gp.Tr = &http.Transport{Proxy: nil}
	gp.ConnectDial = nil
	gp.NonproxyHandler = http.HandlerFunc(s.notAProxyRequest)
	gp.OnRequest().HandleConnectFunc(s.connect)
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.stopping.enter(r) {
			writeResponse(w, stoppingAnswer(r))
			return
		}
		defer s.stopping.leave(r)
		if r.Method != http.MethodConnect && r.URL.IsAbs() {
			s.serveAbsolute(w, r)
			return
		}
		gp.ServeHTTP(earlyBytes{w}, r)
	}
}

type discard struct{}

func (discard) Printf(string, ...any) {}

// connect decides one CONNECT. It never refuses a host for its quota: clients
// cannot read an answer to CONNECT.
func (s *Server) connect(host string, ctx *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
	client, refused := s.identify(ctx.Req)
	if refused != nil {
		ctx.Resp = refused
		return goproxy.RejectConnect, host
	}
	if s.looped(ctx.Req) {
		ctx.Resp = failed(ctx.Req, ErrLoop, "")
		return goproxy.RejectConnect, host
	}
	name, port, err := splitTarget(host, "")
	if err != nil || ctx.Req.RequestURI != host { // a user or a path beside it
		ctx.Resp = response(ctx.Req, problem(http.StatusBadRequest, "quotagate: CONNECT wants host:port", nil))
		return goproxy.RejectConnect, host
	}
	if name != InternalHost && !s.cfg.PortAllowed(port) {
		s.log.Warn("a tunnel could not be opened", "host", name, "port", port, "error", "port",
			"hint", "QUOTAGATE_ALLOW_PORTS names the ports that clients may reach")
		ctx.Resp = failed(ctx.Req, &PortError{Host: name, Port: port}, "")
		return goproxy.RejectConnect, host
	}
	if err := s.egress(name); err != nil {
		s.log.Warn("a tunnel could not be opened", "host", name, "error", "egress", "client", client.Addr)
		ctx.Resp = failed(ctx.Req, err, "")
		return goproxy.RejectConnect, host
	}
	t := newTarget("https", name, port)
	t.client, t.conn, t.via = client, socketOf(ctx.Req.Context()), ctx.Req.Header["Via"]
	action := s.tunnel
	if name == InternalHost || s.cfg.Rules().Names(name) {
		action = s.intercept
	} else if refused := s.admit(ctx.Req, client); refused != nil {
		ctx.Resp = refused
		return goproxy.RejectConnect, host
	}
	if !handOver(t.conn) {
		ctx.Resp = failed(ctx.Req, errNoRoom, "")
		return goproxy.RejectConnect, host
	}
	return &goproxy.ConnectAction{
		Action: goproxy.ConnectHijack,
		Hijack: func(r *http.Request, conn net.Conn, _ *goproxy.ProxyCtx) { action(r, conn, t) },
	}, host
}

// A target is where a client's connection leads, and whose it is.
type target struct {
	scheme string
	host   string // normalised, without brackets
	port   uint16
	addr   string // host:port
	client *Client
	conn   net.Conn // the client's socket
	via    []string // the proxies before us, as its CONNECT names them
	tally  *tally   // of an intercepted connection
}

func newTarget(scheme, host string, port uint16) target {
	return target{scheme: scheme, host: host, port: port, addr: net.JoinHostPort(host, strconv.Itoa(int(port)))}
}

type socketKey struct{}

// withSocket puts a connection where its requests find it.
func withSocket(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(leaves(ctx, c), socketKey{}, c)
}

func socketOf(ctx context.Context) net.Conn {
	c, _ := ctx.Value(socketKey{}).(net.Conn)
	return c
}

// splitTarget takes host[:port] apart; an empty port is that of the scheme.
func splitTarget(hostport, scheme string) (string, uint16, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		if scheme == "" || strings.HasSuffix(hostport, ":") {
			return "", 0, fmt.Errorf("split host and port: %w", err)
		}
		host, port = strings.Trim(hostport, "[]"), "443"
		if scheme == "http" {
			port = "80"
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("port %q is no port", port)
	}
	host = rules.NormaliseHost(host)
	if host == "" {
		return "", 0, fmt.Errorf("no host in %q", hostport)
	}
	return host, uint16(n), nil
}

// identify tells who a request comes from, and takes the credentials off it. It
// returns the answer for who is not let in. A client certificate that was
// verified is worth a password, and goes before one.
func (s *Server) identify(r *http.Request) (*Client, *http.Response) {
	user, password, given := proxyAuth(r)
	r.Header.Del("Proxy-Authorization")
	c := &Client{Addr: r.RemoteAddr, User: user}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		c.User, c.Authenticated = certificateUser(r.TLS.VerifiedChains[0][0]), true
		return c, nil
	}
	if s.cfg.Authenticate == nil {
		return c, nil
	}
	switch {
	case !given:
	case s.cfg.Remembers != nil && s.cfg.Remembers(user, password):
		c.Authenticated = true
	case s.cfg.Guesses == nil:
		c.Authenticated = s.cfg.Authenticate(user, password)
	default:
		right := func() bool { return s.cfg.Authenticate(user, password) }
		ok, wait := s.cfg.Guesses.check(r.Context(), r.RemoteAddr, right)
		if wait > 0 {
			if s.guessing.now(time.Now()) {
				s.log.Warn("wrong passwords come from an address; it has to wait before it may try again", "client", r.RemoteAddr, "variable", "QUOTAGATE_GUESS_RATE")
			}
			return c, tooManyGuesses(r, wait)
		}
		c.Authenticated = ok
	}
	if !c.Authenticated {
		return c, needCredentials(r, given)
	}
	return c, nil
}

// certificateUser is the name that a client certificate gives its owner: the
// common name, or else the first of its other names.
func certificateUser(cert *x509.Certificate) string {
	for _, names := range [][]string{{cert.Subject.CommonName}, cert.EmailAddresses, cert.DNSNames} {
		if len(names) > 0 && names[0] != "" {
			return names[0]
		}
	}
	return cert.SerialNumber.String()
}

// proxyAuth reads Basic credentials from Proxy-Authorization (RFC 7617).
func proxyAuth(r *http.Request) (user, password string, ok bool) {
	scheme, rest, _ := strings.Cut(r.Header.Get("Proxy-Authorization"), " ")
	if !strings.EqualFold(scheme, "basic") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(raw), ":")
}

func needCredentials(r *http.Request, given bool) *http.Response {
	what := "quotagate: this proxy wants a user and a password"
	if given {
		what = "quotagate: the user or the password is wrong"
	}
	a := problem(http.StatusProxyAuthRequired, what, nil)
	a.Header.Set("Proxy-Authenticate", `Basic realm="quotagate"`)
	resp := response(r, a)
	resp.Close = true
	return resp
}

// serveAbsolute takes requests that name their whole URL: plain http, and the
// https ones of clients that do not use CONNECT.
func (s *Server) serveAbsolute(w http.ResponseWriter, r *http.Request) {
	w, done := patiently(w, r)
	defer done()
	client, refused := s.identify(r)
	if refused != nil {
		writeResponse(w, refused)
		return
	}
	if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		writeResponse(w, response(r, problem(http.StatusBadRequest, "quotagate: only http and https can be proxied", nil)))
		return
	}
	host, port, err := splitTarget(r.URL.Host, r.URL.Scheme)
	if err != nil {
		writeResponse(w, response(r, problem(http.StatusBadRequest, "quotagate: the URL's host cannot be read", nil)))
		return
	}
	if host == InternalHost {
		s.serveInternal(w, r, client)
		return
	}
	if !s.cfg.PortAllowed(port) {
		writeResponse(w, failed(r, &PortError{Host: host, Port: port}, ""))
		return
	}
	t := newTarget(r.URL.Scheme, host, port)
	t.client, t.conn = client, socketOf(r.Context())
	s.serve(w, r, &t)
}

// notAProxyRequest answers somebody who opened the proxy's address itself.
func (s *Server) notAProxyRequest(w http.ResponseWriter, r *http.Request) {
	writeResponse(w, response(r, problem(http.StatusBadRequest,
		"quotagate: this is a proxy; set it as HTTP_PROXY and HTTPS_PROXY, then open http://"+InternalHost+"/", nil)))
}

// earlyBytes keeps what a client sent right behind its CONNECT: goproxy takes
// the connection and forgets the reader that already holds those bytes.
type earlyBytes struct{ http.ResponseWriter }

func (w earlyBytes) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if k, ok := conn.(*spoken); ok { // HTTP ends here
		conn = k.Conn
	}
	if n := rw.Reader.Buffered(); n > 0 {
		early, err := rw.Reader.Peek(n)
		if err != nil {
			conn.Close()
			return nil, nil, err
		}
		conn = &replayConn{Conn: conn, early: append([]byte(nil), early...)}
	}
	return conn, rw, nil
}

// A replayConn gives the early bytes back before it reads on.
type replayConn struct {
	net.Conn
	early []byte
}

func (c *replayConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite half-closes, as tunnels do.
func (c *replayConn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

// takeEarly returns the bytes that came early and the connection below.
func takeEarly(c net.Conn) ([]byte, net.Conn) {
	if r, ok := c.(*replayConn); ok {
		return r.early, r.Conn
	}
	return nil, c
}
