package certs

// This file spells hosts.

import (
	"net/netip"
	"strings"
)

// canonical is the one spelling under which a host is allowed, cached and
// certified. IDNA names have to come in their ASCII form, as in an SNI.
func canonical(host string) (string, netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return "", netip.Addr{}, ErrNotNamed
		}
		addr = addr.Unmap()
		return addr.String(), addr, nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if !isDNSName(name) {
		return "", netip.Addr{}, ErrNotNamed
	}
	return name, netip.Addr{}, nil
}

// isDNSName accepts letters, digits, hyphens and, as real hosts have them,
// underscores.
func isDNSName(name string) bool {
	if name == "" || len(name) > 253 { // RFC 1035, 2.3.4
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
