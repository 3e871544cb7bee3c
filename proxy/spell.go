package proxy

// A path goes to the service byte for byte: signatures are made over it.
// net/url writes one that holds a character which a URL should not (a brace, a
// bar, a caret) anew, from what it decodes to, and then %2F is a slash.

import (
	"net/http"
	"strings"
)

// pathAsSent is a request's path as it stands in its request line, where
// net/url would write another; else "".
func pathAsSent(r *http.Request) string {
	if r.URL.RawPath == "" {
		return ""
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if r.URL.Host != "" { // absolute form
		_, path, _ = strings.Cut(path, "://")
		slash := strings.IndexByte(path, '/')
		if slash < 0 {
			return ""
		}
		path = path[slash:]
	}
	if path == r.URL.EscapedPath() || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return "" // of two slashes in front net/url would make a host
	}
	return path
}

// spell gives a request the path that the client sent. Rules have seen the
// same one. It is the last step: an opaque URL has no path to match.
func (c *Client) spell(out *http.Request) *http.Request {
	if c.path == "" {
		return out
	}
	u := *out.URL
	u.Opaque = c.path
	out = out.WithContext(out.Context())
	out.URL = &u
	return out
}
