package rules

import (
	"slices"

	"quotagate/ratelimit"
)

// rate: so many requests per time, smoothed. It is asked before the ledger,
// counts requests whatever they carry, and gives nothing back.

// Rates are the rates that a request must pass, each once.
func (s *Set) Rates(d *Sending, account string) []ratelimit.Rate {
	var rates []ratelimit.Rate
	s.binding(d, account, func(_ int, m *Message, r *rule, n int64) bool {
		if r.lead != "rate" {
			return true
		}
		// The counter's name leaves quotagate: accounts are hashed.
		key := r.name + ":" + s.o.Hash("rate.account", account)
		if r.service {
			key = r.name + ":" + s.o.Hash("rate.service", m.Service)
		}
		if slices.ContainsFunc(rates, func(other ratelimit.Rate) bool { return other.Key == key }) {
			return true
		}
		rates = append(rates, ratelimit.Rate{
			Limit: r.name, Key: key, N: n, Per: r.span, Burst: r.burst, Wait: r.wait, Shadow: r.shadow || r.warns,
		})
		return true
	})
	return rates
}
