package ruletest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"

	"quotagate/rules"
)

// A service answers every request the same way until it is told otherwise.
type service struct{ reply reply }

// A reply is an answer, or a connection that breaks before there is one.
type reply struct {
	status int
	header http.Header
	body   []byte
	breaks bool
}

// taken is what a service answers that was told nothing: an answer that
// counts as sent. (A pack that reads the answer finds `ok`, as Slack and
// Telegram write it.)
func taken() reply {
	return reply{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: []byte(`{"ok":true}`)}
}

// replyOf is what a step says the service answers.
func replyOf(u *rules.Upstream) (reply, error) {
	if u == nil {
		return taken(), nil
	}
	r := reply{status: u.Status, header: http.Header{}, body: []byte(u.Body), breaks: u.Fails}
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if u.JSON != nil {
		text, err := encodeJSON(u.JSON)
		if err != nil {
			return r, err
		}
		r.body = []byte(text)
		r.header.Set("Content-Type", "application/json")
	}
	for k, v := range u.Header {
		r.header.Set(k, v)
	}
	return r, nil
}

// errBroken is what the proxy meets where a test says that the service fails.
var errBroken = errors.New("the connection broke before an answer came")

func (s *service) RoundTrip(req *http.Request) (*http.Response, error) {
	r := &s.reply
	if r.breaks {
		// With a connection: nobody can tell whether it was sent.
		if t := httptrace.ContextClientTrace(req.Context()); t != nil && t.GotConn != nil {
			t.GotConn(httptrace.GotConnInfo{})
		}
		return nil, errBroken
	}
	// As a service does: what is learned of a request is learned of its body.
	if req.Body != nil {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return nil, err
		}
		if err := req.Body.Close(); err != nil {
			return nil, err
		}
	}
	h := make(http.Header, len(r.header)+4) // the proxy adds its own
	for k, v := range r.header {
		h[k] = v
	}
	return &http.Response{
		StatusCode: r.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, ContentLength: int64(len(r.body)), Body: newBody(r.body), Request: req,
	}, nil
}

// body is bytes to be read once.
type body struct{ bytes.Reader }

func (*body) Close() error { return nil }

func newBody(b []byte) io.ReadCloser {
	if len(b) == 0 {
		return http.NoBody
	}
	r := &body{}
	r.Reset(b)
	return r
}
