package proxy

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// defaultMaxBody bounds the body that is read to find a message in it. The
// largest upload that the first packs know as a message is Telegram's, 50 MB
// (https://core.telegram.org/bots/api#sending-files, read 2026-11-21).
const defaultMaxBody = 64 << 20

// An Enforcer lets a request through, holds it, or answers it with a refusal,
// by the rules in force and what the ledger says. It is an http.RoundTripper
// and may be used by any number of goroutines. Rules and Ledger are required.
//
// A request that sends no message goes to Next as it is, unless a limit counts
// all calls of its service. A message is sent at
// most once, and only after what it takes from its limits is recorded; quota
// comes back only where it is certain that nothing was sent.
//
// RoundTrip answers a refusal as a response, not as an error. It returns an
// error only if the request could not be read, its client left, or Next failed;
// an error of Next's is wrapped, never hidden.
type Enforcer struct {
	// Rules returns the set in force. It is asked once per request, and once
	// more when a held one is due; RulesChanged has those asked anew at once.
	Rules func() *rules.Set
	// Ledger counts and decides. One that also has ReserveLocally and Charge, as
	// a ratelimit.Guarded has, is asked by them while it does not answer and
	// the rules say `on_store_error: local`, or forward.
	Ledger ratelimit.Store
	// Rates smooth requests before the ledger is asked; nil: no limit with a
	// `rate` is enforced.
	Rates ratelimit.Rates
	// Next sends what is let through; nil means http.DefaultTransport. It
	// must not follow redirects.
	Next http.RoundTripper
	// Record, if set, is called with every decision before RoundTrip returns
	// the response, and when a hold begins. It must not keep the record.
	Record func(*Record)
	// Recorded, if set, is called before the last byte of an answer about
	// which there was a record: it returns when that is where it belongs. It
	// may be called more than once.
	Recorded func()
	// Unmatched, if set, is called for every call that is no message the
	// rules know, on services whose rules say `unmatched: report`.
	Unmatched func(service string)
	// Log, if set, gets what a person should see and no record tells.
	Log *slog.Logger
	// Clock is what holds wait on; nil means the machine's.
	Clock Clock
	// MaxBody is the most bytes of a body that are read to find a message
	// (default 64 MiB). A larger one that might be a message is refused.
	MaxBody int64
	// MaxHeld is the most requests that wait at once (default 10,000), and
	// MaxHeldPerAccount the most of one account (default 1,000). What would
	// have to wait beside them is refused with a 503.
	MaxHeld, MaxHeldPerAccount int64
	// MaxHeldPerClient is the most of one user of the proxy, or of one address
	// where nobody is asked who he is, whatever accounts they are of; 0 is half
	// of MaxHeld, and all of it for this machine's own programs.
	MaxHeldPerClient int64
	// MaxBuffered is the most bytes of bodies that are in memory at once to be
	// looked at (default 512 MiB).
	MaxBuffered int64
	// MaxResponseTime is how long a service may take from having got a request
	// until its answer begins (default 5 minutes). Next keeps that time too: an
	// http.Transport by its ResponseHeaderTimeout. A connection that does not take
	// a short request for so long, and an eighth, is closed.
	MaxResponseTime time.Duration
	// Draining, once closed, ends every hold with a 503 and admits no new one.
	Draining <-chan struct{}

	room     waitingRoom
	unasked  atomic.Int64 // messages that the ledger could not be asked about
	crowded  atomic.Int64 // bodies that there was no room for
	tooLarge atomic.Int64 // bodies that were too large to be read
	unbegun  atomic.Int64 // requests whose service did not begin to answer
	panics   atomic.Int64
	bodies   bodyRoom
	outbox   outbox
	desk     desk
	flights  flights
	gateOnce sync.Once
	theGate  *ratelimit.Gate
	learning learning
}

// StoreErrors is how often the ledger could not be asked, since the start.
func (e *Enforcer) StoreErrors() int64 { return e.unasked.Load() }

func (e *Enforcer) clock() Clock {
	if e.Clock != nil {
		return e.Clock
	}
	return WallClock{}
}

func (e *Enforcer) log() *slog.Logger {
	if e.Log != nil {
		return e.Log
	}
	return slog.New(slog.DiscardHandler)
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
func (e *Enforcer) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	var r reading
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, e.contain(p, req, r.transit)
		}
		r.done()
		if e.Recorded != nil && (r.transit != nil || r.barrier != nil) {
			e.recorded(resp)
		}
	}()
	if resp := e.turnAway(req); resp != nil {
		return resp, nil
	}
	err = e.read(req, &r)
	switch {
	case err != nil:
		closeBody(req)
		return nil, err
	case r.barrier != nil:
		return r.bar()
	}
	if r.unknown && e.Unmatched != nil {
		e.Unmatched(r.service)
	}
	if r.transit == nil {
		return e.pass(r.req, r.client, r.sight)
	}
	return r.transit.run()
}

// recorded has the records written before an answer, or an error, is told.
func (e *Enforcer) recorded(resp *http.Response) {
	if resp == nil {
		e.Recorded()
		return
	}
	atEnd(resp, e.Recorded)
}

// A reading is what a request turned out to be: a transit if it sends
// something, a barrier if that cannot be told for certain, else nothing.
type reading struct {
	e       *Enforcer
	set     *rules.Set
	client  *Client
	sight   *rules.Sighting
	service string
	// req is the request to pass on: its body, if it was read, is back.
	req     *http.Request
	barrier *barrier
	transit *transit
	// unknown: a call that may change something, on a service whose unknown
	// calls are to be reported.
	unknown bool
	// portion is what the body has of the memory for all of them; nil if it
	// was not read.
	portion *portion
}

// done gives the body's memory back.
func (r *reading) done() {
	if r.portion != nil {
		r.portion.release()
	}
}

// read finds out what a request sends; r is to be done, whatever it returns.
// The error is the client's.
//
//go:noinline
func (e *Enforcer) read(req *http.Request, r *reading) error {
	if req.URL.Opaque != "" { // it is sent as it stands, and has no path to match
		return requestError{errOpaque}
	}
	set := e.Rules()
	client := ClientOf(req.Context())
	call := callOf(req, client)
	call.MaxBody = e.maxBody()
	sight := set.Look(&call)
	*r = reading{e: e, set: set, client: client, sight: &sight, service: sight.Service(), req: req}
	socket := opensSocket(&sight, req)
	if !sight.Message() || socket && set.Mode() != "shadow" {
		return r.nothing(nil)
	}
	// The body is read to its end before anything waits: net/http notices
	// that a client has left only once its request was read.
	r.portion = &portion{e: e}
	body, err := readBody(req, e.maxBody(), r.portion.grow)
	switch {
	case errors.Is(err, errTooLarge):
		e.tooLarge.Add(1)
		r.req, r.barrier = withRest(req, body), &tooLarge
		return nil
	case err != nil:
		return requestError{err}
	}
	sending, gone, err := e.takeApart(req, &sight, body)
	switch {
	case gone != nil:
		return gone
	case err != nil:
		r.req, r.barrier = withBody(req, body), unread(err)
	case sending == nil:
		r.req = withBody(req, body)
		return r.nothing(body)
	default:
		sending.Messages = append(sending.Messages, sight.Calls()...)
		r.govern(sending, body)
		if socket { // shadow mode: it goes, so the message counts
			r.transit.goesAnyway(unmatched.name, true)
		}
	}
	return nil
}

// govern makes a transit of what the request sends.
func (r *reading) govern(sending *rules.Sending, body []byte) {
	now := r.e.clock().Now()
	r.transit = &transit{
		e: r.e, req: r.req, client: r.client, set: r.set, sight: r.sight,
		id: newID(now), now: now, body: body, sending: sending,
	}
}

// nothing notes what becomes of a call that is no message. The error is the
// client's.
func (r *reading) nothing(body []byte) error {
	call := callOf(r.req, r.client)
	if barred(r.sight, r.req, &call) {
		r.barrier = &unmatched
		return nil
	}
	r.unknown = r.sight.Unmatched() == "report" && call.Changes()
	return r.call(body)
}

// barred reports calls that a service's rules refuse although they are no
// message: those that could be a message no rule knows yet.
func barred(s *rules.Sighting, req *http.Request, call *rules.Call) bool {
	return opensSocket(s, req) || s.Unmatched() == "reject" && call.Changes()
}

// opensSocket reports a request for a WebSocket where the rules refuse them: a
// message or not, what follows it would pass unread.
func opensSocket(s *rules.Sighting, req *http.Request) bool {
	return s.WebSockets() == "reject" && upgradeType(req.Header) != ""
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
		Method:        cmp.Or(req.Method, http.MethodGet), // as net/http does
		Scheme:        req.URL.Scheme,
		Host:          host,
		Path:          cmp.Or(client.path, req.URL.EscapedPath()),
		Query:         req.URL.RawQuery,
		Header:        req.Header,
		ProxyUser:     client.User,
		Authenticated: client.Authenticated,
	}
}

// A barredError ends a transit at a barrier.
type barredError struct{ *barrier }

func (e barredError) Error() string { return e.reason }

var errOpaque = errors.New("its URL is opaque: it has no path")

// refusalName is the Quotagate-Limit of a request that was refused before any
// limit was asked.
func refusalName(err error) string {
	switch {
	case errors.Is(err, rules.ErrUnknownAccount):
		return "unknown-account"
	case errors.Is(err, rules.ErrAmbiguous), errors.Is(err, rules.ErrMixedAccounts):
		return "ambiguous-account"
	case errors.Is(err, rules.ErrUnmatched):
		return unmatched.name
	}
	return "unreadable"
}

// pass sends a request that is no message. There is no sight of one that could
// not be read.
func (e *Enforcer) pass(req *http.Request, client *Client, sight *rules.Sighting) (*http.Response, error) {
	heard := e.listen(sight)
	req = client.spell(heard.asked(req))
	tr := &sendTrace{client: client}
	req = req.WithContext(tr.attach(req.Context()))
	resp, err := e.forward(req, tr, false)
	if err != nil {
		return nil, e.unshaken(err, tr, req)
	}
	dropOurs(resp.Header)
	heard.answered(resp)
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
