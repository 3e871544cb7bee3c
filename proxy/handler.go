package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// serveIntercepted takes a request from inside an intercepted connection.
func (s *Server) serveIntercepted(w http.ResponseWriter, r *http.Request) {
	t, ok := r.Context().Value(targetKey{}).(target)
	if !ok {
		http.Error(w, "quotagate: no target", http.StatusInternalServerError)
		return
	}
	host, port, err := splitTarget(r.Host, t.scheme)
	if err != nil || host != t.host || port != t.port {
		writeResponse(w, response(r, problem(http.StatusMisdirectedRequest,
			"quotagate: the request's Host is not the host that the connection was opened for", nil)))
		return
	}
	s.serve(w, r, t)
}

// serve sends one request on and its answer back. Everything that the rules
// could see passes here.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, t target) {
	s.Counts.Requests.Add(1)
	if refused := s.admit(r, t.client); refused != nil {
		writeResponse(w, refused)
		return
	}
	switch r.Method {
	case http.MethodConnect, http.MethodTrace:
		writeResponse(w, response(r, problem(http.StatusMethodNotAllowed, "quotagate: this method is not proxied", nil)))
		return
	}
	if !plainTarget(r) {
		writeResponse(w, response(r, problem(http.StatusBadRequest, "quotagate: the request's target cannot be read", nil)))
		return
	}
	upgrade := upgradeType(r.Header)
	early := &earlyAnswers{w: w}
	client := *t.client
	if r.ProtoAtLeast(1, 1) {
		client.informational = early.pass
	}
	if r.ProtoMajor == 1 {
		client.conn = t.conn
	}
	resp, err := s.cfg.Transport.RoundTrip(outgoing(WithClient(r.Context(), &client), r, t, upgrade))
	early.end()
	if err != nil {
		s.fail(w, r, t, err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		s.switchProtocols(w, r, resp, upgrade)
		return
	}
	dropHopByHop(resp.Header)
	writeResponse(w, resp)
}

// plainTarget reports whether a request's target is a path, as rules read it.
// Go takes "x:https://host/path" for an opaque URL, which has none and is sent
// as it stands.
func plainTarget(r *http.Request) bool {
	return r.URL.Opaque == "" && (strings.HasPrefix(r.URL.Path, "/") ||
		r.URL.Path == "" && r.URL.IsAbs() || r.URL.Path == "*" && r.Method == http.MethodOptions)
}

// earlyAnswers passes 1xx answers on. The transport gives them from a goroutine
// of its own, which may come late: after the end they go nowhere.
type earlyAnswers struct {
	mu    sync.Mutex
	w     http.ResponseWriter
	ended bool
}

func (e *earlyAnswers) pass(code int, h http.Header) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended || code == http.StatusContinue { // net/http says 100 itself
		return nil
	}
	h = h.Clone()
	dropOurs(h)
	dropHopByHop(h)
	maps.Copy(e.w.Header(), h)
	e.w.WriteHeader(code)
	clear(e.w.Header())
	return nil
}

func (e *earlyAnswers) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
}

// outgoing is the request as the service should see it: the client's own,
// without what concerns only this connection.
func outgoing(ctx context.Context, r *http.Request, t target, upgrade string) *http.Request {
	u := *r.URL
	// Where it goes is the target, as it was checked, whatever way the client
	// spells it; Host stays as it came.
	u.Scheme, u.Host = t.scheme, t.addr()
	u.User, u.Fragment = nil, ""
	out := r.WithContext(ctx)
	out.URL, out.RequestURI = &u, ""
	out.Proto, out.ProtoMajor, out.ProtoMinor = "HTTP/1.1", 1, 1
	out.Close, out.TLS, out.RemoteAddr, out.Pattern = false, nil, "", ""
	if r.ContentLength == 0 {
		out.Body = nil
	}
	dropHopByHop(out.Header)
	if upgrade != "" {
		out.Header.Set("Connection", "Upgrade")
		out.Header.Set("Upgrade", upgrade)
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // none came, so none is added
	}
	return out
}

// hopByHop are the fields that concern one connection (RFC 9110, 7.6.1, and
// those that older clients still send).
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// dropHopByHop removes them, and those that Connection names. "TE: trailers"
// stays, since gRPC asks for it end to end.
func dropHopByHop(h http.Header) {
	for _, f := range h["Connection"] {
		for name := range strings.SplitSeq(f, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	trailers := httpguts.HeaderValuesContainsToken(h["Te"], "trailers")
	for _, name := range hopByHop {
		delete(h, name)
	}
	if trailers {
		h["Te"] = []string{"trailers"}
	}
}

// upgradeType is the protocol that a request or an answer switches to, or "".
// There is one: any other, such as h2c, would carry requests that nobody reads,
// and a server that is not asked for it answers as if there were none
// (RFC 9110, 7.8).
func upgradeType(h http.Header) string {
	if !httpguts.HeaderValuesContainsToken(h["Connection"], "Upgrade") ||
		len(h["Upgrade"]) != 1 || !strings.EqualFold(h.Get("Upgrade"), "websocket") {
		return ""
	}
	return h.Get("Upgrade")
}

// fail answers a request that has no answer. A client that has left gets none.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, t target, err error) {
	if r.Context().Err() != nil {
		panicAbort()
	}
	f := failureOf(err)
	s.log.Warn("a request could not be answered", "host", t.host, "error", f.Word, "cause", scrub(err))
	writeResponse(w, failed(r, err, errorID(err)))
}

// scrub is an error's text for the log, where it is certain to be ours or the
// system's: what net/http says of a broken answer quotes the answer, and what
// it says of a request quotes the URL, and both may hold a secret.
func scrub(err error) string {
	var (
		dial    *DialError
		address *AddressError
		port    *PortError
		op      *net.OpError
		cert    *tls.CertificateVerificationError
		store   storeError
	)
	for _, known := range []func() (error, bool){
		func() (error, bool) { return dial, errors.As(err, &dial) },
		func() (error, bool) { return address, errors.As(err, &address) },
		func() (error, bool) { return port, errors.As(err, &port) },
		func() (error, bool) { return op, errors.As(err, &op) },
		func() (error, bool) { return cert, errors.As(err, &cert) },
		func() (error, bool) { return store, errors.As(err, &store) },
	} {
		if e, ok := known(); ok {
			return e.Error()
		}
	}
	return failureOf(err).Detail
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// writeResponse sends resp to the client: as it comes where its length is not
// known, so that streams arrive at once.
func writeResponse(w http.ResponseWriter, resp *http.Response) {
	if resp.StatusCode < 200 || resp.StatusCode > 999 { // net/http cannot write it
		resp.Body.Close()
		resp = failed(resp.Request, errBadStatus, resp.Header.Get(headerID))
	}
	h := w.Header()
	maps.Copy(h, resp.Header)
	announced := len(resp.Trailer)
	for name := range resp.Trailer {
		h.Add("Trailer", name)
	}
	if resp.Close && resp.StatusCode == http.StatusProxyAuthRequired {
		h.Set("Connection", "close")
	}
	w.WriteHeader(resp.StatusCode)
	if resp.ContentLength != 0 {
		if err := copyBody(w, resp); err != nil {
			// The status is out: only a broken connection says that the
			// answer is not whole.
			panicAbort()
		}
	}
	dropOurs(resp.Trailer)
	if len(resp.Trailer) == 0 {
		return
	}
	if len(resp.Trailer) == announced {
		for name, values := range resp.Trailer {
			h[name] = values
		}
		return
	}
	for name, values := range resp.Trailer {
		h[http.TrailerPrefix+name] = values
	}
}

func copyBody(w http.ResponseWriter, resp *http.Response) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	flush := func() error { return nil }
	if resp.ContentLength < 0 || streams(resp) {
		flush = http.NewResponseController(w).Flush
		if err := flush(); err != nil {
			return err
		}
	}
	for {
		n, err := resp.Body.Read(*buf)
		if n > 0 {
			if _, err := w.Write((*buf)[:n]); err != nil {
				return err
			}
			if err := flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
