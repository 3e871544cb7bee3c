package rules

// Headers by which some servers take another method, path or host for the
// request's own. With another method a request counts as either. With another
// path or host by which it would be another message it is refused: nobody can say
// who sends what to whom, and no client of these services needs one.

import (
	"net/http"
	"slices"
	"strings"
)

// meaning is what a header says about the request itself.
type meaning uint8

const (
	itself meaning = iota
	anotherMethod
	anotherPath
	anotherHost
)

// meaningOf is that of a header. To servers that take headers for variables
// (CGI, WSGI, Rack) a name with underscores is the one with hyphens.
//
// Of the paths: X-Original-URL and X-Rewrite-URL are IIS's rewriters', which
// Symfony (CVE-2018-14773) and Zend (ZF2018-01) took from anybody; X-Script-Name
// is that of Werkzeug's snippets, SCRIPT_NAME and PATH_INFO gunicorn's
// forwarder_headers; the others are those that scanners of such faults try and
// that gateways (Envoy, Kong, Traefik, ingress-nginx, Spring) write. Of the hosts:
// by X-Forwarded-Host Rails, Laravel and Django route where they are told to trust
// it, by the others what scanners try; Forwarded is RFC 7239. Read 2026-11-22.
func meaningOf(name string) meaning {
	if strings.IndexByte(name, '_') >= 0 {
		name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	}
	switch name {
	case "X-Http-Method-Override", "X-Http-Method", "X-Method-Override":
		return anotherMethod
	case "X-Original-Url", "X-Original-Uri", "X-Original-Path", "X-Rewrite-Url", "X-Rewrite-Uri", "X-Rewrite-Path", "X-Override-Url",
		"X-Forwarded-Path", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-Url", "X-Envoy-Original-Path",
		"X-Request-Uri", "X-Request-Url", "X-Real-Uri", "X-Real-Url", "X-Http-Destinationurl", "X-Script-Name", "Script-Name", "Path-Info":
		return anotherPath
	case "X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-Host", "X-Http-Host-Override", "Forwarded":
		return anotherHost
	}
	return itself
}

// Steers reports a header, by its canonical name, by which some servers take
// another method, path or host for a request's own.
func Steers(name string) bool { return meaningOf(name) != itself }

// elsewhere notes whether the request would be a message that it is not, by a path
// or a host that a header gives.
func (m *matcher) elsewhere(s *Sighting, entries []*hostEntry) {
	for name, lines := range s.call.Header {
		switch meaningOf(name) {
		case anotherPath:
			for _, line := range lines {
				for _, path := range s.call.pathsBy(line) {
					m.try(s, entries, path)
				}
			}
		case anotherHost:
			for _, line := range lines {
				for part := range strings.FieldsFuncSeq(line, betweenHosts) {
					m.tryHost(s, part)
				}
			}
		}
	}
}

// betweenHosts is what stands between the hosts of a list, and between them and
// what else RFC 7239 has: its pairs, and the quotes around their values.
func betweenHosts(r rune) bool { return strings.ContainsRune(",;=\" \t", r) }

// tryHost looks for messages in the request as it stands, at another host.
func (m *matcher) tryHost(s *Sighting, host string) {
	name, port := splitHost(host)
	if port == "" {
		port = anyPort
	}
	if own, _ := splitHost(s.call.Host); name == "" || name == own {
		return
	}
	there := Sighting{set: s.set, call: s.call}
	var buf [4]*hostEntry
	var found [16]int32
	list, n := readings(s.call.Path)
	for _, e := range m.hosts.find(name, port, buf[:0]) {
		for _, r := range list[:n] {
			path := normalisePath(s.call.Path, r)
			for _, i := range e.paths.walk(path[1:], found[:0]) {
				there.consider(m.leaves[i], path)
			}
		}
	}
	for _, c := range there.candidates {
		s.otherPath = s.otherPath || !s.knows(c)
	}
}

// knows reports whether a message is one that the request is by itself.
func (s *Sighting) knows(c candidate) bool {
	return slices.ContainsFunc(s.candidates, func(own candidate) bool {
		return own.sameMessage(c) && !own.contradicts(c)
	})
}

// pathsBy are the paths that a header may give a call: its value, its value in
// front of the call's own path, and the call's own path without it.
func (c *Call) pathsBy(line string) []string {
	line = strings.TrimSpace(line)
	if _, rest, ok := strings.Cut(line, "://"); ok {
		line = "/"
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			line = rest[i:]
		}
	}
	path, query, _ := strings.Cut(line, "?")
	if path == c.Path && (query == "" || query == c.Query) {
		return nil // it says what the request says
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	out := []string{path, path + c.Path}
	if rest, ok := strings.CutPrefix(c.Path, strings.TrimSuffix(path, "/")); ok {
		out = append(out, "/"+strings.TrimPrefix(rest, "/"))
	}
	return out
}

// try looks for messages at another path of the call, whatever the query says:
// servers differ in whose they take.
func (m *matcher) try(s *Sighting, entries []*hostEntry, path string) {
	var found [16]int32
	list, n := readings(path)
	for _, r := range list[:n] {
		path := normalisePath(path, r)
		for _, e := range entries {
			for _, i := range e.paths.walk(path[1:], found[:0]) {
				l := m.leaves[i]
				sure, perhaps := l.match.methodHolds(s.call)
				if l.event != nil || !sure && !perhaps {
					continue
				}
				c := candidate{leaf: l, path: path}
				s.otherPath = s.otherPath || !s.knows(c)
			}
		}
	}
}

var errOtherPath = unreadable("one of its headers gives another path or host than its own, and there it would be a message: servers differ in which they take")
