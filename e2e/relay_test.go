package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
)

// relay is a proxy with no idea of quotas: it tunnels CONNECT to the loopback
// service and passes absolute-form requests on. It is the control of this
// suite: with it, everything that a client sends arrives.
func relay(t *testing.T, s *service) wiring {
	t.Helper()
	var dialer net.Dialer
	upstream := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", s.plain)
		},
		TLSClientConfig: &tls.Config{RootCAs: s.authority.pool()},
	}
	secure := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", s.secure)
		},
		TLSClientConfig: upstream.TLSClientConfig,
	}
	t.Cleanup(upstream.CloseIdleConnections)
	t.Cleanup(secure.CloseIdleConnections)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tunnels sync.WaitGroup
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			to, err := net.Dial("tcp", s.secure)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			w.WriteHeader(http.StatusOK)
			conn, buffered, err := w.(http.Hijacker).Hijack()
			if err != nil {
				to.Close()
				return
			}
			tunnels.Go(func() { splice(conn, buffered.Reader, to) })
			return
		}
		transport := upstream
		if r.URL.Scheme == "https" {
			transport = secure
		}
		r.RequestURI = ""
		answer, err := transport.RoundTrip(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		for k, v := range answer.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(answer.StatusCode)
		io.Copy(w, answer.Body)
	})}
	go server.Serve(listener)
	t.Cleanup(func() {
		server.Close()
	})
	return wiring{proxy: "http://" + listener.Addr().String(), ca: s.authority.file}
}

// splice copies both ways until either side ends.
func splice(client net.Conn, early *bufio.Reader, server net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { io.Copy(server, early); server.Close() })
	both.Go(func() { io.Copy(client, server); client.Close() })
	both.Wait()
}
