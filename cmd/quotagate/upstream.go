package main

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"quotagate/certs"
	"quotagate/proxy"
)

// The way to the services: its deadlines, and how many connections are kept.
const (
	upstreamIdle   = 90 * time.Second
	upstreamHello  = 10 * time.Second
	idlePerHost    = 256
	expectContinue = time.Second
)

// What of an HTTP/2 answer, and of all answers on a connection, may lie here
// until clients take it. net/http's own 4 MiB make a hundred clients that do not
// read 400 MiB, and 256 of them stop the connection, which all clients share,
// where a service lets so many streams in. With 1 MiB an answer still comes with
// 80 Mbit/s from 100 ms away.
const (
	upstreamStream = 1 << 20
	upstreamConn   = 1 << 30
)

// dialer is the one way out; roots verify a parent proxy.
func (s *service) dialer(roots *x509.CertPool, pseudonym string) (*proxy.Dialer, error) {
	to, err := s.cfg.connectTo()
	if err != nil {
		return nil, err
	}
	ports := make([]int, len(s.cfg.AllowPorts))
	for i, p := range s.cfg.AllowPorts {
		ports[i] = int(p)
	}
	var parent *proxy.Parent
	if s.cfg.UpstreamProxy != "" {
		if parent, err = proxy.NewParent(s.cfg.UpstreamProxy, roots); err != nil {
			return nil, err
		}
		s.log.Info("everything goes out through another proxy", "parent", parent.String())
	}
	own := []netip.AddrPort{addrPortOf(s.front), addrPortOf(s.back)}
	return &proxy.Dialer{
		AllowAddresses: prefixes(s.cfg.AllowAddresses),
		AllowPorts:     ports,
		ConnectTo:      to,
		Own:            func() []netip.AddrPort { return own },
		Closed:         watchHosts(storeHosts(s.cfg.Store), s.log).addresses,
		Parent:         parent,
		Pseudonym:      pseudonym,
		Log:            s.log,
	}, nil
}

// newPseudonym is the name by which this process knows its own requests when
// they come back to it.
func newPseudonym() string {
	return "quotagate-" + strings.ToLower(rand.Text())
}

func addrPortOf(l net.Listener) netip.AddrPort {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

// transport sends what is let through. It takes no proxy from the environment:
// that would most likely be ourselves.
func transport(d *proxy.Dialer, roots *x509.CertPool, begins time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:           proxy.Gathering(d.DialContext),
		TLSClientConfig:       proxy.UpstreamTLS(roots),
		TLSHandshakeTimeout:   upstreamHello,
		ResponseHeaderTimeout: begins,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // answers pass as they are
		MaxIdleConnsPerHost:   idlePerHost,
		IdleConnTimeout:       upstreamIdle,
		ExpectContinueTimeout: expectContinue,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     upstreamStream,
			MaxReceiveBufferPerConnection: upstreamConn,
		},
	}
}

// upstreamRoots is the system's roots and those of file, if one is named.
func upstreamRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, hinted(fmt.Errorf("read the extra roots: %w", err), "%sUPSTREAM_CA names a PEM file of certificates", envPrefix)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, hinted(fmt.Errorf("%s holds no certificate", file), "%sUPSTREAM_CA names a PEM file of certificates", envPrefix)
	}
	return pool, nil
}

// systemRoots is where the system's roots may lie: first where the environment
// says.
func (p program) systemRoots() []string {
	if named := p.variable("SSL_CERT_FILE"); named != "" {
		return append([]string{named}, certs.SystemRoots()...)
	}
	return certs.SystemRoots()
}
