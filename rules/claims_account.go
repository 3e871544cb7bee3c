package rules

import (
	"slices"
	"time"

	"quotagate/ratelimit"
)

// What an account has used and has left, whatever it sends.

// AccountClaims are claims of cost 0 of every limit that binds an account as
// a whole, to see what is used and what is left; of those that it shares with
// the other accounts of a service, too. A limit with a `when` is among them if
// there is a message for which it holds. What depends on the message's text or
// recipient is not.
func (s *Set) AccountClaims(account string, now time.Time) []ratelimit.Claim {
	p := s.person(account)
	var claims []ratelimit.Claim
	for _, r := range s.limits {
		allow, ok := r.binds(p, account)
		if !ok || r.each || r.measure == 0 || r.measure == ratelimit.Similar || !r.everHolds(p, account) {
			continue
		}
		cl := r.blank(p, allow, now)
		if !r.service {
			claims = append(claims, cl)
			continue
		}
		for _, service := range r.services() {
			cl.Scope = scopeOf(service)
			claims = append(claims, cl)
		}
	}
	return claims
}

// services are those of the messages that a limit counts.
func (r *rule) services() []string {
	var list []string
	for _, name := range r.on { // sorted
		if service, _ := split(name); !slices.Contains(list, service) {
			list = append(list, service)
		}
	}
	return list
}

func (r *rule) everHolds(p *person, account string) bool {
	if len(r.on) == 0 {
		return false
	}
	if r.when == nil {
		return true
	}
	for _, name := range r.on {
		service, kind := split(name)
		recipients := 1
		if isRequest(name) {
			recipients = 0
		}
		for _, class := range [...]string{automated, manual} {
			if r.holds(&scene{Class: class, Plan: p.plan, Account: account, Service: service, Kind: kind, Recipients: recipients, Facts: p.facts}) {
				return true
			}
		}
	}
	return false
}
