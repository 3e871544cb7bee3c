package main

// The connections on which messages are held, or which lie idle.

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// A heldConn is one client's connection through the proxy.
type heldConn struct {
	*tls.Conn
	r *bufio.Reader
}

// ask sends a request and reads the whole answer.
func (c *heldConn) ask(path, account, number string) (*http.Response, error) {
	const body = `{"to":"bob","text":"Hello, how are you? This is about as long as a short message is."}`
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nX-Number: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, serviceHost, account, number, len(body), body); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, errors.Join(err, resp.Body.Close())
}

func (p *heldPlan) dial(ctx context.Context) (*heldConn, error) { return p.dialWith(ctx, p.roots) }

func (p *heldPlan) dialWith(ctx context.Context, config *tls.Config) (*heldConn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", p.q.addr)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(raw, "CONNECT %s:443 HTTP/1.1\r\nHost: %[1]s:443\r\n\r\n", serviceHost)
	head := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
	if _, err := io.ReadFull(raw, head); err != nil || !strings.HasPrefix(string(head), "HTTP/1.1 200") {
		raw.Close()
		return nil, fmt.Errorf("connect: %q, %w", head, err)
	}
	c := tls.Client(raw, config)
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return &heldConn{c, bufio.NewReaderSize(c, 1024)}, nil
}

// dialH2 opens a connection on which both have said hello: ours an empty
// SETTINGS (RFC 9113, 3.4).
func (p *heldPlan) dialH2(ctx context.Context) (*heldConn, error) {
	config := p.roots.Clone()
	config.NextProtos = []string{"h2"}
	c, err := p.dialWith(ctx, config)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	if err == nil {
		_, err = c.r.ReadByte()
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("speak HTTP/2: %w", err)
	}
	return c, nil
}

// connect opens all connections; those of HTTP/1.1 have served one request each.
func (p *heldPlan) connect(ctx context.Context) ([]*heldConn, error) {
	conns := make([]*heldConn, p.requests)
	errs := make(chan error, p.requests)
	places := make(chan struct{}, 16)
	var all sync.WaitGroup
	for i := range conns {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			var c *heldConn
			var err error
			if p.h2 {
				c, err = p.dialH2(ctx)
			} else if c, err = p.dial(ctx); err == nil {
				_, err = c.ask("/note", "idle", "")
			}
			conns[i] = c
			if err != nil {
				errs <- err
			}
		})
	}
	all.Wait()
	close(errs)
	return conns, <-errs
}
