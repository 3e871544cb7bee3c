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
	body, err := readUpTo(req.Body, req.ContentLength, max, grow)
	switch {
	case err == errTooLarge:
		return body, err
	case err != nil:
		return nil, errors.Join(err, req.Body.Close())
	}
	return body, req.Body.Close()
}

// readUpTo reads to the end, or with errTooLarge a little beyond most bytes. An
// error comes with what was read before it. What is announced is only believed
// as it arrives: memory grows with the bytes that came, not with the header.
func readUpTo(r io.Reader, announced, most int64, grow func(n int) error) ([]byte, error) {
	room := int64(bytes.MinRead)
	if announced > 0 {
		room = min(announced, 64<<10) + 1 // to see the end
	}
	read := make([]byte, 0, room)
	for {
		if len(read) == cap(read) {
			read = append(read, 0)[:len(read)]
		}
		n, err := r.Read(read[len(read):cap(read)])
		read = read[:len(read)+n]
		if n > 0 && grow != nil {
			if full := grow(n); full != nil {
				return read, full
			}
		}
		switch {
		case int64(len(read)) > most:
			return read, errTooLarge
		case err == io.EOF:
			return read, nil
		case err != nil:
			return read, err
		}
	}
}

// inMemory is a request's body that was read. Of this form net/http knows that
// it need not wait for it, and sends it together with the header.
func inMemory(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

// A readBack is an answer's body that was read.
type readBack struct {
	bytes.Reader
	io.Closer
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
	out.Body = inMemory(body)
	out.GetBody = nil
	return out
}

// closeBody closes what will not be sent, as a RoundTripper must.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // nothing more is wanted of it
	}
}
