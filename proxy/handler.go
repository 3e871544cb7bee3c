package proxy

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
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
	switch r.Method {
	case http.MethodConnect, http.MethodTrace:
		writeResponse(w, response(r, problem(http.StatusMethodNotAllowed, "quotagate: this method is not proxied", nil)))
		return
	}
	upgrade := upgradeType(r.Header)
	early := &earlyAnswers{w: w}
	client := *t.client
	if r.ProtoAtLeast(1, 1) {
		client.informational = early.pass
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
	u.Scheme = t.scheme
	u.Host = r.Host
	if u.Host == "" {
		u.Host = t.addr()
	}
	out := (&http.Request{
		Method:           r.Method,
		URL:              &u,
		Host:             r.Host,
		Header:           r.Header,
		Body:             r.Body,
		ContentLength:    r.ContentLength,
		TransferEncoding: r.TransferEncoding,
		Trailer:          r.Trailer,
		Proto:            "HTTP/1.1",
		ProtoMajor:       1,
		ProtoMinor:       1,
	}).WithContext(ctx)
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
func upgradeType(h http.Header) string {
	if !httpguts.HeaderValuesContainsToken(h["Connection"], "Upgrade") {
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

// scrub is an error's text for the log: the URL that net/http puts into its
// errors may hold a token, so only what is below it is kept.
func scrub(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// writeResponse sends resp to the client: as it comes where its length is not
// known, so that streams arrive at once.
func writeResponse(w http.ResponseWriter, resp *http.Response) {
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
