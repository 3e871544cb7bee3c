package main

// This file finds the addresses of the Redis that the store names, to keep
// clients of the proxy off it.

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"quotagate/proxy"
)

const (
	// storeNamesFor is how long the answer for the store's names is used.
	storeNamesFor = time.Minute
	// storeNamesIn bounds one resolving of them.
	storeNamesIn = 5 * time.Second
)

// storeHosts are the hosts that a store's address names, without their ports.
func storeHosts(store string) []string {
	scheme, rest, shared := strings.Cut(storeName(store), "://")
	if !shared || scheme == "unix" {
		return nil
	}
	authority, _, _ := strings.Cut(rest, "/")
	var hosts []string
	for one := range strings.SplitSeq(authority, ",") {
		if host, _, err := net.SplitHostPort(one); err == nil {
			one = host
		}
		if one = strings.Trim(one, "[]"); one != "" {
			hosts = append(hosts, one)
		}
	}
	return hosts
}

// A hostWatch knows where hosts lie, and looks again from time to time. What
// does not resolve stays where it was.
type hostWatch struct {
	hosts  []string
	log    *slog.Logger // nil: nobody is told of a panic
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	now    func() time.Time

	mu      sync.Mutex
	known   map[string][]netip.Addr
	all     []netip.Addr
	due     time.Time
	running sync.WaitGroup
}

// watchHosts resolves hosts once before it returns.
func watchHosts(hosts []string, log *slog.Logger) *hostWatch {
	w := &hostWatch{hosts: hosts, log: log, now: time.Now, lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
	w.look()
	return w
}

// addresses never waits: what is due is looked up beside it.
func (w *hostWatch) addresses() []netip.Addr {
	if len(w.hosts) == 0 {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.now(); now.After(w.due) {
		w.due = now.Add(storeNamesFor)
		w.running.Go(func() { proxy.Contained(w.log, "the look-up of the store's addresses", w.look) })
	}
	return w.all
}

func (w *hostWatch) look() {
	ctx, cancel := context.WithTimeout(context.Background(), storeNamesIn)
	defer cancel()
	found := map[string][]netip.Addr{}
	for _, host := range w.hosts {
		addrs, err := w.lookup(ctx, host)
		if err != nil {
			continue
		}
		for _, a := range addrs {
			found[host] = append(found[host], a.Unmap().WithZone(""))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil {
		w.known = map[string][]netip.Addr{}
	}
	w.all = nil
	for _, host := range w.hosts {
		if len(found[host]) > 0 {
			w.known[host] = found[host]
		}
		w.all = append(w.all, w.known[host]...)
	}
	w.due = w.now().Add(storeNamesFor)
}
