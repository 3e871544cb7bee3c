package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
}

// failureOf turns an error into the answer for it; every error that can reach
// a client has its line here.
func failureOf(err error) failure {
	var (
		address  *AddressError
		port     *PortError
		store    storeError
		request  requestError
		dns      *net.DNSError
		cert     *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		op       *net.OpError
		record   tls.RecordHeaderError
		netErr   net.Error
	)
	switch {
	case errors.As(err, &address):
		return failure{http.StatusForbidden, "address", "this address must not be reached through the proxy"}
	case errors.As(err, &port):
		return failure{http.StatusForbidden, "port", "this port may not be reached through the proxy (QUOTAGATE_ALLOW_PORTS)"}
	case errors.As(err, &request):
		return failure{http.StatusBadRequest, "request", "the request's body could not be read; nothing was sent"}
	case errors.Is(err, ErrDraining):
		return failure{http.StatusServiceUnavailable, "draining", "the proxy is stopping; nothing was sent"}
	case errors.Is(err, errTooManyHeld):
		return failure{http.StatusServiceUnavailable, "busy", "too many requests wait already; nothing was sent"}
	case errors.Is(err, ratelimit.ErrSkew):
		return failure{http.StatusServiceUnavailable, "clock", "the system clock and the ledger's are far apart; nothing was sent"}
	case errors.Is(err, ratelimit.ErrTooMany):
		return failure{http.StatusRequestEntityTooLarge, "large", "the request has more messages than can be counted at once; send it in parts; nothing was sent"}
	case errors.As(err, &store), errors.Is(err, ratelimit.ErrStopped):
		return failure{http.StatusServiceUnavailable, "store", "the ledger did not answer, so nothing was sent"}
	case errors.As(err, &cert), errors.As(err, &unknown), errors.As(err, &hostname), errors.As(err, &invalid):
		return failure{http.StatusBadGateway, "certificate", "the service's certificate could not be verified; nothing was sent"}
	case errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"), errors.As(err, &record):
		return failure{http.StatusBadGateway, "tls", "the TLS handshake with the service failed"}
	case errors.As(err, &dns) && dns.IsTimeout:
		return failure{http.StatusGatewayTimeout, "dns", "the service's name could not be resolved in time"}
	case errors.As(err, &dns):
		return failure{http.StatusBadGateway, "dns", "the service's name could not be resolved"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure{http.StatusBadGateway, "refused", "the service refused the connection"}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return failure{http.StatusBadGateway, "reset", "the service closed the connection before it answered"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &netErr) && netErr.Timeout():
		return failure{http.StatusGatewayTimeout, "timeout", "the service did not answer in time"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return failure{http.StatusBadGateway, "reset", "the service closed the connection before it answered"}
	}
	return failure{http.StatusBadGateway, "upstream", "the service could not be reached"}
}
