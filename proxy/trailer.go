package proxy

// Fields behind a request's body.

import (
	"net/http"

	"golang.org/x/net/http/httpguts"

	"quotagate/rules"
)

// mayTrail reports whether a field may come behind a request's body. A service
// may take what does for a field of the header (RFC 9110, 6.5.1), where rules
// have looked: so none of the header's again, none that says whose message it is,
// and none that makes another request of it.
func mayTrail(r *http.Request, name string) bool {
	_, twice := r.Header[name]
	return !twice && httpguts.ValidTrailerHeader(name) && !rules.Steers(name) &&
		name != "Cookie" && name != "Upgrade" && name != "Via" // which are not in that list
}

// trailers are the fields that go behind the body to the service: of those that
// the client announced the ones that may. There are no values yet; net/http puts
// others beside the announced ones when they come.
func trailers(r *http.Request) http.Header {
	var out http.Header
	for name := range r.Trailer {
		if mayTrail(r, name) {
			if out == nil {
				out = http.Header{}
			}
			out[name] = nil
		}
	}
	return out
}
