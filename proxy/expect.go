package proxy

// A client that says `Expect: 100-continue` sends its body when it is asked
// for it, which net/http does when somebody reads it. So what can be refused
// without the body is refused before anybody does.

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"quotagate/ratelimit"
)

// expects reports a client that waits to be asked for its body (RFC 9110,
// 10.1.1).
func expects(req *http.Request) bool {
	return req.ContentLength != 0 && req.Body != nil && httpguts.HeaderValuesContainsToken(req.Header["Expect"], "100-continue")
}

// plainExpect reports the one expectation that there is (RFC 9110, 10.1.1), and
// nothing beside it: whether net/http, the service and whatever is between them
// see it in another spelling, and so who waits for whom, nobody could tell.
func plainExpect(lines []string) bool {
	return len(lines) == 1 && strings.EqualFold(lines[0], "100-continue")
}

// withoutExpect takes the expectation off a request whose body was read: it
// was met here, and a service that does not know it would only cost the second
// that the transport waits for its word.
func withoutExpect(out *http.Request) {
	if _, ok := out.Header["Expect"]; ok {
		out.Header = maps.Clone(out.Header)
		delete(out.Header, "Expect")
	}
}

// turnAway refuses a message whose body is not needed for that: the proxy is
// stopping, or who sends to whom stands in the path and the headers and there
// is no room. nil: the body is wanted. The question is dry, so it takes nothing
// and is asked again, with the body, if there is room.
//
//go:noinline
func (e *Enforcer) turnAway(req *http.Request) *http.Response {
	stopping := e.draining()
	if !stopping && !expects(req) || req.URL.Opaque != "" {
		return nil
	}
	set, client := e.Rules(), ClientOf(req.Context())
	call := callOf(req, client)
	sight := set.Look(&call)
	if !sight.Message() || opensSocket(&sight, req) || !stopping && sight.NeedsBody() {
		return nil
	}
	now := e.clock().Now()
	t := &transit{e: e, req: req, client: client, set: set, sight: &sight, id: newID(now), now: now, dry: true}
	if stopping {
		f := failureOf(ErrDraining)
		r := t.newRecord(DecisionReject)
		r.Service, r.Status, r.Reason = sight.Service(), f.Status, ErrDraining.Error()
		t.emit(r)
		closeBody(req)
		return failed(req, ErrDraining, t.id)
	}
	var err error
	if t.sending, err = sight.Read(nil); err != nil || t.sending == nil {
		return nil // what it is will be told with the body
	}
	if err := t.ask(req.Context()); err != nil || t.decision.Verdict != ratelimit.Refused {
		return nil
	}
	closeBody(req)
	return t.refuse()
}

// patiently wraps a request whose client waits to be asked for its body. If
// nobody asks, the answer says that the connection ends, and it does: net/http
// would otherwise wait for the body, which may never come, before it lets the
// answer's connection go, or where the body is closed even before the answer.
//
//go:noinline
func patiently(w http.ResponseWriter, r *http.Request) (_ http.ResponseWriter, done func()) {
	if r.ProtoMajor != 1 || !expects(r) {
		return w, func() {}
	}
	body := &patientBody{ReadCloser: r.Body}
	r.Body = body
	return patientWriter{w, body}, func() {
		if !body.asked.Load() {
			// If it cannot be set, the connection's own deadline ends it.
			_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// A patientBody notes whether it was asked for.
type patientBody struct {
	io.ReadCloser
	asked, closed atomic.Bool
}

func (b *patientBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	b.asked.Store(true)
	return b.ReadCloser.Read(p)
}

func (b *patientBody) Close() error {
	b.closed.Store(true)
	if !b.asked.Load() {
		return nil
	}
	return b.ReadCloser.Close()
}

type patientWriter struct {
	http.ResponseWriter
	body *patientBody
}

func (w patientWriter) WriteHeader(status int) {
	if status >= 200 && !w.body.asked.Load() {
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
