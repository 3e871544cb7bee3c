package proxy

// A body that streams from the client to the service, and an answer that comes
// before its end.

import (
	"io"
	"net/http"
	"sync/atomic"
)

// An upload is a request's body, which tells whether it was read to its end.
type upload struct {
	io.ReadCloser
	ended atomic.Bool
}

// watch puts an upload in the place of a request's body; nil if it has none.
func watch(out *http.Request) *upload {
	if out.Body == nil || out.Body == http.NoBody {
		return nil
	}
	u := &upload{ReadCloser: out.Body}
	out.Body = u
	return u
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if err == io.EOF {
		u.ended.Store(true)
	}
	return n, err
}

// answerMeanwhile lets an answer of the service go out while the client still
// sends. Without it net/http would first read what is left of the body, for
// which the service may be waiting with the rest of its answer. The connection
// takes no further request: its place in the stream is not certain.
func (u *upload) answerMeanwhile(w http.ResponseWriter, r *http.Request, resp *http.Response) {
	if u == nil || r.ProtoMajor != 1 || u.ended.Load() || resp.Header[headerDecision] != nil {
		return
	}
	if http.NewResponseController(w).EnableFullDuplex() == nil {
		w.Header().Set("Connection", "close")
	}
}
