package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Some servers take no body where they expect none, whatever its length, and read
// it as the next request ("CL.0", https://portswigger.net/research/browser-powered-desync-attacks,
// read 2026-11-22). To a service like that nothing may go behind such a request:
// the message in it would be counted by nobody.
func TestABodyThatAServiceDoesNotExpectIsNoRequest(t *testing.T) {
	w := newWorld(t, one, http1Upstream)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: w.service.TLS.Certificates, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []string
	var wg sync.WaitGroup
	serve := func(c net.Conn) {
		defer c.Close()
		for br := bufio.NewReader(c); ; {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			if r.Method == http.MethodPost {
				io.Copy(io.Discard, r.Body)
			}
			mu.Lock()
			seen = append(seen, r.Method+" "+r.RequestURI)
			mu.Unlock()
			answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
			if r.Method == http.MethodHead {
				answer = strings.TrimSuffix(answer, "ok")
			}
			if _, err := io.WriteString(c, answer); err != nil || r.Close {
				return
			}
		}
	}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.enforcer.Next.(*http.Transport).CloseIdleConnections()
		wg.Wait()
	})
	w.dialTo["chat.example:443"] = l.Addr().String()

	want := 0
	for _, method := range []string{"GET", "OPTIONS", "HEAD"} {
		for _, framed := range []string{"Content-Length", "Transfer-Encoding"} {
			hidden := "POST /send HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer eve\r\nContent-Length: 12\r\n\r\n" + theMessage
			head := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(hidden), hidden)
			if framed == "Transfer-Encoding" {
				// As the service reads it: after the size of the first chunk.
				head = fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)
			}
			conn := w.connect(t, "chat.example")
			br := bufio.NewReader(conn)
			for _, raw := range []string{method + " /read HTTP/1.1\r\nHost: chat.example\r\n" + head, "GET /probe HTTP/1.1\r\nHost: chat.example\r\n\r\n"} {
				io.WriteString(conn, raw)
				resp, err := http.ReadResponse(br, &http.Request{Method: strings.Fields(raw)[0]})
				if err != nil || resp.StatusCode != 200 {
					t.Fatalf("%s, %s: %.20q: %v %v", method, framed, raw, resp, err)
				}
				io.Copy(io.Discard, resp.Body)
				if want++; resp.Close {
					conn = w.connect(t, "chat.example")
					br = bufio.NewReader(conn)
				}
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != want || strings.Contains(strings.Join(seen, "\n"), "POST") {
		t.Errorf("the service counts %q", seen)
	}
}
