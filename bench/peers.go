package main

// This file is what quotagate is measured against: goproxy's own MITM loop
// with nothing in it, and a TCP relay.

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/elazarl/goproxy"
)

// runGoproxy serves goproxy as fast as it goes: an ECDSA CA, certificates
// cached, no handlers, a transport like quotagate's. args are the directory of
// the certificates, the upstream's address and whether HTTP/2 is spoken.
func runGoproxy(args []string) (string, error) {
	dir, upstream, h2 := args[0], args[1], args[2] == "h2"
	ca, err := tls.LoadX509KeyPair(certFile(dir, "goproxy"), keyFile(dir, "goproxy"))
	if err != nil {
		return "", err
	}
	roots, err := pool(certFile(dir, "ca"))
	if err != nil {
		return "", err
	}
	var dialer net.Dialer
	p := goproxy.NewProxyHttpServer()
	p.Logger = log.New(io.Discard, "", 0)
	p.KeepAcceptEncoding = true
	p.AllowHTTP2 = h2
	p.CertStore = &certStore{certs: map[string]*tls.Certificate{}}
	p.Tr = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", upstream)
		},
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2:   h2,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
	}
	mitm := &goproxy.ConnectAction{Action: goproxy.ConnectMitm, TLSConfig: goproxy.TLSConfigFromCA(&ca)}
	p.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return mitm, host
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go http.Serve(l, p)
	return l.Addr().String(), nil
}

// A certStore keeps what goproxy has signed.
type certStore struct {
	mu    sync.Mutex
	certs map[string]*tls.Certificate
}

func (s *certStore) Fetch(host string, gen func() (*tls.Certificate, error)) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.certs[host]; ok {
		return c, nil
	}
	c, err := gen()
	if err == nil {
		s.certs[host] = c
	}
	return c, err
}

// runRelay joins every connection to the address in args, as io.Copy does it:
// on Linux the kernel moves the bytes.
func runRelay(args []string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go accept(l, func(client net.Conn) {
		defer client.Close()
		upstream, err := net.Dial("tcp", args[0])
		if err != nil {
			return
		}
		defer upstream.Close()
		done := make(chan struct{})
		go func() {
			io.Copy(upstream, client)
			upstream.(*net.TCPConn).CloseWrite()
			close(done)
		}()
		io.Copy(client, upstream)
		client.(*net.TCPConn).CloseWrite()
		<-done
	})
	return l.Addr().String(), nil
}
