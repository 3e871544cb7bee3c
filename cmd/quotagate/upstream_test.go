package main

import (
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"quotagate/proxy"
)

// The connection to a service of HTTP/2 is shared by all clients. One who does
// not read its answer may keep little of it here, and may not keep the others
// from theirs. The judge is what the service could write.
func TestAnAnswerThatNobodyReadsIsKeptAtTheService(t *testing.T) {
	const film = 16 << 20
	var written atomic.Int64
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/short" {
			io.WriteString(w, "here")
			return
		}
		for piece := make([]byte, 16<<10); written.Load() < film; {
			n, err := w.Write(piece)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	service.EnableHTTP2 = true
	service.Config.ErrorLog = log.New(io.Discard, "", 0)
	service.StartTLS()
	defer service.Close()
	roots := x509.NewCertPool()
	roots.AddCert(service.Certificate())
	tr := transport(&proxy.Dialer{}, roots, time.Minute)
	defer tr.CloseIdleConnections()
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, service.Listener.Addr().String())
	}
	client := &http.Client{Transport: tr}

	unread, err := client.Get("https://example.com/film")
	if err != nil || unread.ProtoMajor != 2 {
		t.Fatalf("%+v %v", unread, err)
	}
	defer unread.Body.Close()
	// It stands still when the same number is seen for a while.
	last, since := int64(-1), 0
	for tick := time.NewTicker(50 * time.Millisecond); since < 20; <-tick.C {
		if n := written.Load(); n == last {
			since++
		} else {
			last, since = n, 0
		}
	}
	if most := int64(upstreamStream + 128<<10); last > most {
		t.Errorf("the service could write %d KiB that nobody read, want at most %d", last>>10, most>>10)
	}
	for range 3 {
		resp, err := client.Get("https://example.com/short")
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != "here" || err != nil {
			t.Errorf("another answer: %q %v", b, err)
		}
		resp.Body.Close()
	}
	// What a thousand do not read leaves room in the connection's own window.
	if all := tr.HTTP2.MaxReceiveBufferPerConnection; all < 1000*tr.HTTP2.MaxReceiveBufferPerStream {
		t.Errorf("a connection takes %d bytes that nobody reads, and a stream %d", all, tr.HTTP2.MaxReceiveBufferPerStream)
	}
}
