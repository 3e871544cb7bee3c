package proxy

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// The headers that say what the proxy did. An upstream's own are dropped.
const (
	headerDecision = "Quotagate-Decision"
	headerLimit    = "Quotagate-Limit"
	headerID       = "Quotagate-Id"
	headerError    = "Quotagate-Error"
	headerWarning  = "Quotagate-Warning"
	headerPrefix   = "Quotagate-"
)

// maxRetryAfter is the longest Retry-After that is safe: Node's timers
// overflow above 2^31-1 ms, and clients then retry at once.
// https://nodejs.org/api/timers.html#settimeoutcallback-delay-args, 2026-11-21.
const maxRetryAfter = 2147483

// retryAfter is the wait until at in whole seconds, rounded up and kept within
// what clients can count; a zero time means never.
func retryAfter(now, at time.Time) string {
	if at.IsZero() {
		return strconv.Itoa(maxRetryAfter)
	}
	s := (at.Sub(now) + time.Second - 1) / time.Second
	return strconv.FormatInt(min(max(int64(s), 1), maxRetryAfter), 10)
}

// response dresses an answer of ours as the response to req.
func response(req *http.Request, a rules.Answer) *http.Response {
	h := a.Header
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	return &http.Response{
		Status:        strconv.Itoa(a.Status) + " " + http.StatusText(a.Status),
		StatusCode:    a.Status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        h,
		Body:          io.NopCloser(bytes.NewReader(a.Body)),
		ContentLength: int64(len(a.Body)),
		Request:       req,
	}
}

// problem is an answer in the words of RFC 9457.
func problem(status int, detail string, more map[string]any) rules.Answer {
	doc := map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}
	for k, v := range more {
		doc[k] = v
	}
	body, err := json.Marshal(doc)
	if err != nil { // only strings and numbers go in
		body = []byte("{}")
	}
	return rules.Answer{
		Status: status,
		Header: http.Header{"Content-Type": {"application/problem+json"}},
		Body:   append(body, '\n'),
	}
}

// failed is the answer to a request that met err.
func failed(req *http.Request, err error, id string) *http.Response {
	f := failureOf(err)
	a := problem(f.Status, "quotagate: "+f.Detail, map[string]any{"error": f.Word})
	a.Header.Set(headerError, f.Word)
	if f.Status == http.StatusServiceUnavailable {
		a.Header.Set("Retry-After", f.Retry)
	}
	if id != "" {
		a.Header.Set(headerID, id)
	}
	return response(req, a)
}

// setQuota writes RateLimit and RateLimit-Policy for the tightest limit
// (draft-ietf-httpapi-ratelimit-headers-11, 2026-05-23), beside the fields
// that the service itself may have set.
func setQuota(h http.Header, d *ratelimit.Decision, claims []ratelimit.Claim) {
	u := tightest(d, claims)
	if u == nil {
		return
	}
	b := make([]byte, 0, 192)
	b = strconv.AppendQuoteToASCII(b, u.Limit)
	name := b
	b = strconv.AppendInt(append(b, ";r="...), max(u.Allow-u.Used, 0), 10)
	if u.Resets > d.Now {
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, (u.Resets-d.Now+999)/1000, 10)
	}
	first := len(b)
	b = append(append(b, name...), ";q="...)
	b = strconv.AppendInt(b, u.Allow, 10)
	if w := windowSeconds(claims, u.Limit, d.Now); w > 0 {
		b = append(b, ";w="...)
		b = strconv.AppendInt(b, w, 10)
	}
	both := string(b)
	values := []string{both[:first], both[first:]}
	addField(h, "Ratelimit", values[:1:1])
	addField(h, "Ratelimit-Policy", values[1:])
}

// addField adds a value to a field whose name is in its canonical form.
func addField(h http.Header, name string, value []string) {
	if own := h[name]; own != nil {
		value = append(own, value...)
	}
	h[name] = value
}

// tightest is the enforced counter with the smallest share left, or nil. A ratio
// is none: what is over its number goes, until its sample is full.
func tightest(d *ratelimit.Decision, claims []ratelimit.Claim) *ratelimit.Use {
	var best *ratelimit.Use
	for i := range d.Uses {
		u := &d.Uses[i]
		if u.Shadow || u.Allow <= 0 {
			continue
		}
		// used/allow compared as fractions, without leaving the integers.
		if best == nil || u.Used*best.Allow > best.Used*u.Allow {
			if c := claimOf(claims, u.Limit); c != nil && c.Measure == ratelimit.Ratio {
				continue
			}
			best = u
		}
	}
	return best
}

// windowSeconds is the length of the window that is open now.
func windowSeconds(claims []ratelimit.Claim, limit string, now int64) int64 {
	for i := range claims {
		c := &claims[i]
		if c.Limit != limit {
			continue
		}
		switch c.Measure {
		case ratelimit.Rolling:
			return c.Span / 1000
		case ratelimit.Calendar:
			for _, w := range c.Windows {
				if w.Start <= now && now < w.End {
					return (w.End - w.Start) / 1000
				}
			}
		}
		return 0
	}
	return 0
}
