package proxy

import (
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"quotagate/ratelimit"
)

// A Guard bounds how many requests each user of the proxy may make in a time,
// before anything is done for them: it protects the proxy, and every service at
// once, from a client that runs wild. It is a smoothed rate and no quota. Users
// are told apart by the credentials that were checked, and where none were by
// their IP address (IPv6: its /64, which is one customer's, RFC 6177): a name
// that anyone may claim would be counted anew each time.
//
// A request in excess is answered 429 with Retry-After. For a host that the
// rules name this happens inside the connection, where the client can read it,
// never at its CONNECT. For any other host the CONNECT is the request, and is
// refused; what flows in a tunnel is not counted.
//
// A Guard whose Rates do not answer lets everything through: the limits of the
// ledger stand behind it.
type Guard struct {
	// Rates count. Replicas that share them guard together.
	Rates ratelimit.Rates
	// N requests in Per, at most N of them at once.
	N   int64
	Per time.Duration
	// Hash, if set, makes the key under which a user is counted: with Rates
	// outside the process, a keyed one.
	Hash func(kind, value string) string

	// Refused counts the requests that were answered 429.
	Refused atomic.Int64
	// blind: Rates did not answer the last time, and the log knows.
	blind atomic.Bool
}

// GuardLimit is the Quotagate-Limit of what a Guard refused.
const GuardLimit = "guard"

// admit returns nil, or the answer to a request in excess.
//
//go:noinline
func (s *Server) admit(r *http.Request, c *Client) *http.Response {
	g := s.cfg.Guard
	if g == nil {
		return nil
	}
	rate := ratelimit.Rate{Limit: GuardLimit, Key: g.key(c), N: g.N, Per: g.Per.Milliseconds()}
	wait, never, err := g.Rates.Take(r.Context(), rate, 1)
	if err != nil {
		if r.Context().Err() == nil && !g.blind.Swap(true) {
			s.log.Warn("the guard of the proxy's users cannot count, so it lets everything through", "error", err.Error())
		}
		return nil
	}
	if g.blind.Swap(false) {
		s.log.Info("the guard of the proxy's users counts again")
	}
	if wait == 0 && !never {
		return nil
	}
	g.Refused.Add(1)
	now, at := time.Now(), time.Time{}
	if !never {
		at = now.Add(wait)
	}
	a := problem(http.StatusTooManyRequests,
		"quotagate: this proxy takes no more requests of this client for now", map[string]any{"limit": GuardLimit})
	a.Header.Set("Retry-After", retryAfter(now, at))
	a.Header.Set(headerDecision, DecisionReject)
	a.Header.Set(headerLimit, GuardLimit)
	return response(r, a)
}

// key names the counter of a client.
func (g *Guard) key(c *Client) string {
	kind, value := "guard-user", c.User
	if !c.Authenticated {
		kind, value = "guard-address", network(c.Addr)
	}
	if g.Hash != nil {
		value = g.Hash(kind, value)
	}
	return kind + ":" + value
}

// network is the part of a socket's address that a client does not choose.
func network(socket string) string {
	a, err := netip.ParseAddrPort(socket)
	if err != nil {
		return socket
	}
	ip := a.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return socket
	}
	return p.String()
}
