package proxy

// This file says which addresses may be reached. What is special about an
// address is taken from the IANA registries, as code.dny.dev/ssrf has them.

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"code.dny.dev/ssrf"
)

// An AddressError says that a host leads to an address that must not be
// reached. Its text may be shown to clients: it does not say which address.
type AddressError struct {
	Host   string
	Addr   netip.Addr // for the log only
	Reason string     // loopback, private, link-local, ...
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("%s leads to an address that must not be reached (%s)", e.Host, e.Reason)
}

// A PortError says that a client named a port that it may not.
type PortError struct {
	Host string
	Port uint16
}

func (e *PortError) Error() string {
	return fmt.Sprintf("port %d of %s must not be reached: it is not among the allowed ports", e.Port, e.Host)
}

// azureWireServer answers every Azure machine with its metadata and its
// certificates. It is the one metadata address outside of the registries.
// https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16, 2026-11-21.
var azureWireServer = netip.AddrFrom4([4]byte{168, 63, 129, 16})

// reserved says why an address is no part of the public Internet, or "".
func reserved(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	denied := ssrf.IPv4DeniedPrefixes
	if a.Is6() {
		denied = ssrf.IPv6DeniedPrefixes
	}
	switch {
	case !a.IsValid():
		return "no address"
	case a.IsUnspecified():
		return "unspecified"
	case a.IsLoopback():
		return "loopback"
	case a.IsPrivate():
		return "private"
	case a.IsLinkLocalUnicast():
		return "link-local"
	case a.IsMulticast():
		return "multicast"
	case a == azureWireServer:
		return "cloud metadata"
	case ssrf.IPv6NAT64Prefix.Contains(a):
		return "NAT64"
	case a.Is6() && !ssrf.IPv6GlobalUnicast.Contains(a), holds(denied, a):
		return "special purpose"
	}
	return ""
}

func holds(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// check returns why to must not be dialled for host, or nil.
func (d *Dialer) check(host string, to netip.AddrPort) *AddressError {
	refuse := func(reason string) *AddressError {
		return &AddressError{Host: host, Addr: to.Addr(), Reason: reason}
	}
	a := to.Addr().Unmap().WithZone("")
	if reason := reserved(a); reason != "" && !holds(d.AllowAddresses, a) {
		return refuse(reason)
	}
	// Behind an allowed NAT64 gateway lies an IPv4 address, which has to be
	// allowed itself: 64:ff9b::7f00:1 is 127.0.0.1 (RFC 6052, 2.2).
	if ssrf.IPv6NAT64Prefix.Contains(a) {
		b := a.As16()
		return d.check(host, netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:])), to.Port()))
	}
	if d.Own != nil && slices.ContainsFunc(d.Own(), func(own netip.AddrPort) bool { return isOwn(own, a, to.Port()) }) {
		return refuse("the proxy itself")
	}
	return nil
}

// isOwn reports whether dialling a and port arrives at our listener own.
func isOwn(own netip.AddrPort, a netip.Addr, port uint16) bool {
	if own.Port() != port {
		return false
	}
	listens := own.Addr().Unmap().WithZone("")
	// Linux takes 0.0.0.0 and :: as a destination for loopback.
	if a.IsUnspecified() {
		return listens.IsUnspecified() || listens.IsLoopback()
	}
	return listens == a || listens.IsUnspecified() && isLocal(a)
}

// isLocal reports whether a is one of this machine's addresses; if they cannot
// be listed, it is taken for one.
func isLocal(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(addrs, func(i net.Addr) bool {
		n, ok := i.(*net.IPNet)
		if !ok {
			return false
		}
		local, ok := netip.AddrFromSlice(n.IP)
		return ok && local.Unmap() == a
	})
}
