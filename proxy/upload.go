package proxy

// A body that streams from the client to the service, and an answer that comes
// before its end.

import (
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
)

// An upload is a request's body, which tells whether it was read to its end.
type upload struct {
	io.ReadCloser
	ended atomic.Bool
	log   *slog.Logger
	// What came behind the body, and what of it goes on.
	came, trailer http.Header
}

// watch puts an upload in the place of a request's body, behind which came comes;
// nil if it has none.
func watch(out *http.Request, came http.Header, log *slog.Logger) *upload {
	if out.Body == nil || out.Body == http.NoBody {
		out.Trailer = nil
		return nil
	}
	u := &upload{ReadCloser: out.Body, log: log, came: came, trailer: out.Trailer}
	out.Body = u
	return u
}

// Read is called by the transport's goroutines, so a panic is contained here.
func (u *upload) Read(p []byte) (n int, err error) {
	if Contained(u.log, "the reading of a request", func() { n, err = u.ReadCloser.Read(p) }) {
		return 0, errPanicked
	}
	if err == io.EOF {
		for name := range u.trailer {
			u.trailer[name] = u.came[name]
		}
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
