package proxy

import (
	"context"
	"net"
	"net/http"
)

// A Client is who sent a request, as far as the proxy knows.
type Client struct {
	// Addr is the address of its socket, host:port.
	Addr string
	// User is the name it gave to the proxy, and Authenticated tells whether
	// a password was checked.
	User          string
	Authenticated bool

	// conn is its socket where one connection carries one request at a time;
	// nil where that cannot be known, as with HTTP/2.
	conn net.Conn
	// path is the request's, as it came, where net/http would write another.
	path string
	// informational passes a 1xx answer of the upstream on; nil drops it.
	informational func(code int, h http.Header) error
}

type clientKey struct{}

// WithClient tells the Enforcer who a request comes from.
func WithClient(ctx context.Context, c *Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientOf returns who a request comes from; a Client without an address where
// nobody told.
func ClientOf(ctx context.Context) *Client {
	if c, ok := ctx.Value(clientKey{}).(*Client); ok {
		return c
	}
	return &Client{}
}
