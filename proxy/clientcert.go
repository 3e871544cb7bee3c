package proxy

// This file finds out that a service turned us away because it wants a
// certificate from its clients, which quotagate has not.

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"
)

// probeTimeout bounds the handshake that is made only to see how it ends.
const probeTimeout = 3 * time.Second

// A clientCertificateError says that a handshake failed because the service
// wants to know who its client is. In TLS 1.3 that comes after the client has
// written; what it wrote was never read, since a handshake that failed hands on
// nothing (RFC 8446, 4.4.2.4).
type clientCertificateError struct{ err error }

func (e clientCertificateError) Error() string {
	return "shake hands with the service: " + e.err.Error()
}
func (e clientCertificateError) Unwrap() error { return e.err }

// unshaken wraps err if it is certain that the service ended the handshake for
// the want of a client certificate.
func (e *Enforcer) unshaken(err error, tr *sendTrace, req *http.Request) error {
	if !tr.wanted.Load() || tr.reused.Load() || tr.answered.Load() || req.Context().Err() != nil {
		return err
	}
	if !tr.gotConn.Load() { // TLS 1.2 has no alert of its own for it
		if isAlert(err, 40) || isAlert(err, 42) {
			return clientCertificateError{err}
		}
		return err
	}
	// What the client wrote may have broken the connection before the alert
	// could be read. Then another handshake tells, in which nothing is written.
	if isAlert(err, certificateRequired) || demandsCertificate(req, e.next()) {
		return clientCertificateError{err}
	}
	return err
}

// certificateRequired is the alert by which a server ends a handshake of TLS 1.3
// in which its client has shown none (RFC 8446, 6.2).
const certificateRequired = 116

// isAlert reports an alert that the other side sent.
func isAlert(err error, alert uint8) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && op.Err.Error() == tls.AlertError(alert).Error()
}

// demandsCertificate shakes hands with the service of req, by the ways of next,
// and sees whether it ends it for the want of a certificate.
func demandsCertificate(req *http.Request, next http.RoundTripper) bool {
	t, ok := next.(*http.Transport)
	if !ok || t.DialContext == nil || t.TLSClientConfig == nil || req.URL.Scheme != "https" {
		return false
	}
	ctx, cancel := context.WithTimeout(req.Context(), probeTimeout)
	defer cancel()
	port := req.URL.Port()
	if port == "" {
		port = "443"
	}
	conn, err := t.DialContext(ctx, "tcp", net.JoinHostPort(req.URL.Hostname(), port))
	if err != nil {
		return false
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); !ok || conn.SetDeadline(deadline) != nil {
		return false
	}
	c := t.TLSClientConfig.Clone()
	c.ServerName = req.URL.Hostname()
	client := tls.Client(conn, c)
	if err := client.HandshakeContext(ctx); err != nil {
		return false
	}
	_, err = client.Read(make([]byte, 1))
	return isAlert(err, certificateRequired)
}
