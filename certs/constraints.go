package certs

// This file says for which hosts a CA may sign: the name constraints of
// RFC 5280, 4.2.1.10, written into the CAs that are made here and read from
// those that are brought along.
//
// A constraint is coarser than a rule. A permitted "x.y" is x.y and everything
// below it, at any depth; there is no way to say "x.y alone" or "one label
// below x.y", and none at all to say "any name that ends in two labels". So
// what Options.Allow says is asked first, and always; the constraints are for
// the day on which somebody else has the key.

import (
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Internal is the proxy's own name. Every CA made here may sign for it.
const Internal = "quotagate.internal"

// maxPermitted bounds the names in a CA, which is sent in every handshake:
// OpenSSL takes 100 KiB of certificates at most (SSL_MAX_CERT_LIST_DEFAULT,
// ssl.h of OpenSSL 3.5, 2026-11), and a thousand names have about 25.
const maxPermitted = 1000

// Domains turns the host patterns of rules (api.x.y, *.x.y, **.x.y:8443) into
// the domains that a constraint permits: sorted, and none below another. If
// some cannot be said (a pattern without a name behind its last *, such as *
// or api.*; what is past a thousand domains) they are in beyond, and permitted
// is nil: a CA for them has to permit every name. IP addresses have no domain
// and are in neither: no leaf is made for one.
func Domains(patterns []string) (permitted, beyond []string) {
	all := []string{Internal}
	from := map[string]string{}
	for _, p := range patterns {
		domain, _, is := domainOf(p)
		switch {
		case !is:
		case domain == "":
			beyond = append(beyond, p)
		default:
			all = append(all, domain)
			from[domain] = p
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for _, d := range all {
		below := func(other string) bool { return other != d && covers(other, d) }
		switch {
		case slices.ContainsFunc(all, below):
		case len(permitted) == maxPermitted:
			beyond = append(beyond, from[d])
		default:
			permitted = append(permitted, d)
		}
	}
	if len(beyond) > 0 {
		return nil, beyond
	}
	return permitted, nil
}

// domainOf is the narrowest domain that holds every host of a pattern, "" if
// that is all of DNS. several tells that the pattern stands for more than one
// host; is is false for an IP address.
func domainOf(pattern string) (domain string, several, is bool) {
	name := pattern
	if strings.Count(name, ":") == 1 {
		name, _, _ = strings.Cut(name, ":") // a port
	}
	if strings.ContainsAny(name, ":[") {
		return "", false, false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", false, false
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	labels := strings.Split(name, ".")
	for i := len(labels) - 1; i >= 0; i-- {
		if strings.Contains(labels[i], "*") {
			return strings.Join(labels[i+1:], "."), true, true
		}
	}
	return name, false, true
}

// covers reports whether a constraint holds for a name. One that begins with a
// dot holds for what is below it alone, and an empty one for everything; RFC
// 5280 knows neither for DNS, and OpenSSL, Go and NSS take them so.
func covers(constraint, name string) bool {
	constraint = strings.ToLower(strings.TrimSuffix(constraint, "."))
	if constraint == "" || strings.HasPrefix(constraint, ".") {
		return strings.HasSuffix(name, constraint)
	}
	return name == constraint || strings.HasSuffix(name, "."+constraint)
}

// permitsName reports whether all of the CAs may stand above a leaf for name.
func permitsName(cas []*x509.Certificate, name string) bool {
	for _, ca := range cas {
		holds := func(constraint string) bool { return covers(constraint, name) }
		if len(ca.PermittedDNSDomains) > 0 && !slices.ContainsFunc(ca.PermittedDNSDomains, holds) ||
			slices.ContainsFunc(ca.ExcludedDNSDomains, holds) {
			return false
		}
	}
	return true
}

// permitsAddr is permitsName for an IP address.
func permitsAddr(cas []*x509.Certificate, addr netip.Addr) bool {
	for _, ca := range cas {
		holds := func(n *net.IPNet) bool { return n.Contains(addr.AsSlice()) }
		if len(ca.PermittedIPRanges) > 0 && !slices.ContainsFunc(ca.PermittedIPRanges, holds) ||
			slices.ContainsFunc(ca.ExcludedIPRanges, holds) {
			return false
		}
	}
	return true
}

// permitsPattern reports whether all of the CAs may stand above a leaf for
// every host of a pattern.
func permitsPattern(cas []*x509.Certificate, pattern string) bool {
	domain, several, is := domainOf(pattern)
	switch {
	case !is:
		return true // no constraint is in its way: it gets no leaf anyhow
	case !several:
		return permitsName(cas, domain)
	}
	// Any name one label below stands for all of them, but for a constraint
	// that excludes some.
	if !permitsName(cas, "any."+domain) && !(domain == "" && permitsName(cas, "any")) {
		return false
	}
	for _, ca := range cas {
		within := func(excluded string) bool {
			return domain == "" || covers(domain, strings.TrimPrefix(strings.ToLower(excluded), "."))
		}
		if slices.ContainsFunc(ca.ExcludedDNSDomains, within) {
			return false
		}
	}
	return true
}

// constrain writes the limits into the template of a CA. With nothing
// permitted every DNS name stays so; whatever is no DNS name is excluded
// either way. E-mail addresses and URIs have no spelling for "all of them", so
// the proxy's own name is the only one permitted.
func constrain(template *x509.Certificate, permitted []string) {
	template.PermittedDNSDomainsCritical = true
	template.PermittedDNSDomains = permitted
	template.ExcludedIPRanges = []*net.IPNet{
		{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
		{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	}
	template.PermittedEmailAddresses = []string{Internal}
	template.PermittedURIDomains = []string{Internal}
}
