package rules

// Host names: one spelling for each, and patterns that name several.

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// NormaliseHost gives the one spelling by which hosts are compared: lower
// case, without port, brackets and trailing dot, in its ASCII (punycode)
// form, an IPv6 address as RFC 5952 writes it. It is "" for what can be no
// host, such as a name with a control character in it: no rule names that,
// and no call to it can be let through.
func NormaliseHost(host string) string {
	name, _ := splitHost(host)
	return name
}

// splitHost is NormaliseHost and the port as splitPattern gives it.
func splitHost(host string) (name, port string) {
	name, port = splitPattern(host)
	if !isHost(name) {
		name = ""
	}
	return name, port
}

// isHost reports whether a normalised name is an IP address or made of what
// host names are made of.
func isHost(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			ip, err := netip.ParseAddr(name)
			return err == nil && isHost(ip.Zone())
		}
	}
	return true
}

// splitPattern normalises a host in which * may stand for labels. The port is
// a number without leading zeros, "" if none is written, and anyPort if what
// is written is none: servers disregard it, so it may be every one.
func splitPattern(host string) (name, port string) {
	name = host
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		switch {
		case strings.HasSuffix(host, "]"): // [::1]
		case strings.HasPrefix(host, "["), strings.IndexByte(host, ':') == i:
			name, port = host[:i], plainPort(host[i+1:])
		}
	}
	if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
		name = name[1 : len(name)-1]
	}
	if strings.IndexByte(name, '%') >= 0 {
		if plain, err := url.PathUnescape(name); err == nil {
			name = plain
		}
	}
	if !ascii(name) && utf8.ValidString(name) {
		if plain, err := idna.Lookup.ToASCII(name); err == nil {
			name = plain
		}
	}
	name = strings.ToLower(name)
	for strings.HasSuffix(name, ".") {
		name = name[:len(name)-1]
	}
	if strings.IndexByte(name, ':') >= 0 {
		if ip, err := netip.ParseAddr(name); err == nil {
			name = ip.Unmap().String()
		}
	}
	return name, port
}

// anyPort stands where a port may be every one.
const anyPort = "*"

func plainPort(port string) string {
	if port == "" {
		return ""
	}
	n := 0
	for i := range len(port) {
		c := port[i]
		if n = n*10 + int(c-'0'); c < '0' || c > '9' || n > 65535 {
			return anyPort
		}
	}
	if n == 0 {
		return anyPort
	}
	return strings.TrimLeft(port, "0")
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// hostIndex finds the entries whose host pattern holds: one map look-up for a
// name written out, one for each of its parent domains, and a walk over the
// patterns with a wildcard in an odd place.
type hostIndex struct {
	exact map[string][]*hostEntry
	one   map[string][]*hostEntry // *.x by x
	many  map[string][]*hostEntry // **.x by x
	odd   []*hostEntry
	all   map[string]*hostEntry // by pattern as normalised
}

// hostEntry is all that is known about one host pattern.
type hostEntry struct {
	pattern  string
	labels   []string // of an odd pattern
	port     string   // "" is any
	services []*serviceRule
	paths    trie
}

func newHostIndex() *hostIndex {
	return &hostIndex{
		exact: map[string][]*hostEntry{}, one: map[string][]*hostEntry{},
		many: map[string][]*hostEntry{}, all: map[string]*hostEntry{},
	}
}

// entry returns the entry of a pattern, made on first use; nil with a
// sentence about what is wrong with it.
func (x *hostIndex) entry(pattern string) (*hostEntry, string) {
	name, port := splitPattern(pattern)
	switch {
	case name == "":
		return nil, "a host is empty"
	case port == anyPort:
		return nil, "has a port that is no number from 1 to 65535: without a port it stands for every one"
	case !isHost(strings.ReplaceAll(name, "*", "")):
		return nil, "is not a host: give a name alone, such as api.example.com or *.example.com:8443"
	}
	key := name
	if port != "" {
		key += ":" + port
	}
	if e := x.all[key]; e != nil {
		return e, ""
	}
	e := &hostEntry{pattern: key, port: port}
	one, isOne := strings.CutPrefix(name, "*.")
	many, isMany := strings.CutPrefix(name, "**.")
	switch {
	case !strings.Contains(name, "*"):
		x.exact[name] = append(x.exact[name], e)
	case isOne && !strings.Contains(one, "*"):
		x.one[one] = append(x.one[one], e)
	case isMany && !strings.Contains(many, "*"):
		x.many[many] = append(x.many[many], e)
	default:
		e.labels = strings.Split(name, ".")
		for _, l := range e.labels {
			if strings.Contains(l, "*") && l != "*" {
				return nil, "has a * beside other characters: * stands for one whole label of a host, ** in front for any number"
			}
		}
		x.odd = append(x.odd, e)
	}
	x.all[key] = e
	return e, ""
}

// find appends the entries that hold for a normalised name and a port, the
// nearest first.
func (x *hostIndex) find(name, port string, out []*hostEntry) []*hostEntry {
	out = withPort(x.exact[name], port, out)
	if len(x.one)+len(x.many) > 0 {
		for rest, first := name, true; ; first = false {
			i := strings.IndexByte(rest, '.')
			if i < 0 {
				break
			}
			rest = rest[i+1:]
			if first {
				out = withPort(x.one[rest], port, out)
			}
			out = withPort(x.many[rest], port, out)
		}
	}
	for _, e := range x.odd {
		if e.hasPort(port) && labelsHold(e.labels, name) {
			out = append(out, e)
		}
	}
	return out
}

func withPort(es []*hostEntry, port string, out []*hostEntry) []*hostEntry {
	for _, e := range es {
		if e.hasPort(port) {
			out = append(out, e)
		}
	}
	return out
}

func (e *hostEntry) hasPort(port string) bool {
	return e.port == "" || e.port == port || port == anyPort
}

func labelsHold(labels []string, name string) bool {
	for i, l := range labels {
		part, rest, more := strings.Cut(name, ".")
		if part == "" || l != "*" && l != part || more != (i < len(labels)-1) {
			return false
		}
		name = rest
	}
	return true
}
