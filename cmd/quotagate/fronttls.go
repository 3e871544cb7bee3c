package main

// TLS on the proxy's own port, and client certificates there.

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// frontTLS is what is spoken on the front listener where a certificate is named
// for it, or nil.
func (c *config) frontTLS() (*tls.Config, error) {
	if c.ListenCert == "" {
		return nil, nil
	}
	pair := &keyPair{cert: c.ListenCert, key: c.ListenKey}
	if err := pair.load(); err != nil {
		return nil, hinted(fmt.Errorf("read the certificate for the proxy's port: %w", err),
			"%sLISTEN_CERT and %sLISTEN_KEY name PEM files: a certificate with its chain, and its key", envPrefix, envPrefix)
	}
	conf := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"}, // CONNECT hands the connection over, which HTTP/2 cannot
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.get(time.Now()) },
	}
	if c.ClientCA != "" {
		roots, err := clientRoots(c.ClientCA)
		if err != nil {
			return nil, err
		}
		conf.ClientCAs, conf.ClientAuth = roots, tls.RequireAndVerifyClientCert
		if c.ProxyUsers != "" { // a password will do
			conf.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	return conf, nil
}

// clientRoots are the authorities that sign for clients, and no others: not
// the system's.
func clientRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	pool := x509.NewCertPool()
	if err == nil && !pool.AppendCertsFromPEM(pem) {
		err = fmt.Errorf("%s holds no certificate", file)
	}
	if err != nil {
		return nil, hinted(fmt.Errorf("read the authorities of clients: %w", err), "%sCLIENT_CA names a PEM file of certificates", envPrefix)
	}
	return pool, nil
}

// checkFrontTLS finds settings that do not go together.
func (c *config) checkFrontTLS() error {
	switch {
	case (c.ListenCert == "") != (c.ListenKey == ""):
		return usageError{hinted(errors.New("a certificate and its key go together"), "set both %sLISTEN_CERT and %sLISTEN_KEY, or none", envPrefix, envPrefix)}
	case c.ClientCA != "" && c.ListenCert == "":
		return usageError{hinted(fmt.Errorf("%sCLIENT_CA wants certificates of clients, and the proxy's port has no TLS", envPrefix), "set %sLISTEN_CERT and %sLISTEN_KEY", envPrefix, envPrefix)}
	}
	return nil
}

// listenCert is the certificate's file by its whole path, for those who are
// elsewhere on this machine.
func (c *config) listenCert() string {
	if abs, err := filepath.Abs(c.ListenCert); c.ListenCert != "" && err == nil {
		return abs
	}
	return c.ListenCert
}

// proxyScheme is how clients reach the proxy.
func (c *config) proxyScheme() string {
	if c.ListenCert != "" {
		return "https"
	}
	return "http"
}

// A keyPair is a certificate and its key in files that others renew.
type keyPair struct {
	cert, key string

	mu      sync.Mutex
	looked  time.Time
	version [2]fileVersion
	pair    *tls.Certificate
}

func (k *keyPair) versions() (v [2]fileVersion) {
	for i, file := range []string{k.cert, k.key} {
		v[i], _ = versionOf(file) // one that is gone has changed
	}
	return v
}

func (k *keyPair) load() error {
	v := k.versions()
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err == nil {
		k.pair, k.version = &pair, v
	}
	return err
}

// get returns the pair, of the files as they are now if they can be read: while
// they are being replaced the old one goes on.
func (k *keyPair) get(now time.Time) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.looked) >= lookAgain {
		k.looked = now
		if k.versions() != k.version {
			_ = k.load() // tried again with the next client
		}
	}
	return k.pair, nil
}
