package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
	"quotagate/rules"
)

// BenchmarkServed is the cost of one request of HTTP/2 between net/http and the
// transport: on a goroutine of its own, whose stack is new, with all that the
// Server puts around a handler.
func BenchmarkServed(b *testing.B) {
	set := mustLoad(b, chat+"limits: [{name: l, on: chat.message, allow: 1000000000, per: day}]\n")
	var line []byte
	s := proxy.New(proxy.Config{
		Rules: func() *rules.Set { return set },
		Transport: &proxy.Enforcer{
			Rules: func() *rules.Set { return set }, Ledger: ratelimit.NewMemory(ratelimit.Options{}),
			Next: answering{}, Record: func(r *proxy.Record) { line = r.AppendJSON(line[:0]) },
		},
	})
	h := s.Intercepted("chat.example")
	done := make(chan struct{})
	b.ReportAllocs()
	before := processTime(b)
	for b.Loop() {
		go func() {
			req := httptest.NewRequest("POST", "https://chat.example/send", strings.NewReader(`{"to":"bob","text":"hello"}`))
			req.Header.Set("Authorization", "Bearer anna")
			req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/2.0", 2, 0
			req.URL.Scheme, req.URL.Host = "", ""
			req.RequestURI = "/send"
			w := &streamWriter{header: http.Header{}}
			h(w, req)
			if w.status != http.StatusOK {
				b.Errorf("the answer is %d", w.status)
			}
			done <- struct{}{}
		}()
		<-done
	}
	b.ReportMetric(float64(processTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// processTime is the CPU time of this process, which other processes do not
// change as they do the time that passes.
func processTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// A streamWriter takes what net/http's own takes of a stream.
type streamWriter struct {
	header http.Header
	status int
}

func (w *streamWriter) Header() http.Header                { return w.header }
func (w *streamWriter) Write(p []byte) (int, error)        { return len(p), nil }
func (w *streamWriter) WriteHeader(status int)             { w.status = status }
func (w *streamWriter) FlushError() error                  { return nil }
func (w *streamWriter) SetReadDeadline(t time.Time) error  { return nil }
func (w *streamWriter) SetWriteDeadline(t time.Time) error { return nil }
