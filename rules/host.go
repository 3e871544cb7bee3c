package rules

// Host names: one spelling for each, and patterns that name several.

import (
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// NormaliseHost gives the one spelling by which hosts are compared: lower
// case, without port, brackets and trailing dot, in its ASCII (punycode)
// form. A name that IDNA refuses is only lower-cased: it cannot be resolved,
// so it need not match anything either.
func NormaliseHost(host string) string {
	name, _ := splitHost(host)
	return name
}

// splitHost is NormaliseHost and the port as written, "" if none.
func splitHost(host string) (name, port string) {
	name = host
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		switch {
		case strings.HasSuffix(host, "]"): // [::1]
		case strings.HasPrefix(host, "["), strings.IndexByte(host, ':') == i:
			name, port = host[:i], host[i+1:]
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
	if !ascii(name) {
		if plain, err := idna.Lookup.ToASCII(name); err == nil {
			name = plain
		}
	}
	name = strings.ToLower(name)
	for strings.HasSuffix(name, ".") {
		name = name[:len(name)-1]
	}
	return name, port
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
	name, port := splitHost(pattern)
	switch {
	case name == "":
		return nil, "a host is empty"
	case strings.ContainsAny(name, "/?#@ {}"):
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
		if (e.port == "" || e.port == port) && labelsHold(e.labels, name) {
			out = append(out, e)
		}
	}
	return out
}

func withPort(es []*hostEntry, port string, out []*hostEntry) []*hostEntry {
	for _, e := range es {
		if e.port == "" || e.port == port {
			out = append(out, e)
		}
	}
	return out
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
