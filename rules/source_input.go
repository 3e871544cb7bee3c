package rules

// A request, opened as far as rules have asked for.

import (
	"net/http"
	"strings"

	"quotagate/ratelimit"
)

// input is what sources and conditions look at.
type input struct {
	call *Call
	body *content
	// pattern and path are what matched, for captures.
	pattern *pathPattern
	path    string
	// item is one item of a batch, where batch is set.
	item  any
	batch bool
	// sent are the items of a GraphQL request, where graphql is set.
	sent    []any
	graphql bool
	// shared keeps what sources find outside the items, which is the same
	// for all of them.
	shared map[*valueSource]*outside

	query    fields
	hasQuery bool

	// names are those that are looked for. loose reads what is nearly one of
	// them as that; otherwise nearly notes that there is one in a text that
	// was opened.
	names         *names
	loose, nearly bool
}

// has reports whether there may be anything in a place.
func (in *input) has(p place) bool {
	switch p {
	case inJSON:
		return in.body.hasJSON
	case inForm:
		return len(in.body.fields) > 0
	case inQuery:
		return in.call.Query != "" || len(in.queryFields()) > 0
	}
	return true
}

// opened is the tree of a text that was found within the request.
func (in *input) opened(tree any) (any, error) {
	switch {
	case in.names == nil:
	case in.loose:
		return in.names.loosened(tree)
	default:
		in.nearly = in.nearly || in.names.nearIn(tree)
	}
	return tree, nil
}

// outside is what a source finds outside the items of a batch, and what was
// made of it.
type outside struct {
	values      []string
	recipients  []string // hashed
	id          string   // hashed, where hasID
	hasID       bool
	segments    int64
	text        string              // joined
	likeness    *ratelimit.Likeness // its, where hasLikeness
	hasLikeness bool
	words       string // its hash
}

func (in *input) queryFields() fields {
	if !in.hasQuery {
		in.query, _ = readForm(in.call.Query) // Read has counted its fields
		in.hasQuery = true
		if len(in.body.fields) > 0 && Overridden(in.call.Header) {
			// A tunnelled query: rest.li reads the form as the query.
			in.query = append(in.query, in.body.fields...)
		}
		if in.loose {
			in.query = in.names.loosenedFields(in.query)
		}
	}
	return in.query
}

// cookies are all values of a cookie, as sent: a browser sends the same name
// twice for two paths.
func cookies(h http.Header, name string) []string {
	var out []string
	for _, line := range h["Cookie"] {
		for part := range strings.SplitSeq(line, ";") {
			n, v, ok := strings.Cut(strings.TrimSpace(part), "=")
			if !ok || strings.TrimSpace(n) != name {
				continue
			}
			v = strings.TrimSpace(v)
			if len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
				v = v[1 : len(v)-1]
			}
			out = append(out, v)
		}
	}
	return out
}

// authorization are the credentials given under a scheme, in lower case.
func authorization(h http.Header, scheme string) []string {
	var out []string
	for _, line := range h["Authorization"] {
		s, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && strings.EqualFold(s, scheme) {
			out = append(out, strings.TrimSpace(rest))
		}
	}
	return out
}
