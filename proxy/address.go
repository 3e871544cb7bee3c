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

// metadata are the addresses at which clouds tell a machine its own secrets.
// Azure's is outside of the registries.
//
//	https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
//	https://cloud.google.com/compute/docs/metadata/querying-metadata
//	https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
//	https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
//
// as of 2026-11-21.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"),
	netip.MustParseAddr("169.254.170.2"), // of AWS's containers
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("fd20:ce::254"),
	netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("168.63.129.16"),
}

// sharedSpace lies between a provider's customers and its NAT (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

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
	case slices.Contains(metadata, a):
		return "cloud metadata"
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
	case sharedSpace.Contains(a):
		return "carrier-grade NAT"
	case ssrf.IPv6NAT64Prefix.Contains(a), localNAT64.Contains(a):
		return "NAT64"
	case sixToFour.Contains(a):
		return "6to4"
	case teredo.Contains(a):
		return "Teredo"
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
	a := to.Addr().Unmap().WithZone("")
	refuse := func(reason string) *AddressError {
		return &AddressError{Host: host, Addr: to.Addr(), Reason: reason}
	}
	if reason := d.reason(a); reason != "" {
		return refuse(reason)
	}
	// Behind an allowed gateway lies an IPv4 address, which has to be allowed
	// itself: 64:ff9b::7f00:1 is 127.0.0.1 (RFC 6052, 2.2).
	for _, behind := range embedded(a) {
		if err := d.check(host, netip.AddrPortFrom(behind, to.Port())); err != nil {
			return refuse(err.Reason)
		}
	}
	if d.own(a, to.Port()) {
		return refuse(reasonOwn)
	}
	return nil
}

// own reports whether dialling a and port arrives at one of our listeners.
func (d *Dialer) own(a netip.Addr, port uint16) bool {
	return d.Own != nil && slices.ContainsFunc(d.Own(), func(own netip.AddrPort) bool { return isOwn(own, a, port) })
}

// The reasons that no registry knows.
const (
	reasonOwn   = "the proxy itself"
	reasonStore = "the proxy's store"
)

// reason says why a may not be reached, or "".
func (d *Dialer) reason(a netip.Addr) string {
	if holds(d.AllowAddresses, a) {
		return ""
	}
	if reason := reserved(a); reason != "" {
		return reason
	}
	if d.Closed != nil && slices.Contains(d.Closed(), a) {
		return reasonStore
	}
	return ""
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
