package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// defaultMaxBody bounds the body that is read to find a message in it. The
// largest upload that the first packs know as a message is Telegram's, 50 MB
// (https://core.telegram.org/bots/api#sending-files, read 2026-11-21).
const defaultMaxBody = 64 << 20

// defaultMaxHeld bounds the requests that wait at once.
const defaultMaxHeld = 10000

// An Enforcer lets a request through, holds it, or answers it with a refusal,
// by the rules in force and what the ledger says. It is an http.RoundTripper
// and may be used by any number of goroutines. Rules and Ledger are required.
//
// A request that sends no message goes to Next as it is. A message is sent at
// most once, and only after what it takes from its limits is recorded; quota
// comes back only where it is certain that nothing was sent.
//
// RoundTrip answers a refusal as a response, not as an error. It returns an
// error only if the client's context ended or Next failed, and an error of
// Next's is wrapped, never hidden.
type Enforcer struct {
	// Rules returns the set in force. It is asked once per request, and once
	// more when a held one is due.
	Rules func() *rules.Set
	// Ledger counts and decides.
	Ledger ratelimit.Store
	// Next sends what is let through; nil means http.DefaultTransport. It
	// must not follow redirects.
	Next http.RoundTripper
	// Record, if set, is called with every decision before RoundTrip returns
	// the response, and when a hold begins. It must not keep the record.
	Record func(*Record)
	// Clock is what holds wait on; nil means the machine's.
	Clock Clock
	// MaxBody is the most bytes of a body that are read to find a message
	// (default 64 MiB). A larger one that might be a message is refused.
	MaxBody int64
	// MaxHeld is the most requests that wait at once (default 10,000).
	MaxHeld int64
	// Draining, once closed, ends every hold with a 503 and admits no new one.
	Draining <-chan struct{}

	held atomic.Int64
}

// Held is the number of requests that wait now.
func (e *Enforcer) Held() int64 { return e.held.Load() }

func (e *Enforcer) clock() Clock {
	if e.Clock != nil {
		return e.Clock
	}
	return WallClock{}
}

func (e *Enforcer) next() http.RoundTripper {
	if e.Next != nil {
		return e.Next
	}
	return http.DefaultTransport
}

func (e *Enforcer) draining() bool {
	select {
	case <-e.Draining:
		return true
	default:
		return false
	}
}

// RoundTrip governs one request.
func (e *Enforcer) RoundTrip(req *http.Request) (*http.Response, error) {
	set := e.Rules()
	client := clientOf(req.Context())
	call := callOf(req, client)
	sight := set.Look(&call)
	if !sight.Message() && !barred(&sight, req) {
		return e.pass(req, client)
	}
	t := &transit{e: e, req: req, client: client, set: set, now: e.clock().Now()}
	t.id = newID(t.now)
	if !sight.Message() {
		return t.refuseUnread(sight.Service(), http.StatusForbidden, "unmatched",
			"the rules let nothing pass here that is no message they know"), nil
	}

	// The body is read to its end before anything waits: net/http notices
	// that a client has left only once its request was read.
	body, err := readBody(req, e.maxBody())
	switch {
	case errors.Is(err, errTooLarge):
		return t.refuseUnread(sight.Service(), http.StatusRequestEntityTooLarge, "unreadable",
			"the request could be a message, and its body is larger than what is inspected"), nil
	case err != nil:
		return nil, err
	}
	t.body = body
	sending, err := sight.Read(body)
	switch {
	case err != nil:
		return t.refuseUnread(sight.Service(), http.StatusForbidden, refusalName(err), err.Error()), nil
	case sending == nil && barred(&sight, req):
		return t.refuseUnread(sight.Service(), http.StatusForbidden, "unmatched",
			"the rules let nothing pass here that is no message they know"), nil
	case sending == nil:
		return e.pass(withBody(req, body), client)
	}
	t.sending = sending
	return t.run()
}

// barred reports calls that a service's rules refuse although they are no
// message: those that could be a message no rule knows yet.
func barred(s *rules.Sighting, req *http.Request) bool {
	if upgradeType(req.Header) != "" && s.WebSockets() == "reject" {
		return true
	}
	return s.Unmatched() == "reject" && !safe(req.Method)
}

// safe methods change nothing (RFC 9110, 9.2.1).
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// callOf is the request in the rules' terms.
func callOf(req *http.Request, client *Client) rules.Call {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	return rules.Call{
		Method:        req.Method,
		Scheme:        req.URL.Scheme,
		Host:          host,
		Path:          req.URL.EscapedPath(),
		Query:         req.URL.RawQuery,
		Header:        req.Header,
		ProxyUser:     client.User,
		Authenticated: client.Authenticated,
	}
}

// An unreadError says that the rules could not tell what a request sends.
type unreadError struct{ err error }

func (e unreadError) Error() string { return e.err.Error() }
func (e unreadError) Unwrap() error { return e.err }

// refusalName is the Quotagate-Limit of a request that was refused before any
// limit was asked.
func refusalName(err error) string {
	switch {
	case errors.Is(err, rules.ErrUnknownAccount):
		return "unknown-account"
	case errors.Is(err, rules.ErrAmbiguous), errors.Is(err, rules.ErrMixedAccounts):
		return "ambiguous-account"
	}
	return "unreadable"
}

// pass sends a request that is no message.
func (e *Enforcer) pass(req *http.Request, client *Client) (*http.Response, error) {
	if client.informational != nil {
		tr := &sendTrace{client: client}
		req = req.WithContext(tr.attach(req.Context()))
	}
	resp, err := e.next().RoundTrip(req)
	if err != nil {
		return nil, err
	}
	dropOurs(resp.Header)
	return resp, nil
}

// dropOurs removes headers that only the proxy may set, and the one that
// would lead a client around it.
func dropOurs(h http.Header) {
	delete(h, "Alt-Svc")
	for k := range h {
		if len(k) > len(headerPrefix) && strings.EqualFold(k[:len(headerPrefix)], headerPrefix) {
			delete(h, k)
		}
	}
}

var errTooLarge = errors.New("body too large to inspect")

func (e *Enforcer) maxBody() int64 {
	if e.MaxBody > 0 {
		return e.MaxBody
	}
	return defaultMaxBody
}

// readBody reads the whole body, at most max bytes.
func readBody(req *http.Request, max int64) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	defer req.Body.Close()
	if req.ContentLength > max {
		return nil, errTooLarge
	}
	if req.ContentLength > 0 {
		// What is announced is only believed as it arrives: memory grows
		// with the bytes that came, not with the header.
		// The rest is what a Buffer wants free to see the end.
		b := make([]byte, 0, min(req.ContentLength, 64<<10)+bytes.MinRead)
		return readAll(b, req.Body, max)
	}
	return readAll(nil, req.Body, max)
}

func readAll(b []byte, r io.Reader, max int64) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	n, err := buf.ReadFrom(io.LimitReader(r, max+1))
	if err != nil {
		return nil, err
	}
	if n > max {
		return nil, errTooLarge
	}
	return buf.Bytes(), nil
}

// withBody is the request with its body to be read once more. It may be
// replayed by the transport only as far as nothing was written: a GetBody
// together with an Idempotency-Key would let it send a message twice.
func withBody(req *http.Request, body []byte) *http.Request {
	out := req.WithContext(req.Context())
	if len(body) == 0 && (req.Body == nil || req.Body == http.NoBody) {
		return out
	}
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.GetBody = nil
	return out
}

// A transit is one governed request on its way.
type transit struct {
	e       *Enforcer
	req     *http.Request
	client  *Client
	set     *rules.Set
	id      string
	now     time.Time // when it arrived
	body    []byte
	sending *rules.Sending

	account  string // the ledger's name for it
	claims   []ratelimit.Claim
	decision ratelimit.Decision
	reserved bool // the ledger holds a reservation under id
	held     time.Duration
}

// run asks the ledger, waits if it must, and sends or refuses.
func (t *transit) run() (*http.Response, error) {
	ctx := t.req.Context()
	if t.e.draining() {
		return nil, errDraining
	}
	err := t.reserve(ctx, false)
	for err == nil {
		switch t.decision.Verdict {
		case ratelimit.Go:
			return t.send()
		case ratelimit.Refused:
			return t.refuse(), nil
		}
		if err = t.hold(ctx); err == nil {
			err = t.again(ctx)
		}
	}
	return t.undecided(ctx, err)
}

// undecided ends a transit that got no verdict: the client left, the proxy is
// stopping, or the ledger did not answer.
func (t *transit) undecided(ctx context.Context, err error) (*http.Response, error) {
	t.giveBack()
	var store storeError
	if errors.As(err, &store) && ctx.Err() == nil {
		if t.set.OnStoreError(t.sending, t.account) == "forward" {
			t.claims, t.decision = nil, ratelimit.Decision{}
			return t.send()
		}
		t.record(DecisionError, http.StatusServiceUnavailable, "the ledger did not answer: "+store.err.Error())
		return failed(t.req, err, t.id), nil
	}
	var unread unreadError
	if errors.As(err, &unread) {
		return t.refuseUnread(t.sending.Service, http.StatusForbidden, refusalName(unread.err), unread.Error()), nil
	}
	if ctx.Err() != nil {
		t.record(DecisionCancel, 0, "the client left before the message was sent")
		return nil, context.Cause(ctx)
	}
	t.record(DecisionReject, failureOf(err).Status, err.Error())
	return failed(t.req, err, t.id), nil
}

// reserve asks for room in every limit that binds the sending.
func (t *transit) reserve(ctx context.Context, replace bool) error {
	t.account = t.sending.Account
	if t.account == "" && len(t.sending.Identities) > 0 {
		account, err := t.e.Ledger.Resolve(ctx, t.sending.Identities)
		if err != nil {
			return storeError{err}
		}
		t.account = account
	}
	t.claims = t.set.Claims(t.sending, t.account, t.e.clock().Now())
	if len(t.claims) == 0 && len(t.sending.Identities) == 0 {
		t.decision = ratelimit.Decision{Verdict: ratelimit.Go, Now: t.now.UnixMilli(), Account: t.account, Fits: -1}
		return nil
	}
	d, err := t.e.Ledger.Reserve(ctx, ratelimit.Request{
		ID:      t.id,
		Account: t.account,
		Aliases: t.sending.Identities,
		Claims:  t.claims,
		Arrived: t.now.UnixMilli(),
		Replace: replace,
	})
	if err != nil {
		return storeError{err}
	}
	t.took(d)
	return nil
}

// took notes the ledger's answer.
func (t *transit) took(d ratelimit.Decision) {
	t.decision = d
	t.account = d.Account
	t.reserved = d.Verdict == ratelimit.Go || d.Verdict == ratelimit.Booked
}

// again asks once more for a held sending whose time has come.
func (t *transit) again(ctx context.Context) error {
	booked := t.decision.Verdict == ratelimit.Booked
	if set := t.e.Rules(); set != t.set {
		return t.reread(ctx, set, booked)
	}
	if !booked {
		return t.reserve(ctx, false)
	}
	d, err := t.e.Ledger.Fire(ctx, t.id)
	if err != nil {
		return storeError{err}
	}
	uses := t.decision.Uses
	t.took(d)
	if len(d.Uses) == 0 {
		t.decision.Uses = uses
	}
	return nil
}

// reread finds out what a held request means under new rules, and asks for
// room in their limits in place of what it had booked.
func (t *transit) reread(ctx context.Context, set *rules.Set, booked bool) error {
	call := callOf(t.req, t.client)
	var sending *rules.Sending
	if sight := set.Look(&call); sight.Message() {
		var err error
		if sending, err = sight.Read(t.body); err != nil {
			return unreadError{err}
		}
	}
	t.set = set
	if sending == nil { // the new rules know no message here
		t.giveBack()
		t.claims = nil
		t.decision = ratelimit.Decision{Verdict: ratelimit.Go, Now: t.now.UnixMilli(), Account: t.account, Fits: -1}
		return nil
	}
	t.sending = sending
	return t.reserve(ctx, booked)
}

// giveBack cancels the reservation, also after the client's context ended.
func (t *transit) giveBack(items ...int) {
	if !t.reserved {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.req.Context()), settleTimeout)
	defer cancel()
	// If the ledger cannot take it back, it stays counted: never over.
	_ = t.e.Ledger.Cancel(ctx, t.id, items...)
	if len(items) == 0 {
		t.reserved = false
	}
}
