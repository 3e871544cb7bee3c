package proxy

// This file notices requests that come back. A request goes on to a service as
// it came, without a Via: many servers compress nothing for whom they take for
// a proxy (nginx: gzip_proxied off is the default). A parent is told, in its
// CONNECT; so a chain of proxies that leads in a circle ends.

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// ErrLoop says that the way out leads back to the proxy.
var ErrLoop = errors.New("the way out leads back to this proxy")

type viaKey struct{}

// withVia notes whom a request came through, for the dialer of its connection.
func withVia(ctx context.Context, via []string) context.Context {
	if len(via) == 0 {
		return ctx
	}
	return context.WithValue(ctx, viaKey{}, strings.Join(via, ", "))
}

// via is the field for a parent (RFC 9110, 7.6.3): those before us, and us.
func (d *Dialer) via(ctx context.Context) string {
	before, _ := ctx.Value(viaKey{}).(string)
	switch {
	case d.Pseudonym == "":
		return before
	case before == "":
		return "1.1 " + d.Pseudonym
	}
	return before + ", 1.1 " + d.Pseudonym
}

// looped reports a request that has passed here before, and counts it.
func (s *Server) looped(r *http.Request) bool {
	for _, field := range r.Header["Via"] {
		for entry := range strings.SplitSeq(field, ",") {
			// received-protocol received-by [comment]
			if f := strings.Fields(entry); len(f) > 1 && f[1] == s.cfg.Pseudonym && f[1] != "" {
				s.Counts.Loops.Add(1)
				return true
			}
		}
	}
	return false
}
