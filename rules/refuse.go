package rules

// How a message is refused: in the service's own words where its pack has
// them, because SDKs act on those, and as problem details where not.

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

const (
	// leastRetryAfter and mostRetryAfter bound Retry-After, in seconds. A client without
	// one, or with one that overflows its timer (2^31-1 ms in Node), has been
	// seen to repeat the request fifty times a second.
	leastRetryAfter, mostRetryAfter = 1, 2147483
	// shortBlock is the longest wait that is answered with the short form:
	// the longest that SDKs sleep through by themselves.
	shortBlock = 60 * time.Second
)

// quotaExceeded is the problem type of draft-ietf-httpapi-ratelimit-headers.
const quotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// Never reports whether no passing of time would let the message through.
func (r *Refusal) Never() bool { return r.RetryAt.IsZero() }

// RetryAfter is the wait in whole seconds, rounded up and within what clients
// can bear; the longest for never.
func (r *Refusal) RetryAfter() int {
	if r.Never() {
		return mostRetryAfter
	}
	s := math.Ceil(r.RetryAt.Sub(r.Now).Seconds())
	return int(min(max(s, leastRetryAfter), mostRetryAfter))
}

func (r *Refusal) short() bool {
	return !r.Never() && r.RetryAt.Sub(r.Now) <= shortBlock
}

func (r *Refusal) retryAt() string {
	if r.Never() {
		return "never"
	}
	return WholeSecond(r.RetryAt).Format(time.RFC3339)
}

// WholeSecond is t, or the next whole second after it: what a client reads to
// the second must not lie before there is room.
func WholeSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); !whole.Equal(t) {
		return whole.Add(time.Second)
	}
	return t
}

// facts is what every refusal says, whatever its shape.
func (r *Refusal) facts() map[string]any {
	return map[string]any{
		"limit": r.Limit, "used": r.Used, "allow": r.Allow,
		"retry_at": r.retryAt(), "retry_after": r.RetryAfter(), "reason": r.Reason, "id": r.ID,
	}
}

// Refuse is the answer for a message that is not let through: the service's
// own where the pack gives one for a block of this length, else 429 with
// problem details. It always carries Retry-After.
func (m *Message) Refuse(r Refusal) Answer {
	if m.rule != nil && m.rule.refusal != nil {
		t := m.rule.refusal.long
		if r.short() {
			t = m.rule.refusal.short
		}
		if t != nil {
			return t.render(&r)
		}
	}
	return problem(http.StatusTooManyRequests, "Quota exceeded", r.Reason, &r)
}

// problem is an answer as problem details (RFC 9457). With a refusal it says
// which limit, how much of it is used, and when to come back.
func problem(status int, title, detail string, r *Refusal) Answer {
	body := map[string]any{"title": title, "status": status}
	if detail != "" {
		body["detail"] = detail
	}
	a := Answer{Status: status, Header: http.Header{"Content-Type": {"application/problem+json"}}}
	if r != nil {
		for k, v := range r.facts() {
			body[k] = v
		}
		delete(body, "reason")
		body["type"] = quotaExceeded
		body["violated-policies"] = []string{r.Limit}
		a.Header.Set("Retry-After", strconv.Itoa(r.RetryAfter()))
	}
	a.Body, _ = encode(body) // strings and numbers always encode
	return a
}

// encode is JSON without the escapes that are only for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
