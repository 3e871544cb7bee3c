package proxy

// This file says who an upstream is believed to be, and puts what is wrong
// with one into words. Certificates of tunnels are their clients' business.

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// minRSABits is what the CA/Browser Forum demands of a public certificate
// (Baseline Requirements 2.1, 6.1.5, 2026-11-21) and OpenSSL 3 of any at its
// usual level; crypto/tls alone takes 1024.
const minRSABits = 2048

// UpstreamTLS is how services are verified: always, by roots (nil: the
// system's), with TLS 1.2 or newer. Revocation is not looked up: crypto/x509
// does not, and the answers of certificate authorities would be one more thing
// to wait for and to be lied to by.
func UpstreamTLS(roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:       tls.VersionTLS12,
		RootCAs:          roots,
		VerifyConnection: strongKeys,
		GetClientCertificate: func(wanted *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if note, ok := wanted.Context().Value(handshakeKey{}).(*sendTrace); ok {
				note.wanted.Store(true)
			}
			return &tls.Certificate{}, nil // we have none; the service decides
		},
	}
}

// handshakeKey leads from a handshake to the request that it is for.
type handshakeKey struct{}

// A weakKeyError says that a certificate has a key that can be broken.
type weakKeyError struct{ bits int }

func (e weakKeyError) Error() string {
	return fmt.Sprintf("verify the certificate: its chain has an RSA key of %d bits", e.bits)
}

// strongKeys refuses verified chains of which each has a weak key.
func strongKeys(state tls.ConnectionState) error {
	var weak error
	for _, chain := range state.VerifiedChains {
		bits := weakest(chain)
		if bits >= minRSABits {
			return nil
		}
		weak = weakKeyError{bits}
	}
	return weak
}

// weakest is the length of a chain's shortest RSA key, or minRSABits. Roots are
// trusted for what they are.
func weakest(chain []*x509.Certificate) int {
	bits := minRSABits
	for i, cert := range chain {
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && (i == 0 || i < len(chain)-1) {
			bits = min(bits, key.N.BitLen())
		}
	}
	return bits
}

// certificateFailure is the answer for a certificate that was not believed.
func certificateFailure(err error) (failure, bool) {
	var (
		verify   *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		weak     weakKeyError
		insecure x509.InsecureAlgorithmError
		critical x509.UnhandledCriticalExtension
	)
	bad := func(word, detail string) (failure, bool) {
		return failure{Status: http.StatusBadGateway, Word: "certificate" + word, Detail: "the service's certificate " + detail + "; nothing was sent"}, true
	}
	switch {
	case errors.As(err, &weak):
		return bad("-weak", fmt.Sprintf("has an RSA key of %d bits, and %d are the least that is safe", weak.bits, minRSABits))
	case errors.As(err, &hostname):
		if c := hostname.Certificate; len(c.DNSNames) == 0 && len(c.IPAddresses) == 0 {
			return bad("-name", "names no host in its SAN, and the common name does not count")
		}
		return bad("-name", "is for other hosts")
	case errors.As(err, &unknown):
		if strings.Contains(unknown.Error(), "insecure algorithm") { // the hint itself is not exported
			return bad("-weak", "is signed by an algorithm that is not safe any more, such as SHA-1")
		}
		return bad("-unknown-authority", "was not issued by an authority that is trusted, or the service does not send the whole chain (QUOTAGATE_UPSTREAM_CA adds authorities)")
	case errors.As(err, &invalid):
		word, detail := invalidity(invalid)
		return bad(word, detail)
	case errors.As(err, &insecure):
		return bad("-weak", "is signed by an algorithm that is not safe any more, such as SHA-1")
	case errors.As(err, &critical), errors.As(err, &verify):
		return bad("", "could not be verified")
	}
	return failure{}, false
}

// invalidity is the word and the sentence for a chain that leads to a trusted
// root and does not hold.
func invalidity(e x509.CertificateInvalidError) (word, detail string) {
	const date = "2006-01-02"
	switch e.Reason {
	case x509.Expired:
		if strings.Contains(e.Detail, "is before") {
			return "-not-yet-valid", "is not valid before " + e.Cert.NotBefore.UTC().Format(date) + "; is the clock right?"
		}
		return "-expired", "expired on " + e.Cert.NotAfter.UTC().Format(date)
	case x509.IncompatibleUsage:
		return "-use", "is not meant for servers"
	case x509.CANotAuthorizedForThisName, x509.TooManyConstraints, x509.UnconstrainedName, x509.NameConstraintsWithoutSANs:
		return "-constraints", "is for a name that its authority may not vouch for"
	case x509.NotAuthorizedToSign, x509.TooManyIntermediates:
		return "-chain", "was issued by one that may not issue it"
	}
	return "", "could not be verified"
}

// tlsFailure is the answer for a handshake that failed over anything else.
func tlsFailure(err error) (failure, bool) {
	var (
		op     *net.OpError
		record tls.RecordHeaderError
	)
	bad := func(word, detail string) (failure, bool) {
		return failure{Status: http.StatusBadGateway, Word: "tls" + word, Detail: detail}, true
	}
	text := err.Error()
	alert := errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
	if alert {
		text = op.Err.Error()
	}
	switch {
	case alert && text == tls.AlertError(70).Error(), // protocol_version
		strings.Contains(text, "tls: server selected unsupported protocol version"):
		return bad("-version", "the service speaks no version of TLS that is safe (1.2 or newer); nothing was sent")
	case alert && text == tls.AlertError(40).Error(), // handshake_failure
		strings.Contains(text, "tls: server chose an unconfigured cipher suite"),
		alert && text == tls.AlertError(71).Error(): // insufficient_security
		return bad("-cipher", "the service refused the TLS handshake: most likely it has no cipher that is safe")
	case alert && text == tls.AlertError(112).Error(): // unrecognized_name
		return bad("-name", "the service does not know the name that was asked for")
	case errors.As(err, &record), text == "http: server gave HTTP response to HTTPS client":
		return bad("", "the service does not speak TLS on this port")
	case alert, strings.Contains(text, "tls: "):
		return bad("", "the TLS handshake with the service failed")
	}
	return failure{}, false
}
