package proxy

// Tunnels whose TLS asks for nobody by name, or that have no TLS: nobody can see
// which hosts all their requests mean. One that leads to where a governed host
// lives may carry its messages uncounted, and is closed; all others are let be,
// since to go by address is common for what is no web service.

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"quotagate/rules"
)

// errNameless ends a tunnel that may lead to a governed host.
var errNameless = errors.New("the client went to the address of a governed host, and TLS named none, so nobody could count what it sends; let it go by name")

const (
	// lookedUpFor is how long the addresses of the hosts are taken for known;
	// the services' answers in DNS are good for a minute or five (dig,
	// 2026-11).
	lookedUpFor = time.Minute
	// livedFor is for how long an address counts that the names have left: a
	// client may have learned it then.
	livedFor = time.Hour
	// lookUp bounds the wait for all names together.
	lookUp       = 3 * time.Second
	lookUpAtOnce = 16
)

// A gazetteer knows where the governed hosts live. Its zero value is ready.
type gazetteer struct {
	log *slog.Logger // nil: nobody is told of a panic

	looking sync.Mutex // held by who looks

	mu     sync.Mutex
	looked time.Time
	of     *rules.Set                   // looked up for these
	seen   map[netip.AddrPort]time.Time // port 0: at all ports
}

// lives reports whether a governed host lives at an address. Hosts of a
// wildcard have no list; those that do not resolve are nowhere.
func (g *gazetteer) lives(ctx context.Context, set *rules.Set, at netip.AddrPort, addresses func(context.Context, string) []netip.AddrPort) bool {
	now := time.Now()
	if !g.fresh(set, now) {
		// Who asks meanwhile waits: an old answer may lack the address.
		if g.renew(ctx, set, now, addresses) != nil {
			return true // nobody knows, so it is not let through
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	at = bare(at)
	for _, place := range []netip.AddrPort{at, netip.AddrPortFrom(at.Addr(), 0)} {
		if seen, ok := g.seen[place]; ok && now.Sub(seen) < livedFor {
			return true
		}
	}
	return false
}

// renew looks again, unless somebody else just has.
func (g *gazetteer) renew(ctx context.Context, set *rules.Set, now time.Time, addresses func(context.Context, string) []netip.AddrPort) error {
	g.looking.Lock()
	defer g.looking.Unlock()
	if g.fresh(set, now) {
		return nil
	}
	return g.look(ctx, set, now, addresses)
}

// bare is an address in the one form in which it is compared.
func bare(at netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}

func (g *gazetteer) fresh(set *rules.Set, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.of == set && now.Sub(g.looked) < lookedUpFor
}

func (g *gazetteer) look(ctx context.Context, set *rules.Set, now time.Time, addresses func(context.Context, string) []netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookUp)
	defer cancel()
	var mu sync.Mutex
	found := map[netip.AddrPort]time.Time{}
	var all errgroup.Group
	all.SetLimit(lookUpAtOnce)
	for _, host := range set.Hosts() {
		if strings.Contains(host, "*") {
			continue
		}
		all.Go(func() error {
			var lives []netip.AddrPort
			if Contained(g.log, "the look-up of a governed host", func() { lives = addresses(ctx, host) }) {
				return errPanicked
			}
			mu.Lock()
			defer mu.Unlock()
			for _, a := range lives {
				found[bare(a)] = now
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for a, at := range g.seen {
		if _, again := found[a]; !again && now.Sub(at) < livedFor {
			found[a] = at
		}
	}
	g.seen, g.looked, g.of = found, now, set
	return nil
}

// nameless reports whether a tunnel may carry what should be counted. A name
// of anybody's may lead to where a governed host lives, so of one it is the
// address that counts to which it led.
func (s *Server) nameless(ctx context.Context, t target, h hello, upstream net.Addr) bool {
	if s.cfg.Addresses == nil || h.tls && h.name != "" {
		return false
	}
	at, err := netip.ParseAddrPort(t.addr)
	if to, ok := upstream.(*net.TCPAddr); err != nil && ok {
		at, err = to.AddrPort(), nil
	}
	return err == nil && s.gazetteer.lives(ctx, s.cfg.Rules(), at, s.cfg.Addresses)
}

// Addresses are where a host would be dialled, with port 0 for any; none if it
// does not resolve.
func (d *Dialer) Addresses(ctx context.Context, host string) []netip.AddrPort {
	var all []netip.AddrPort
	add := func(name string, port uint16) {
		addrs, _ := d.resolve(ctx, "tcp", name) // a name that is nowhere has none
		for _, a := range addrs {
			all = append(all, netip.AddrPortFrom(a, port))
		}
	}
	for from, to := range d.ConnectTo {
		if name, _, err := hostPort(from); err != nil || name != host {
			continue
		}
		if other, port, err := hostPort(to); err == nil {
			add(other, port)
		}
	}
	if len(all) == 0 {
		add(host, 0)
	}
	return all
}
