package proxy

// A client that says `Expect: 100-continue` sends its body when it is asked
// for it, which net/http does when somebody reads it. So what can be refused
// without the body is refused before anybody does.

import (
	"maps"
	"net/http"

	"golang.org/x/net/http/httpguts"

	"quotagate/ratelimit"
)

// expects reports a client that waits to be asked for its body (RFC 9110,
// 10.1.1).
func expects(req *http.Request) bool {
	return req.ContentLength != 0 && req.Body != nil && httpguts.HeaderValuesContainsToken(req.Header["Expect"], "100-continue")
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
func (e *Enforcer) turnAway(req *http.Request) *http.Response {
	stopping := e.draining()
	if !stopping && !expects(req) || req.URL.Opaque != "" {
		return nil
	}
	set, client := e.Rules(), clientOf(req.Context())
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
