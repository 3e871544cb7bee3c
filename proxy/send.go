package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"time"

	"quotagate/rules"
)

// settleTimeout bounds how long settling with the ledger may take.
const settleTimeout = 2 * time.Second

// maxAnswer bounds how much of an answer is read to learn what became of a
// message. The answers of the packs' services are a few kilobytes.
const maxAnswer = 1 << 20

// send lets the message out and settles what became of it.
//
//go:noinline
func (t *transit) send() (*http.Response, error) {
	ctx := t.req.Context()
	if ctx.Err() != nil { // the last moment at which it costs nothing
		return t.undecided(ctx, context.Cause(ctx))
	}
	tr := &sendTrace{client: t.client}
	out := t.client.spell(t.outgoing(tr.attach(ctx)))
	heard := t.e.listen(t.sight)
	if t.mere() {
		out = heard.asked(out)
	} else {
		heard.knows(t.body)
	}
	if t.reserved && t.concurrent() {
		t.lease = newLease(t.e.Ledger, t.id, t.e.log())
	}
	begin := t.e.clock().Now()
	resp, err := t.e.forward(out, tr, !t.mere())
	took := t.e.clock().Now().Sub(begin)
	if err != nil {
		return nil, t.unsent(err, tr, took)
	}
	t.settle(resp, took)
	heard.answered(resp)
	return resp, nil
}

// outgoing is the request as it goes to the service: as it came, with its body
// to be read again.
func (t *transit) outgoing(ctx context.Context) *http.Request {
	out := t.req.WithContext(ctx)
	if t.mere() { // it streams, and may be repeated as any other call
		return out
	}
	// Without GetBody the transport repeats a request only if nothing of it
	// was written. With one, or without a body, it repeats what it takes to
	// be harmless (a GET, an Idempotency-Key) on a connection that died, and
	// the message may then be sent twice for one charge.
	out.GetBody = nil
	withoutExpect(out)
	switch {
	case len(t.body) > 0 || t.req.ContentLength != 0 && t.req.Body != nil && t.req.Body != http.NoBody:
		out.Body = inMemory(t.body)
	case repeatable(t.req):
		out.Body = emptyBody{}
	default:
		out.Body = nil
	}
	return out
}

// repeatable reports what http.Transport takes to be harmless to send twice.
func repeatable(req *http.Request) bool {
	_, key := req.Header["Idempotency-Key"]
	_, xkey := req.Header["X-Idempotency-Key"]
	return key || xkey || safe(req.Method) || req.Method == "" || req.Method == http.MethodTrace
}

// emptyBody is a body that http.Transport cannot tell to be none.
type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyBody) Close() error             { return nil }

// A sendTrace notes whether the request may have been written. It is the
// context in which the request is sent.
type sendTrace struct {
	context.Context
	hooks   httptrace.ClientTrace
	client  *Client
	conn    net.Conn // the latest
	gotConn atomic.Bool
	reused  atomic.Bool // the connection carried requests before
	wanted  atomic.Bool // the service asked for a client certificate
	// answered: something came back
	answered atomic.Bool
	written  atomic.Bool // to the connection, as far as the transport can tell
	place    outgoingPlace
}

func (s *sendTrace) attach(ctx context.Context) context.Context {
	s.Context = ctx
	s.hooks.GotConn = func(c httptrace.GotConnInfo) {
		s.gotConn.Store(true)
		s.reused.Store(c.Reused)
		if !c.Reused {
			gather(c.Conn)
		}
		if e := s.place.within; e != nil {
			e.outbox.put(s, c.Conn)
		} else {
			s.conn = c.Conn
		}
	}
	s.hooks.WroteRequest = func(httptrace.WroteRequestInfo) { s.written.Store(true) }
	s.hooks.GotFirstResponseByte = func() { s.answered.Store(true) }
	if s.client.informational != nil {
		s.hooks.Got1xxResponse = func(code int, h textproto.MIMEHeader) error {
			return s.client.informational(code, http.Header(h))
		}
	}
	return httptrace.WithClientTrace(s, &s.hooks)
}

// Value leads from a handshake to the request that it is for.
func (s *sendTrace) Value(key any) any {
	if key == (handshakeKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// unsent settles a message that got no answer. Only where no connection was
// ever had, or its handshake failed, is it certain that nobody read a byte.
func (t *transit) unsent(err error, tr *sendTrace, took time.Duration) error {
	err = t.e.unshaken(err, tr, t.req)
	var unshaken clientCertificateError
	r := t.newRecord(DecisionError)
	r.Upstream = took
	f := failureOf(err)
	r.Status, r.Reason = f.Status, f.Detail
	if t.req.Context().Err() != nil {
		r.Status, r.Reason = 0, "the client left before the service answered"
	}
	if tr.gotConn.Load() && !errors.As(err, &unshaken) {
		r.Reason += "; it may have been sent, so it counts"
		t.chargeLater(t.e.clock().Now())
		t.keep()
	} else {
		t.giveBack()
		err = errNotWritten{err}
	}
	t.report(r)
	return answeredError{err: err, id: t.id}
}

// answeredError carries a governed request's id to whoever answers.
type answeredError struct {
	err error
	id  string
}

func (e answeredError) Error() string { return e.err.Error() }
func (e answeredError) Unwrap() error { return e.err }

func errorID(err error) string {
	var a answeredError
	if errors.As(err, &a) {
		return a.id
	}
	return ""
}

// settle reads the answer, gives back what was certainly not sent, and writes
// the record: the one place where a message's account is closed.
func (t *transit) settle(resp *http.Response, took time.Duration) {
	outcomes := t.outcomes(resp)
	var returned []int
	for i, o := range outcomes {
		if o == rules.NotSent {
			returned = append(returned, i)
		}
	}
	all := len(returned) == t.sends()
	now := t.e.clock().Now()
	reason := ""
	switch {
	case all:
		reason = "the service did not take it, so it does not count"
	case len(returned) > 0:
		reason = "the service did not take all of it; those do not count"
	}
	if len(returned) == len(outcomes) { // and so not even the call counts
		t.giveBack()
	} else {
		t.giveBackItems(returned)
		t.chargeLater(now)
		if t.concurrent() {
			t.keepAtEnd(resp)
		} else {
			t.keep()
		}
	}
	if !all {
		t.threads()
	}
	t.cool(outcomes, resp, now)
	r := t.newRecord(DecisionForward)
	r.Status, r.Upstream = resp.StatusCode, took
	if r.Reason != "" && reason != "" {
		r.Reason += "; "
	}
	r.Reason += reason
	for i := range r.Messages {
		r.Messages[i].Outcome = outcomeName(outcomes[i])
	}
	dropOurs(resp.Header)
	resp.Header[headerDecision] = []string{DecisionForward}
	resp.Header[headerID] = []string{t.id}
	if len(r.Warned) > 0 {
		resp.Header[headerWarning] = []string{strings.Join(r.Warned, ", ")}
	}
	setQuota(resp.Header, &t.decision, t.claims)
	t.report(r)
}

func outcomeName(o rules.Outcome) string {
	switch o {
	case rules.Sent:
		return "sent"
	case rules.NotSent:
		return "not_sent"
	case rules.Throttled:
		return "throttled"
	case rules.Restricted:
		return "restricted"
	case rules.Challenged:
		return "challenged"
	}
	return ""
}

// outcomes asks the pack what the answer says about each message.
func (t *transit) outcomes(resp *http.Response) []rules.Outcome {
	var body []byte
	if t.sending.OutcomeNeedsBody() && resp.StatusCode != http.StatusSwitchingProtocols &&
		resp.ContentLength <= maxAnswer && !streams(resp) {
		body = peekAnswer(resp)
	}
	return t.sending.Outcomes(resp.StatusCode, resp.Header, body)
}

// streams reports answers that are not to be waited for.
func streams(resp *http.Response) bool {
	ct := resp.Header.Get("Content-Type")
	return strings.HasPrefix(ct, "text/event-stream") || strings.HasPrefix(ct, "application/x-ndjson")
}

// peekAnswer reads the answer's body and puts it back. What arrives before an
// error is put back with the error behind it.
func peekAnswer(resp *http.Response) []byte {
	rest := resp.Body
	body, err := readUpTo(rest, resp.ContentLength, maxAnswer, nil)
	switch {
	case err == errTooLarge:
		resp.Body = rejoined{io.MultiReader(bytes.NewReader(body), rest), rest}
		return nil
	case err != nil:
		resp.Body = rejoined{io.MultiReader(bytes.NewReader(body), errorReader{err}), rest}
		return nil
	}
	again := &readBack{Closer: rest}
	again.Reset(body)
	resp.Body = again
	return body
}

type rejoined struct {
	io.Reader
	io.Closer
}

type errorReader struct{ err error }

func (e errorReader) Read([]byte) (int, error) { return 0, e.err }
