package proxy

import "net/http"

// InternalHost is the name under which the proxy itself answers, to those who
// come through it: plain, and by TLS with a certificate of the same authority
// as that of the hosts it intercepts, which shows whether a client trusts it.
const InternalHost = "quotagate.internal"

// serveInternal answers as the proxy itself.
func (s *Server) serveInternal(w http.ResponseWriter, r *http.Request, c *Client) {
	if s.cfg.Internal == nil {
		http.NotFound(w, r)
		return
	}
	s.cfg.Internal.ServeHTTP(w, r.WithContext(WithClient(r.Context(), c)))
}

// A Visit is what came of a connection to a host that the rules name, besides
// its messages, of which there are records.
type Visit struct {
	Client *Client
	Host   string
	// Status is that of the answer to a request that was no message; 0: there
	// was none, because the client did not trust our certificate.
	Status int
}

// visited tells of a request that was no message.
func (s *Server) visited(t *target, status int) {
	if s.cfg.Visited != nil && s.cfg.Rules().Names(t.host) {
		s.cfg.Visited(Visit{Client: t.client, Host: t.host, Status: status})
	}
}
