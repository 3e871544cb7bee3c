package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

var errTooLarge = errors.New("body too large to inspect")

func (e *Enforcer) maxBody() int64 {
	if e.MaxBody > 0 {
		return e.MaxBody
	}
	return defaultMaxBody
}

// readBody reads the whole body, at most max bytes. With errTooLarge it
// returns what it has read, and the rest is still to be had from req. grow, if
// set, is asked about every piece that came, and may refuse it.
func readBody(req *http.Request, max int64, grow func(n int) error) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	if req.ContentLength > max {
		return nil, errTooLarge
	}
	var room []byte
	if req.ContentLength > 0 {
		// What is announced is only believed as it arrives: memory grows
		// with the bytes that came, not with the header. MinRead is what a
		// Buffer wants free to see the end.
		room = make([]byte, 0, min(req.ContentLength, 64<<10)+bytes.MinRead)
	}
	buf := bytes.NewBuffer(room)
	var from io.Reader = req.Body
	if grow != nil {
		from = growing{from, grow}
	}
	n, err := buf.ReadFrom(io.LimitReader(from, max+1))
	switch {
	case err != nil:
		return nil, errors.Join(err, req.Body.Close())
	case n > max:
		return buf.Bytes(), errTooLarge
	}
	return buf.Bytes(), req.Body.Close()
}

// growing is a reader whose pieces are asked about.
type growing struct {
	io.Reader
	grow func(n int) error
}

func (g growing) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p)
	if full := g.grow(n); n > 0 && full != nil {
		return 0, full
	}
	return n, err
}

// withRest is the request with what was read of its body before the rest.
func withRest(req *http.Request, read []byte) *http.Request {
	if len(read) == 0 {
		return req
	}
	out := req.WithContext(req.Context())
	out.Body = rejoined{io.MultiReader(bytes.NewReader(read), req.Body), req.Body}
	out.GetBody = nil
	return out
}

// withBody is the request with its body to be read once more. It may be
// replayed by the transport only as far as nothing was written: a GetBody
// together with an Idempotency-Key would let it send a message twice.
func withBody(req *http.Request, body []byte) *http.Request {
	out := req.WithContext(req.Context())
	withoutExpect(out)
	if len(body) == 0 && (req.Body == nil || req.Body == http.NoBody) {
		return out
	}
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.GetBody = nil
	return out
}

// closeBody closes what will not be sent, as a RoundTripper must.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // nothing more is wanted of it
	}
}
