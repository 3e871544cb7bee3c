package main

// TLS on the proxy's own port, as the programs see it that exec starts: which
// name they have to use, what they have to trust, and why it does not work.

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"quotagate/certs"
)

// trustFront has clients trust the certificate of the proxy's own port, which
// the proxy reads from file, where we can read it too and the system does not
// trust it already. Other files than the proxy's are no harm: what they hold
// then does not fit.
func (w *wiring) trustFront(file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	chain := certificatesIn(text)
	if len(chain) == 0 {
		return
	}
	w.callByName(chain[0])
	if _, err := chain[0].Verify(x509.VerifyOptions{Intermediates: poolOf(chain[1:])}); err == nil {
		return
	}
	w.frontKey = certs.SPKI(chain[0])
	for _, c := range anchors(chain) {
		w.front = append(w.front, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
}

// callByName calls this machine localhost where the certificate is for that name
// and not for the address.
func (w *wiring) callByName(leaf *x509.Certificate) {
	host, port, err := net.SplitHostPort(w.listen)
	if err != nil {
		return
	}
	ip, err := netip.ParseAddr(host)
	if err == nil && ip.IsLoopback() && leaf.VerifyHostname(host) != nil && leaf.VerifyHostname("localhost") == nil {
		w.listen = net.JoinHostPort("localhost", port)
		w.proxy.Host = w.listen
	}
}

// anchors are what to trust of a chain: the root, if it is there, and else all
// of it, of which not every client takes one for an anchor.
func anchors(chain []*x509.Certificate) []*x509.Certificate {
	for _, c := range chain {
		if c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			return []*x509.Certificate{c}
		}
	}
	return chain
}

func poolOf(all []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c)
	}
	return pool
}

// certificatesIn reads a file of PEM.
func certificatesIn(text []byte) []*x509.Certificate {
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, c)
		}
	}
	return all
}

// frontTLS is how the proxy's own port is verified; nil is as the system does.
func (w *wiring) frontTLS() *tls.Config {
	if len(w.front) == 0 {
		return nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(w.front)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
}

// frontError says why the TLS of the proxy's own port does not come about, or
// returns nil where it is not that.
func (w *wiring) frontError(err error) error {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   *tls.CertificateVerificationError
		op        *net.OpError
	)
	host := w.proxy.Hostname()
	switch {
	case errors.As(err, &name):
		return hinted(fmt.Errorf("the certificate of the proxy's port is for %s, and not for %s", whomFor(name.Certificate), host),
			"call the proxy by a name that it is for, as in --admin NAME:PORT where it listens on all addresses; or have %sLISTEN_CERT made for %s too", envPrefix, host)
	case errors.As(err, &authority):
		return hinted(fmt.Errorf("the certificate of the proxy's port on %s is of an authority that this machine does not trust", w.listen),
			"let SSL_CERT_FILE name a file with that authority and those of the system, or add it to the system's store")
	case errors.As(err, &invalid):
		return hinted(fmt.Errorf("the certificate of the proxy's port on %s does not hold: %w", w.listen, invalid.Err),
			"%sLISTEN_CERT names its file; the proxy reads it again when it changes", envPrefix)
	case errors.As(err, &op) && op.Op == "remote error" && strings.Contains(op.Err.Error(), "certificate"):
		return hinted(fmt.Errorf("the proxy on %s wants a certificate from its clients, and exec gives programs none", w.listen),
			"a password does as well where %sPROXY_USERS is set beside %sCLIENT_CA: --as NAME:PASSWORD", envPrefix, envPrefix)
	}
	return nil
}

// whomFor is whom a certificate is for.
func whomFor(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "nobody"
	}
	return printable(strings.Join(names, ", "))
}
