package proxy

// This file finds the IPv4 addresses that IPv6 addresses stand for: whoever
// dials one reaches, behind a gateway, the other.

import (
	"net/netip"

	"code.dny.dev/ssrf"
)

var (
	localNAT64   = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFour    = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo       = netip.MustParsePrefix("2001::/32")       // RFC 4380
	v4Compatible = netip.MustParsePrefix("::/96")           // RFC 4291, 2.5.5.1
	v4Translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 7915, 1.1
	thisNetwork  = netip.MustParsePrefix("0.0.0.0/8")       // RFC 791, 3.2
	isatapLocal  = [4]byte{0, 0, 0x5e, 0xfe}                // RFC 5214, 6.1
	isatapGlobal = [4]byte{2, 0, 0x5e, 0xfe}
)

// embedded lists the IPv4 addresses that a holds, or nothing. A prefix of
// NAT64 that an operator chose for himself (RFC 6052, 3.1) cannot be told from
// any other network.
func embedded(a netip.Addr) []netip.Addr {
	if !a.Is6() || a.Is4In6() || a.IsUnspecified() || a.IsLoopback() {
		return nil
	}
	b := a.As16()
	v4 := func(at int) netip.Addr { return netip.AddrFrom4([4]byte(b[at:])) }
	switch {
	case ssrf.IPv6NAT64Prefix.Contains(a), v4Compatible.Contains(a), v4Translated.Contains(a):
		return []netip.Addr{v4(12)}
	case localNAT64.Contains(a):
		return layouts(b)
	case sixToFour.Contains(a):
		return []netip.Addr{v4(2)}
	case teredo.Contains(a): // its server's, and its own with all bits turned
		return []netip.Addr{v4(4), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	}
	if iid := [4]byte(b[8:]); iid == isatapLocal || iid == isatapGlobal {
		return []netip.Addr{v4(12)}
	}
	return nil
}

// layouts are the readings of a NAT64 address whose prefix is 48, 56, 64 or 96
// bits long (RFC 6052, 2.2: the byte 8 is left out). One below 1.0.0.0 is no
// address but the sign of another layout; if all are, that is what is returned.
func layouts(b [16]byte) (all []netip.Addr) {
	whole := netip.AddrFrom4([4]byte(b[12:]))
	for _, a := range []netip.Addr{
		netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}),
		netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}),
		netip.AddrFrom4([4]byte{b[9], b[10], b[11], b[12]}),
		whole,
	} {
		if !thisNetwork.Contains(a) {
			all = append(all, a)
		}
	}
	if all == nil {
		return []netip.Addr{whole}
	}
	return all
}
