package main

import (
	"log/slog"
	"maps"
	"sync"
)

// unmatchedCalls counts, by service, the calls that may change something and
// are no message the rules know. Of what they are nothing is kept: tokens lie
// in paths.
type unmatchedCalls struct {
	log    *slog.Logger
	mu     sync.Mutex
	counts map[string]int64
}

func (u *unmatchedCalls) add(service string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.counts == nil {
		u.counts = map[string]int64{}
	}
	if u.counts[service]++; u.counts[service] == 1 {
		u.log.Info("a call passed uncounted that is no message the rules know; more are counted in the admin interface's status",
			"service", service, "hint", "`unmatched: reject` in the service's rules refuses such calls")
	}
}

func (u *unmatchedCalls) totals() map[string]int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.counts)
}
