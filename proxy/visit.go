package proxy

// What surrounds every handler: a client that stands still, a handler that
// panics, a connection that is a flood.

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// around puts a visit around a handler. draining tells which requests are
// answered once the server ends.
func (s *Server) around(handler http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor >= 2 {
			deepen(false)
		}
		v := &visit{noted: noted{ResponseWriter: w}, server: s, r: r, version: r.ProtoMajor}
		v.tally = tallyOf(r.Context())
		s.lookout.enter(v)
		defer func() { v.end(recover()) }()
		if v.tally != nil {
			size := headerSize(r)
			v.tally.request(size)
			if size > s.limits.HeaderBytes {
				s.over(BoundHeaderBytes, r.RemoteAddr)
				if v.version == 1 {
					v.Header().Set("Connection", "close")
				}
				writeResponse(v, failed(r, errLongHeader, ""))
				v.settled = true
				return
			}
		}
		if r.Body != nil && r.Body != http.NoBody {
			own := *r // net/http looks at its own afterwards
			own.Body = &pacedBody{ReadCloser: r.Body, visit: v}
			r = &own
		}
		handler(v, r)
		v.settled = true
	})
}

// A visit is one request in its handler, and the writer of its answer.
type visit struct {
	noted
	server  *Server
	r       *http.Request
	version int // of HTTP
	tally   *tally

	settled bool // the handler returned

	previous, next *visit        // on the lookout
	began          time.Duration // since epoch

	mu   sync.Mutex
	over bool // nobody watches any more
	long bool // it takes longer than the time that a short answer has
	// When the reading, and the writing, that goes on began, since epoch; 0:
	// none does.
	reading, writing atomic.Int64
	slow             atomic.Bool // the request's body stood still
}

// Write writes, and watches a client of HTTP/2 that gives a stream no window;
// for HTTP/1 its socket is enough.
func (v *visit) Write(p []byte) (int, error) {
	v.started = true
	v.tally.earn(perPiece + len(p)/8) // what the client acknowledges it with
	if v.version < 2 {
		return v.ResponseWriter.Write(p)
	}
	v.begin(&v.writing)
	n, err := v.ResponseWriter.Write(p)
	v.writing.Store(0)
	return n, err
}

// Flush is for those that do not ask a ResponseController.
func (v *visit) Flush() { _ = v.FlushError() }

// FlushError sends what is buffered.
func (v *visit) FlushError() error {
	rc := http.NewResponseController(v.ResponseWriter)
	if v.version < 2 {
		return rc.Flush()
	}
	v.begin(&v.writing)
	defer v.writing.Store(0)
	return rc.Flush()
}

// begin notes that the client has to do something now.
func (v *visit) begin(what *atomic.Int64) { what.Store(int64(time.Since(epoch))) }

// end closes the visit, whether the handler returned or panicked.
func (v *visit) end(panicked any) {
	v.mu.Lock()
	v.over = true
	v.mu.Unlock()
	v.server.lookout.leave(v)
	if v.version >= 2 {
		v.endStream()
	}
	if v.settled {
		return
	}
	if panicked == http.ErrAbortHandler {
		panicAbort()
	}
	if panicked != nil {
		v.contain(panicked)
	}
}

// endStream leaves what is still to be written of an HTTP/2 answer, which
// happens after the handler, a deadline. A short one has the server's
// WriteTimeout, since setting another takes a message to the connection. And it
// counts the requests that are taken back.
func (v *visit) endStream() {
	if v.r.Context().Err() != nil {
		if !v.tally.reset() {
			v.server.over(BoundResets, v.r.RemoteAddr)
			if c := connOf(v.r.Context()); c != nil {
				c.Close()
			}
		}
		return
	}
	if v.long {
		_ = http.NewResponseController(v.ResponseWriter).SetWriteDeadline(time.Now().Add(v.server.limits.BodyTime))
	}
}

// A pacedBody is a request's body that must not stand still.
type pacedBody struct {
	io.ReadCloser
	visit *visit
}

func (b *pacedBody) Read(p []byte) (int, error) {
	v := b.visit
	v.begin(&v.reading)
	n, err := b.ReadCloser.Read(p)
	v.reading.Store(0)
	if n > 0 {
		v.tally.piece(n)
	}
	if err != nil && v.slow.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		err = errSlowBody
	}
	return n, err
}

// stoodStill reports a request that was broken off because its body did not
// come.
func stoodStill(r *http.Request) bool {
	body := r.Body
	if waits, ok := body.(*patientBody); ok {
		body = waits.ReadCloser
	}
	b, ok := body.(*pacedBody)
	return ok && b.visit.slow.Load()
}

// headerSize is about what a request's header takes, as HTTP/2 counts it
// (RFC 9113, 10.5.1).
func headerSize(r *http.Request) int {
	const perField = 32
	n := len(r.Method) + len(r.RequestURI) + len(r.Host) + 4*perField
	for name, values := range r.Header {
		for _, value := range values {
			n += len(name) + len(value) + perField
		}
	}
	return n
}
