package rules

// Methods, and the ways in which a request says that it means another than its
// own: headers, and a field named _method (Rails, Laravel, Symfony) or, in a
// query, method (graph.facebook.com).

import (
	"net/http"
	"slices"
	"strings"
)

// Overridden reports whether a request's headers give another method than its
// own: it may then be a call of any method, whatever its own says.
func Overridden(h http.Header) bool {
	for name, lines := range h {
		if len(lines) > 0 && meaningOf(name) == anotherMethod {
			return true
		}
	}
	return false
}

// Changes reports whether a call may change something on the service: its
// method does, or it says that another one is meant.
func (c *Call) Changes() bool {
	switch c.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions: // RFC 9110, 9.2.1
		return Overridden(c.Header) || OverriddenIn(c.Query)
	}
	return true
}

// OverriddenIn reports whether a query gives another method, and one that
// changes something.
func OverriddenIn(query string) bool {
	found := false
	eachMethod(query, func(method string) bool {
		switch strings.ToUpper(strings.TrimSpace(method)) {
		case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
			found = true
		}
		return !found
	})
	return found
}

// eachMethod calls yield for each method that a query names, until it returns
// false.
func eachMethod(query string, yield func(method string) bool) {
	if !strings.Contains(query, "=") {
		return
	}
	eachField(query, func(name, value string, _ splitting) bool {
		switch foldField(unescapeForm(name)) {
		case "_method", "method":
			return yield(unescapeForm(value))
		}
		return true
	})
}

// methodHolds reports whether a call's method holds, or one that it gives
// instead; perhaps tells that a form may still give one.
func (c *matchRule) methodHolds(call *Call) (sure, perhaps bool) {
	if len(c.methods) == 0 || c.hasMethod(call.Method) {
		return true, false
	}
	for name, lines := range call.Header {
		if meaningOf(name) != anotherMethod {
			continue
		}
		for _, line := range lines {
			if slices.ContainsFunc(strings.Split(line, ","), c.hasMethod) {
				return true, false
			}
		}
	}
	eachMethod(call.Query, func(method string) bool {
		sure = c.hasMethod(method)
		return !sure
	})
	// Frameworks look for it in the forms of a POST alone.
	return sure, !sure && strings.EqualFold(call.Method, http.MethodPost) && formType(call.Header)
}

// formType reports whether a request says that its body is a form.
func formType(h http.Header) bool {
	return slices.ContainsFunc(h["Content-Type"], func(line string) bool {
		line = strings.ToLower(line)
		return strings.Contains(line, "x-www-form-urlencoded") || strings.Contains(line, "multipart/form-data")
	})
}

// formHasMethod reports whether a form gives a method that holds.
func (c *matchRule) formHasMethod(f fields) bool {
	return slices.ContainsFunc(f, func(f field) bool { return foldField(f.name) == "_method" && c.hasMethod(f.value) })
}

func (c *matchRule) hasMethod(method string) bool {
	for _, m := range c.methods {
		if m == method || strings.EqualFold(m, strings.TrimSpace(method)) {
			return true
		}
	}
	return false
}
