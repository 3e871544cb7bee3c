package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// serveIntercepted takes a request from inside an intercepted connection.
func (s *Server) serveIntercepted(w http.ResponseWriter, r *http.Request) {
	t, ok := r.Context().Value(targetKey{}).(*target)
	if !ok {
		http.Error(w, "quotagate: no target", http.StatusInternalServerError)
		return
	}
	w, done := patiently(w, r)
	defer done()
	if !t.named(r.Host) || !sameHost(r, t) {
		misdirected(w, r)
		return
	}
	if t.host == InternalHost {
		s.serveInternal(w, r, t.client)
		return
	}
	s.serve(w, r, t)
}

// misdirected answers a request for another host than the connection's. It is a
// function so that a held request's stack has no room for it.
func misdirected(w http.ResponseWriter, r *http.Request) {
	writeResponse(w, response(r, problem(http.StatusMisdirectedRequest,
		"quotagate: the request's Host is not the host that the connection was opened for", nil)))
}

// An errand is one request on its way through a Server.
type errand struct {
	early   earlyAnswers
	client  Client
	out     *http.Request
	sending *upload
	upgrade string // the protocol that it asks to switch to, or ""
}

// serve sends one request on and its answer back. Everything that the rules
// could see passes here. It may wait for hours on its stack, so what happens
// before and after that has functions of its own.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, t *target) {
	s.Counts.Requests.Add(1)
	e := s.accept(w, r, t)
	if e == nil {
		return
	}
	defer e.early.end()
	resp, err := s.cfg.Transport.RoundTrip(e.out)
	e.early.end()
	s.answer(w, r, t, e, resp, err)
}

// accept makes an errand of a request, or refuses it: nil.
//
//go:noinline
func (s *Server) accept(w http.ResponseWriter, r *http.Request, t *target) *errand {
	if refused := s.admit(r, t.client); refused != nil {
		writeResponse(w, refused)
		return nil
	}
	if s.looped(r) {
		writeResponse(w, failed(r, ErrLoop, ""))
		return nil
	}
	if err := s.egress(t.host); err != nil {
		writeResponse(w, failed(r, err, ""))
		return nil
	}
	if a, ok := refuseForm(r); !ok {
		writeResponse(w, a)
		return nil
	}
	e := &errand{early: earlyAnswers{w: w, log: s.log}, client: *t.client}
	if r.ProtoMajor == 1 && r.ProtoAtLeast(1, 1) { // others have no such thing (RFC 9110, 7.8)
		e.upgrade = upgradeType(r.Header)
	}
	if r.ProtoAtLeast(1, 1) {
		e.client.informational = e.early.pass
	}
	if r.ProtoMajor == 1 {
		e.client.conn = t.conn
	}
	e.client.path = pathAsSent(r)
	ctx := withVia(r.Context(), append(slices.Clip(t.via), r.Header["Via"]...))
	e.out = outgoing(WithClient(ctx, &e.client), r, t, e.upgrade)
	e.sending = watch(e.out, r.Trailer, s.log)
	return e
}

// answer gives the client what became of its request.
//
//go:noinline
func (s *Server) answer(w http.ResponseWriter, r *http.Request, t *target, e *errand, resp *http.Response, err error) {
	if err != nil {
		s.fail(w, r, t, err)
		return
	}
	defer resp.Body.Close()
	if resp.Header[headerDecision] == nil {
		s.visited(t, resp.StatusCode)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		s.switchProtocols(w, r, resp, e.upgrade)
		return
	}
	dropHopByHop(resp.Header)
	e.sending.answerMeanwhile(w, r, resp)
	writeResponse(w, resp)
}

// refuseForm answers requests whose form alone cannot be proxied.
func refuseForm(r *http.Request) (*http.Response, bool) {
	var a *http.Response
	switch {
	case r.Method == http.MethodConnect, r.Method == http.MethodTrace:
		a = response(r, problem(http.StatusMethodNotAllowed, "quotagate: this method is not proxied", nil))
		if r.Method == http.MethodConnect { // who asks for a tunnel may write into it before it is there
			a.Header.Set("Connection", "close")
		}
	case !plainTarget(r), r.ProtoMajor == 2 && malformed(r):
		a = response(r, problem(http.StatusBadRequest, "quotagate: the request's target cannot be read", nil))
	case r.Header["Expect"] != nil && !plainExpect(r.Header["Expect"]):
		a = response(r, problem(http.StatusExpectationFailed, "quotagate: the request expects what is not known here", nil))
		if r.ProtoMajor == 1 { // whether its body comes is not certain
			a.Header.Set("Connection", "close")
		}
	case lengthless(r):
		a = response(r, problem(http.StatusLengthRequired, "quotagate: an HTTP/1.0 request of this method needs a Content-Length", nil))
		a.Header.Set("Connection", "close")
	default:
		return nil, true
	}
	return a, false
}

// lengthless reports a request of HTTP/1.0 whose body has no length, and so no
// end (RFC 1945, 8.3): what it may have said of one in Transfer-Encoding, which
// that version does not know, another server could believe (RFC 9112, 6.1).
func lengthless(r *http.Request) bool {
	_, told := r.Header["Content-Length"]
	return !r.ProtoAtLeast(1, 1) && !told && !safe(r.Method)
}

// malformed reports what net/http takes over HTTP/2 and no HTTP/1.1 server
// would read (RFC 9113, 8.1.1 and 8.3.1): a method or target that is none, and
// a length without a body.
func malformed(r *http.Request) bool {
	length := r.Header.Get("Content-Length")
	return !httpguts.ValidHeaderFieldName(r.Method) || r.URL.IsAbs() || strings.Contains(r.RequestURI, " ") ||
		r.ContentLength == 0 && length != "" && length != "0"
}

// named reports whether a Host means the target.
func (t *target) named(hostport string) bool {
	if hostport == t.host && t.port == 443 && t.scheme == "https" { // nearly all
		return true
	}
	host, port, err := splitTarget(hostport, t.scheme)
	bracketed := hostport != "" && hostport[0] == '[' && !strings.Contains(host, ":")
	return err == nil && host == t.host && port == t.port && !bracketed
}

// sameHost takes the Host off a request of HTTP/2, which has it beside its
// :authority, and reports whether it says the same (RFC 9113, 8.3.1).
func sameHost(r *http.Request, t *target) bool {
	for _, h := range r.Header["Host"] {
		if !t.named(h) {
			return false
		}
	}
	delete(r.Header, "Host")
	return true
}

// plainTarget reports whether a request's target is a path, as rules read it.
// One with a fragment is none (RFC 9112, 3.2): some servers, nginx among them,
// cut it off, and then "/send#/x" is "/send".
// Go takes "x:https://host/path" for an opaque URL, which has none and is sent
// as it stands.
func plainTarget(r *http.Request) bool {
	return r.URL.Opaque == "" && !strings.Contains(r.RequestURI, "#") && (strings.HasPrefix(r.URL.Path, "/") ||
		r.URL.Path == "" && r.URL.IsAbs() || r.URL.Path == "*" && r.Method == http.MethodOptions)
}

// earlyAnswers passes 1xx answers on. The transport gives them from a goroutine
// of its own, which may come late: after the end they go nowhere.
type earlyAnswers struct {
	mu    sync.Mutex
	w     http.ResponseWriter
	ended bool
	log   *slog.Logger
}

// pass passes one on; a panic there is an error to the transport.
func (e *earlyAnswers) pass(code int, h http.Header) error {
	if Contained(e.log, "an early answer", func() { e.write(code, h) }) {
		return errPanicked
	}
	return nil
}

func (e *earlyAnswers) write(code int, h http.Header) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended || code == http.StatusContinue { // net/http says 100 itself
		return
	}
	h = h.Clone()
	dropOurs(h)
	dropHopByHop(h)
	maps.Copy(e.w.Header(), h)
	e.w.WriteHeader(code)
	clear(e.w.Header())
}

func (e *earlyAnswers) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
}

// outgoing is the request as the service should see it: the client's own,
// without what concerns only this connection.
//
//go:noinline
func outgoing(ctx context.Context, r *http.Request, t *target, upgrade string) *http.Request {
	u := *r.URL
	// Where it goes is the target, as it was checked, whatever way the client
	// spells it; Host stays as it came.
	u.Scheme, u.Host = t.scheme, t.addr
	u.User, u.Fragment = nil, ""
	out := r.WithContext(ctx)
	out.URL, out.RequestURI = &u, ""
	out.Proto, out.ProtoMajor, out.ProtoMinor = "HTTP/1.1", 1, 1
	out.TLS, out.RemoteAddr, out.Pattern = nil, "", ""
	// A service that expects no body here may take it for the next request, so
	// there is to be none.
	out.Close = r.ContentLength != 0 && safe(r.Method)
	out.Trailer = trailers(r)
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

// hopByHop reports the fields that concern one connection (RFC 9110, 7.6.1, and
// those that older clients still send).
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate",
		"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// dropHopByHop removes them, and those that Connection names. "TE: trailers"
// stays, since gRPC asks for it end to end.
//
//go:noinline
func dropHopByHop(h http.Header) {
	for _, f := range h["Connection"] {
		for name := range strings.SplitSeq(f, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	trailers := httpguts.HeaderValuesContainsToken(h["Te"], "trailers")
	for name := range h {
		if hopByHop(name) {
			delete(h, name)
		}
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
func (s *Server) fail(w http.ResponseWriter, r *http.Request, t *target, err error) {
	if stoodStill(r) { // net/http takes its deadline for the client's leaving
		err = errSlowBody
	} else if r.Context().Err() != nil {
		panicAbort()
	}
	f := failureOf(err)
	s.countRefused(err)
	s.log.Warn("a request could not be answered", "host", t.host, "error", f.Word, "cause", scrub(err))
	if errorID(err) == "" {
		s.visited(t, f.Status)
	}
	writeResponse(w, failed(r, err, errorID(err)))
}

// scrub is an error's text for the log, where it is certain to be ours or the
// system's: what net/http says of a broken answer quotes the answer, and what
// it says of a request quotes the URL, and both may hold a secret.
func scrub(err error) string {
	var (
		parent  *ParentError
		dial    *DialError
		address *AddressError
		port    *PortError
		op      *net.OpError
		cert    *tls.CertificateVerificationError
		store   storeError
	)
	for _, known := range []func() (error, bool){
		func() (error, bool) { return parent, errors.As(err, &parent) },
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
