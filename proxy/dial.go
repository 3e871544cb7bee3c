package proxy

// This file is the one way out: tunnels and the transport dial through it.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// dialTimeout is for resolving and connecting together.
	dialTimeout = 10 * time.Second

	// attemptDelay is how long an address is given before the next one is
	// tried beside it (RFC 8305, 8).
	attemptDelay = 250 * time.Millisecond
)

// A Dialer connects to the public Internet and nowhere else: it resolves a
// name once, checks every address, and dials what it checked, so that a name
// that changes its address between check and use gains nothing.
//
// The zero value is ready to use, by any number of goroutines.
type Dialer struct {
	// AllowAddresses may be reached although they are private, loopback, ...
	AllowAddresses []netip.Prefix

	// AllowPorts may be named by clients; none means 80 and 443.
	AllowPorts []int

	// ConnectTo dials another address instead of one a client names, as
	// curl's --connect-to: "host:port" to "addr:port". The port a client
	// names is still checked, and so is the address it is sent to.
	ConnectTo map[string]string

	// Own lists our own listeners, which are never reached, also if they lie
	// in AllowAddresses.
	Own func() []netip.AddrPort

	// Closed lists addresses that are not reached at any port unless they lie
	// in AllowAddresses: those of our Redis.
	Closed func() []netip.Addr

	// Parent, if set, is the proxy that all connections go through.
	Parent *Parent

	// Pseudonym names us to the Parent (see Config.Pseudonym).
	Pseudonym string

	// Timeout is for one DialContext, resolving included; 0 means 10 s.
	Timeout time.Duration

	// Resolver looks names up; nil means net.DefaultResolver.
	Resolver *net.Resolver

	// Log, if set, is told of a panic.
	Log *slog.Logger
}

// A DialError says in which step there was no connection, so that nothing can
// have been sent. What it wraps is of package net: a *net.DNSError, a refusal
// (syscall.ECONNREFUSED), a time-out (net.Error). It is for the log: its text
// holds addresses.
type DialError struct {
	Host string
	Step string // "resolve" or "connect to"
	Err  error
}

func (e *DialError) Error() string { return fmt.Sprintf("%s %s: %v", e.Step, e.Host, e.Err) }
func (e *DialError) Unwrap() error { return e.Err }

// PortAllowed reports whether a client may name port.
func (d *Dialer) PortAllowed(port uint16) bool {
	if len(d.AllowPorts) == 0 {
		return port == 443 || port == 80
	}
	return slices.Contains(d.AllowPorts, int(port))
}

// DialContext connects to addr, "host:port". The error is an *AddressError, a
// *PortError, a *DialError or a *ParentError; the connection is a *net.TCPConn,
// which tunnels need to splice, unless a Parent speaks TLS. The transport calls
// it in a goroutine of its own, so a panic is contained here.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	if Contained(d.Log, "the opening of a connection", func() { conn, err = d.dial(ctx, network, addr) }) {
		return nil, &DialError{addr, "connect to", errPanicked}
	}
	return conn, err
}

func (d *Dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, &DialError{addr, "connect to", net.UnknownNetworkError(network)}
	}
	host, port, err := hostPort(addr)
	if err != nil {
		return nil, &DialError{addr, "resolve", err}
	}
	if !d.PortAllowed(port) {
		return nil, &PortError{Host: host, Port: port}
	}
	named := host
	if other, ok := d.ConnectTo[net.JoinHostPort(strings.ToLower(strings.TrimSuffix(host, ".")), strconv.Itoa(int(port)))]; ok {
		if host, port, err = hostPort(other); err != nil {
			return nil, &DialError{named, "resolve", err}
		}
	}

	timeout := d.Timeout
	if timeout <= 0 {
		timeout = dialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if d.Parent != nil {
		return d.through(ctx, named, host, port)
	}
	addrs, err := d.resolve(ctx, network, host)
	if err != nil {
		return nil, &DialError{named, "resolve", err}
	}
	checked := make([]netip.AddrPort, 0, len(addrs))
	var refused *AddressError
	for _, a := range addrs {
		to := netip.AddrPortFrom(a.Unmap(), port)
		if e := d.check(named, to); e == nil {
			checked = append(checked, to)
		} else if refused == nil {
			refused = e
		}
	}
	// A name with public and private addresses is reached at the public ones.
	if len(checked) == 0 {
		return nil, refused
	}
	conn, err := connectFirst(ctx, alternate(checked))
	if err != nil {
		return nil, &DialError{named, "connect to", err}
	}
	return conn, nil
}

// hostPort takes "host:port" apart; the port is a number other than 0.
func hostPort(addr string) (string, uint16, error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil || port == 0 {
		return "", 0, &net.AddrError{Err: "invalid port", Addr: addr}
	}
	if host == "" {
		return "", 0, &net.AddrError{Err: "missing host", Addr: addr}
	}
	return host, uint16(port), nil
}

// resolve returns at least one address. Of the spellings of an address only
// the dotted and the RFC 4291 ones count as one; others (127.1, 0x7f.1) are
// names, whose answers are checked like any.
func (d *Dialer) resolve(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	resolver := d.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	addrs, err := resolver.LookupNetIP(ctx, "ip"+strings.TrimPrefix(network, "tcp"), host)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	return addrs, err
}

// alternate orders addresses so that the families take turns, beginning with
// the first one's: one that is broken costs one delay, not one per address
// (RFC 8305, 4).
func alternate(addrs []netip.AddrPort) []netip.AddrPort {
	var turns [2][]netip.AddrPort
	for _, a := range addrs {
		i := 0
		if a.Addr().Is4() != addrs[0].Addr().Is4() {
			i = 1
		}
		turns[i] = append(turns[i], a)
	}
	out := make([]netip.AddrPort, 0, len(addrs))
	for i := range addrs {
		for _, t := range turns {
			if i < len(t) {
				out = append(out, t[i])
			}
		}
	}
	return out
}

// connectFirst returns the first connection that comes about. An address is
// tried when the one before it has failed, or beside it after attemptDelay.
// If none answers the error is the first one met.
func connectFirst(ctx context.Context, addrs []netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	won := make(chan struct{})
	defer close(won)
	try := func(to netip.AddrPort) {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", to.String())
		select {
		case results <- result{conn, err}:
		case <-won: // by another
			if conn != nil {
				conn.Close()
			}
		}
	}

	next := time.NewTimer(0)
	defer next.Stop()
	var firstErr error
	for waiting := 0; len(addrs) > 0 || waiting > 0; {
		select {
		case <-next.C:
			if len(addrs) > 0 {
				go try(addrs[0])
				addrs = addrs[1:]
				waiting++
				next.Reset(attemptDelay)
			}
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			waiting--
			if firstErr == nil {
				firstErr = r.err
			}
			if ctx.Err() != nil {
				addrs = nil
			}
			next.Reset(0)
		}
	}
	if firstErr == nil {
		firstErr = errors.New("no address")
	}
	return nil, firstErr
}
