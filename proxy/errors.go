package proxy

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	"quotagate/ratelimit"
)

// ErrDraining ends holds when the proxy stops.
var ErrDraining = errors.New("quotagate is stopping")

// errBadStatus stands for an answer with a status that HTTP does not have.
var errBadStatus = errors.New("the service answered with a status that is none")

// errNotWritten marks an upstream failure before the first byte of the
// request was written: the one proof that nothing was sent.
type errNotWritten struct{ err error }

func (e errNotWritten) Error() string { return e.err.Error() }
func (e errNotWritten) Unwrap() error { return e.err }

// A requestError says that the client's own request could not be read.
type requestError struct{ err error }

func (e requestError) Error() string { return "read the request: " + e.err.Error() }
func (e requestError) Unwrap() error { return e.err }

// wokenEarly reports an error by which a wait ends early.
func wokenEarly(err error) bool {
	return errors.Is(err, ErrDraining) || errors.Is(err, errTooManyHeld) || errors.Is(err, errClientGone)
}

// A storeError says that the ledger did not answer.
type storeError struct{ err error }

func (e storeError) Error() string { return "ask the ledger: " + e.err.Error() }
func (e storeError) Unwrap() error { return e.err }

// A failure is what a client is told when there is no answer from upstream.
// Detail never holds an address or another inside matter.
type failure struct {
	Status int
	Word   string // the Quotagate-Error header
	Detail string
	Retry  string // the Retry-After of a 503
}

// failures is the one table of what clients are told. The first line that fits
// counts; detail, where it is there, makes the sentence of the error.
var failures = []struct {
	is     func(error) bool
	status int
	word   string
	detail string
	say    func(error) string
	retry  string // seconds, where waiting a second helps nobody
}{
	{is: matches(ErrLoop), status: http.StatusLoopDetected, word: "loop", detail: "the request came back to this proxy: a proxy on its way out leads here"},
	{is: parentSaid(http.StatusLoopDetected), status: http.StatusLoopDetected, word: "loop", detail: "the parent proxy says that the request goes in a circle; nothing was sent"},
	{is: parentSaid(http.StatusProxyAuthRequired), status: http.StatusBadGateway, word: "parent", detail: "the parent proxy wants a user and a password that QUOTAGATE_UPSTREAM_PROXY does not have; nothing was sent"},
	{is: timedOutIn[*ParentError], status: http.StatusGatewayTimeout, word: "parent", detail: "the parent proxy did not answer in time; nothing was sent"},
	{is: as[*ParentError], status: http.StatusBadGateway, word: "parent", detail: "the parent proxy opened no connection to the service; nothing was sent"},
	{is: as[*AddressError], status: http.StatusForbidden, word: "address", say: sayAddress},
	{is: as[*PortError], status: http.StatusForbidden, word: "port", detail: "this port may not be reached through the proxy (QUOTAGATE_ALLOW_PORTS)"},
	{is: as[*EgressError], status: http.StatusForbidden, word: "egress", say: plain[*EgressError]},
	{is: as[clientCertificateError], status: http.StatusBadGateway, word: "tls-client-certificate", detail: "the service wants a certificate from its clients, and the proxy has none; nothing was sent"},
	{is: matches(errPanicked), status: http.StatusInternalServerError, word: "internal", detail: "the proxy made a mistake; the log has it under this id"},
	{is: matches(errSlowBody), status: http.StatusRequestTimeout, word: "slow", detail: "the request's body stood still for too long (QUOTAGATE_BODY_TIMEOUT); nothing was sent"},
	{is: matches(errSlowHeader), status: http.StatusRequestTimeout, word: "slow", detail: "the request's header took too long (QUOTAGATE_HEADER_TIMEOUT); nothing was sent"},
	{is: matches(errLongHeader), status: http.StatusRequestHeaderFieldsTooLarge, word: "header", detail: "the request's header is too long (QUOTAGATE_MAX_HEADER_BYTES); nothing was sent"},
	{is: matches(errNoRoom), status: http.StatusServiceUnavailable, word: "busy", detail: "there are too many connections already; nothing was sent"},
	{is: matches(errCrowded), status: http.StatusServiceUnavailable, word: "busy", detail: "too many bodies are being looked at already (QUOTAGATE_MAX_BUFFERED_BYTES); nothing was sent"},
	{is: as[requestError], status: http.StatusBadRequest, word: "request", detail: "the request's body could not be read; nothing was sent"},
	{is: matches(ErrDraining), status: http.StatusServiceUnavailable, word: "draining", detail: "the proxy is stopping; nothing was sent"},
	{is: matches(errTooManyHeld), status: http.StatusServiceUnavailable, word: "busy", detail: "too many requests wait already; nothing was sent"},
	{is: matches(ErrMinting), status: http.StatusServiceUnavailable, word: "mint", detail: "too many certificates were asked for within a minute (QUOTAGATE_MINT_PER_MINUTE); nothing was sent"},
	{is: matches(ErrOutsideCA), status: http.StatusServiceUnavailable, word: "authority", detail: "quotagate's CA may not sign for this host, so nothing was sent; `quotagate ca rotate` makes one that may", retry: "300"},
	{is: matches(ratelimit.ErrSkew), status: http.StatusServiceUnavailable, word: "clock", detail: "the system clock and the ledger's are far apart; nothing was sent"},
	{is: matches(ratelimit.ErrTooMany), status: http.StatusRequestEntityTooLarge, word: "large", detail: "the request has more messages than can be counted at once; send it in parts; nothing was sent"},
	{is: as[storeError], status: http.StatusServiceUnavailable, word: "store", detail: "the ledger did not answer, so nothing was sent"},
	{is: matches(ratelimit.ErrStopped), status: http.StatusServiceUnavailable, word: "store", detail: "the ledger did not answer, so nothing was sent"},
	{is: timedOutIn[*net.DNSError], status: http.StatusGatewayTimeout, word: "dns", detail: "the service's name could not be resolved in time"},
	{is: as[*net.DNSError], status: http.StatusBadGateway, word: "dns", detail: "the service's name could not be resolved"},
	{is: matches(syscall.ECONNREFUSED), status: http.StatusBadGateway, word: "refused", detail: "the service refused the connection"},
	{is: matches(syscall.ECONNRESET), status: http.StatusBadGateway, word: "reset", detail: "the service closed the connection before it answered"},
	{is: matches(syscall.EPIPE), status: http.StatusBadGateway, word: "reset", detail: "the service closed the connection before it answered"},
	{is: matches(errUnanswered), status: http.StatusGatewayTimeout, word: "unanswered", detail: "the service did not begin to answer in time (QUOTAGATE_RESPONSE_TIMEOUT)"},
	{is: timedOut, status: http.StatusGatewayTimeout, word: "timeout", detail: "the service did not answer in time"},
	{is: matches(io.EOF), status: http.StatusBadGateway, word: "reset", detail: "the service closed the connection before it answered"},
	{is: matches(io.ErrUnexpectedEOF), status: http.StatusBadGateway, word: "reset", detail: "the service closed the connection before it answered"},
	{is: matches(errBadStatus), status: http.StatusBadGateway, word: "status", detail: "the service answered with a status that is none"},
}

// failureOf turns an error into the answer for it.
func failureOf(err error) failure {
	for _, f := range failures {
		if f.is(err) {
			if f.say != nil {
				f.detail = f.say(err)
			}
			return failure{f.status, f.word, f.detail, cmp.Or(f.retry, "1")}
		}
	}
	if f, ok := certificateFailure(err); ok {
		return f
	}
	if f, ok := tlsFailure(err); ok {
		return f
	}
	return failure{Status: http.StatusBadGateway, Word: "upstream", Detail: "the service could not be reached"}
}

// as reports whether err is, or wraps, an E.
func as[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// matches reports errors that are, or wrap, target.
func matches(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// timedOut reports what took too long, whoever kept the time.
func timedOut(err error) bool {
	var e net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &e) && e.Timeout()
}

func timedOutIn[E error](err error) bool {
	return as[E](err) && timedOut(err)
}

// parentSaid reports that the parent proxy answered so.
func parentSaid(status int) func(error) bool {
	return func(err error) bool {
		var e *ParentError
		return errors.As(err, &e) && e.Status == status
	}
}

// plain is the text of an error that is meant for clients.
func plain[E error](err error) string {
	var e E
	if !errors.As(err, &e) {
		return ""
	}
	return e.Error()
}

// sayAddress names what the client named, and why not; never the address that
// it leads to.
func sayAddress(err error) string {
	return plain[*AddressError](err) + "; QUOTAGATE_ALLOW_ADDRESSES names the private ones that may be"
}
