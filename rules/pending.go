package rules

import (
	"net/http"

	"quotagate/ratelimit"
)

// What the proxy asks of the rules and they do not answer yet.

// Learned is what an exchange shows about a recipient.
type Learned struct {
	// Account is the listed account that it is about, or "": then the first
	// of Identities that the ledger knows.
	Account    string
	Identities []string
	Event      ratelimit.Event // without its Account
}

// Listens reports whether an event may be learned from the request's body, or
// from the response.
func (s *Sighting) Listens() (request, response bool) { return false, false }

// Learn is what the exchange shows.
func (s *Sighting) Learn(requestBody []byte, status int, h http.Header, responseBody []byte) []Learned {
	return nil
}

// Threads are the threads whose recipient the request itself shows.
func (s *Sending) Threads() []ratelimit.Event { return nil }

// Rates are asked before the ledger.
func (s *Set) Rates(d *Sending, account string) []ratelimit.Rate { return nil }

// Content is the first enforced content limit that refuses the sending.
func (s *Set) Content(d *Sending, account string) (limit, reason string, found bool) {
	return "", "", false
}

// Warns reports whether a limit only warns.
func (s *Set) Warns(limit string) bool { return false }
