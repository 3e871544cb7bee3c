package rules

// Requests that carry requests: each of them is looked at as if it had come by
// itself. They are not opened any deeper: what carries requests within such a
// request is refused.

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// mostInner bounds the requests in one request. Microsoft Graph takes 20
// (learn.microsoft.com/graph/json-batching, 2026-11-21).
const mostInner = 1000

// innerRule says where the requests in a request are.
type innerRule struct {
	method, url  []valueSource
	base         string
	header, body *jsonPath
}

func compileInner(def *message, service string, report reporter) *innerRule {
	in := def.Inner
	r := &innerRule{base: in.Base}
	r.method = compileSources(in.Method, service, in.pos, report)
	r.url = compileSources(in.URL, service, in.pos, report)
	withoutMail(r.method, in.pos, report)
	withoutMail(r.url, in.pos, report)
	path := func(key, text string) *jsonPath {
		if text == "" {
			return nil
		}
		p, err := compileJSONPath(text)
		if err != nil {
			report(in.pos, "%s: %q is not a JSONPath: %s\nRFC 9535, for example $.body", key, text, err)
		}
		return p
	}
	r.header, r.body = path("header", in.Header), path("body", in.Body)
	if len(def.Recipients)+len(def.Text)+len(def.ID)+len(def.Account) > 0 {
		report(def.pos, "%s carries requests: who sends what to whom is what these say\nleave account:, recipients:, text: and id: to the messages that they are", def.Name)
	}
	return r
}

// carry appends the messages of the requests that a request carries, and
// returns the identities that they show.
func (k *making) carry(s *Sighting, r *messageRule, in *input) ([]identity, error) {
	if k.within {
		return nil, unreadable("it carries requests that carry requests")
	}
	items, err := r.items(in)
	switch {
	case err != nil:
		return nil, err
	case r.each == nil:
		items = []any{in.body.json} // nil where it is no JSON: the rest stands elsewhere
	case len(items) == 0 && !in.body.hasJSON && !in.body.empty:
		return nil, unreadable("it carries requests, and they are not where the rules look for them")
	case len(items) > mostInner:
		return nil, unreadable("it carries more requests than can be looked at")
	}
	k.within = true
	defer func() { k.within = false }()
	var all []identity
	var first *identity
	in.batch = true
	for _, item := range items {
		in.item = item
		call, body, err := r.inner.open(s.call, in)
		if err != nil {
			return nil, err
		}
		sight, before := s.set.matcher.look(s.set, call), len(k.out.Messages)
		ids, err := sight.gather(k, body)
		if err != nil {
			return nil, err
		}
		if len(k.out.Messages) == before {
			if sight.bars(call, s) {
				return nil, ErrUnmatched
			}
			continue
		}
		for i := before; i < len(k.out.Messages); i++ {
			k.out.Messages[i].outcome = r.outcome // the answer is the whole one's
		}
		var own identity
		if len(ids) > 0 {
			own = ids[0]
		}
		if first == nil {
			first = &own
		} else if *first != own {
			return nil, ErrMixedAccounts
		}
		if all = append(all, ids...); len(all) > mostItems {
			return nil, errIdentities
		}
	}
	return all, nil
}

// ErrUnmatched: a request carries one that is no known message, on a service
// whose rules let nothing else pass.
var ErrUnmatched = errors.New("the request carries one that is no message the rules know, and they let nothing else pass there")

// bars reports whether a request that turned out to be no message may not pass:
// what is not a reading, where the rules of its service say so, or, where no rule
// names its host, those of the service that would carry it there.
func (s *Sighting) bars(c *Call, outer *Sighting) bool {
	rule := s.Unmatched()
	if s.set == nil {
		rule = outer.Unmatched()
	}
	return rule == reject && c.Changes()
}

var errInner = unreadable("it carries a request that cannot be read")

// open is a request within a request, from the item that holds it.
func (r *innerRule) open(outer *Call, in *input) (*Call, []byte, error) {
	c := *outer
	c.Header = innerHeader(outer.Header)
	found, _ := firstPresent(r.url, in, false)
	if len(found) == 0 {
		return nil, nil, errInner
	}
	if !r.aim(&c, found[0], in) {
		return nil, nil, errInner
	}
	var body []byte
	if r.body != nil {
		for _, v := range r.body.get(in.item) {
			switch v := v.(type) {
			case nil:
			case string:
				body = []byte(v)
			default:
				var err error
				if body, err = json.Marshal(v); err != nil {
					return nil, nil, errInner
				}
				c.Header.Set("Content-Type", "application/json")
			}
		}
	}
	if r.header != nil {
		for _, v := range r.header.get(in.item) {
			list, _ := v.(map[string]any)
			given := map[string]bool{}
			for _, name := range sorted(list) {
				text, ok := scalar(list[name])
				key := http.CanonicalHeaderKey(name)
				switch {
				case !ok:
				case given[key]: // in two spellings of the name
					c.Header.Add(key, text)
				default:
					c.Header.Set(key, text)
					given[key] = true
				}
			}
		}
	}
	switch method, _ := firstPresent(r.method, in, false); {
	case len(method) > 0:
		c.Method = strings.ToUpper(method[0])
	case len(body) > 0:
		c.Method = http.MethodPost
	default:
		c.Method = http.MethodGet
	}
	return &c, body, nil
}

// aim points a call at a URL: one without a host is of the host that the call
// has, and continues the base. Where there is a base, URLs are paths behind it,
// and nobody knows what the service makes of another host.
func (r *innerRule) aim(c *Call, text string, in *input) bool {
	u, err := url.Parse(text)
	if err == nil && u.Scheme == "" && u.Host == "" && r.base != "" {
		u, err = url.Parse(r.behind(text, in))
	}
	if err != nil || u.Opaque != "" || r.base != "" && u.Host != "" && !strings.EqualFold(u.Host, c.Host) {
		return false
	}
	if u.Scheme != "" {
		c.Scheme = strings.ToLower(u.Scheme)
	}
	if u.Host != "" {
		c.Host = u.Host
	}
	c.Path, c.Query = u.EscapedPath(), u.RawQuery
	if !strings.HasPrefix(c.Path, "/") {
		c.Path = "/" + c.Path
	}
	return true
}

// behind is what continues the base.
func (r *innerRule) behind(text string, in *input) string {
	base := r.base
	for _, name := range in.pattern.names() {
		base = strings.ReplaceAll(base, "{"+name+"}", in.pattern.capture(in.path, name))
	}
	return strings.TrimSuffix(base, "/") + "/" + strings.TrimPrefix(text, "/")
}

// innerHeader is what a request's headers say of those within it: who sends,
// but nothing of the body.
func innerHeader(h http.Header) http.Header {
	out := h.Clone()
	if out == nil {
		out = http.Header{}
	}
	for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding"} {
		out.Del(name)
	}
	for name := range out {
		if meaningOf(name) != itself {
			delete(out, name)
		}
	}
	return out
}
