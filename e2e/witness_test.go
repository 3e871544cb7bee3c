package e2e

import (
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// A witness is a service with an answer of each kind, which writes down every
// request as it came: method, target, version, length (-1: not told), and
// where there is something to say the bytes of its body, its trailer, and the
// encodings that it accepts.
type witness struct {
	secure, plain string // addresses

	mu      sync.Mutex
	records []string
	seen    map[string]chan struct{} // closed when a client, or the service, has seen the first piece
}

func newWitness(t *testing.T, s *service) *witness {
	w := &witness{seen: map[string]chan struct{}{}}
	for _, secure := range []bool{true, false} {
		server := httptest.NewUnstartedServer(w)
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		if secure {
			server.EnableHTTP2 = true
			server.TLS = &tls.Config{Certificates: []tls.Certificate{s.authority.leaf(t, "localhost")}}
			server.StartTLS()
			w.secure = server.Listener.Addr().String()
		} else {
			server.Start()
			w.plain = server.Listener.Addr().String()
		}
		t.Cleanup(server.Close)
	}
	return w
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	record := fmt.Sprintf("%s %s %s length=%d", r.Method, r.RequestURI, r.Proto, r.ContentLength)
	h := rw.Header()
	switch r.URL.Path {
	case "/upload":
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			record += " " + err.Error()
		}
		record += fmt.Sprintf(" body=%d", n)
		if sum := r.Trailer.Get("X-Sum"); sum != "" {
			record += " trailer=" + sum
		}
		w.note(record)
		fmt.Fprintf(rw, "%d bytes", n)
		return
	case "/packed":
		record += " encodings=" + r.Header.Get("Accept-Encoding")
	}
	w.note(record)
	switch r.URL.Path {
	case "/full":
		rw.WriteHeader(http.StatusRequestEntityTooLarge)
	case "/slowly":
		first := make([]byte, len("first,"))
		if _, err := io.ReadFull(r.Body, first); err != nil {
			return
		}
		close(w.first(r.URL.RawQuery))
		rest, _ := io.ReadAll(r.Body)
		rw.Write(append(first, rest...))
	case "/seen":
		first := w.first(r.URL.RawQuery)
		if r.URL.RawQuery != "upload" {
			close(first)
		}
		<-first
	case "/events":
		h.Set("Content-Type", "text/event-stream")
		io.WriteString(rw, "data: 1\n\n")
		rw.(http.Flusher).Flush()
		select {
		case <-w.first(r.URL.RawQuery):
			io.WriteString(rw, "data: 2\n\n")
		case <-time.After(20 * time.Second):
			io.WriteString(rw, "data: nobody saw the first one\n\n")
		}
	case "/trailers":
		h.Set("Trailer", "X-Sum")
		io.WriteString(rw, "hello")
		h.Set("X-Sum", "5")
	case "/hints":
		h.Set("Link", "</a.css>")
		rw.WriteHeader(http.StatusEarlyHints)
		io.WriteString(rw, "here")
	case "/head":
		h.Set("Content-Length", "300")
	case "/packed":
		h.Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(rw)
		io.WriteString(z, "unpacked here")
		z.Close()
	case "/socket":
		echo := func(c *websocket.Conn) {
			defer c.Close() // with the frame that says so
			var text string
			for websocket.Message.Receive(c, &text) == nil {
				websocket.Message.Send(c, text)
			}
		}
		websocket.Server{Handler: echo}.ServeHTTP(rw, r) // whatever its Origin
	default:
		io.WriteString(rw, "here")
	}
}

func (w *witness) note(record string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, record)
}

// first is closed when the first piece of the named stream was seen.
func (w *witness) first(name string) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[name] == nil {
		w.seen[name] = make(chan struct{})
	}
	return w.seen[name]
}

// find is the first record that holds the text, or "".
func (w *witness) find(text string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, record := range w.records {
		if strings.Contains(record, text) {
			return record
		}
	}
	return ""
}
