package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// By prior knowledge, inside a CONNECT without TLS: the requests are governed
// as those of plain HTTP/1.1 are.
func TestHTTP2WithoutTLSIsGoverned(t *testing.T) {
	w := newWorld(t, one)
	origin := newRecorder(t, nil)
	w.dialTo["chat.example:80"] = origin.addr
	f := newFramed(t, w.tunnel(t, "chat.example:80"))
	for i, want := range []int{200, 429} {
		if status := f.do([]field{{":scheme", "http"}, {"authorization", "Bearer anna"}}, theMessage); status != want {
			t.Errorf("message %d: %d, want %d", i+1, status, want)
		}
		w.next()
	}
	if status := f.do([]field{{":authority", "evil.example"}, {":scheme", "http"}}, theMessage); status != 421 {
		t.Errorf("another host: %d", status)
	}
	if got := origin.requests(); len(got) != 1 || got[0].body != theMessage {
		t.Errorf("the origin read %+v", got)
	}
}

// How long a connection lives, by what its client says of it (RFC 9112, 9.3).
func TestAConnectionLivesAsLongAsItsClientSays(t *testing.T) {
	for _, door := range []string{"front", "tunnel"} {
		w := newWorld(t, five, http1Upstream)
		origin := newRecorder(t, &w.service.TLS.Certificates[0])
		w.dialTo["chat.example:443"] = origin.addr
		target := map[string]string{"front": "https://chat.example", "tunnel": ""}[door]
		for _, tc := range []struct {
			version, field string
			stays          bool
		}{
			{"1.1", "", true}, {"1.1", "Connection: close\r\n", false}, {"1.1", "Connection: Close, x\r\n", false},
			{"1.0", "", false}, {"1.0", "Connection: keep-alive\r\n", true},
		} {
			conn := w.door(t, door)
			br := bufio.NewReader(conn)
			request := fmt.Sprintf("GET %s/a HTTP/%s\r\nHost: chat.example\r\n%s\r\n", target, tc.version, tc.field)
			// A second one comes with the first.
			io.WriteString(conn, request+request)
			answers := 0
			for range 2 {
				resp, err := http.ReadResponse(br, nil)
				if err != nil {
					break
				}
				if body, err := io.ReadAll(resp.Body); string(body) != "ok" || err != nil || resp.StatusCode != 200 || resp.TransferEncoding != nil && tc.version == "1.0" {
					t.Errorf("%s, HTTP/%s %s: %s %q %v", door, tc.version, tc.field, resp.Status, body, err)
				}
				answers++
			}
			if (answers == 2) != tc.stays {
				t.Errorf("%s, HTTP/%s, %q: %d answers on a connection", door, tc.version, tc.field, answers)
			}
		}
		if n := origin.connections(); n != 1 { // what a client says is between it and the proxy
			t.Errorf("%s: %d connections to the service", door, n)
		}
	}
}

// Answers without a body keep the length they tell of one (RFC 9110, 8.6), and
// leave the connection where the next answer begins.
func TestAnswersWithoutABodyAreFramed(t *testing.T) {
	for _, tc := range []struct {
		method, answer string
		status         int
		length         string
	}{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n", 200, "300"},
		{"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, ""},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 300\r\nEtag: \"x\"\r\n\r\n", 304, "300"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\n\r\n", 304, ""},
		{"GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
		{"POST", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "0"},
		{"OPTIONS", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", 205, "0"},
	} {
		for _, door := range []string{"front", "tunnel"} {
			w := newWorld(t, five, http1Upstream)
			origin := newRecorder(t, &w.service.TLS.Certificates[0])
			origin.answer = tc.answer
			w.dialTo["chat.example:443"] = origin.addr
			conn := w.door(t, door)
			br := bufio.NewReader(conn)
			for i := range 3 {
				fmt.Fprintf(conn, "%s %s/a HTTP/1.1\r\nHost: chat.example\r\nContent-Length: 0\r\n\r\n", tc.method, map[string]string{"front": "https://chat.example"}[door])
				resp, err := http.ReadResponse(br, &http.Request{Method: tc.method})
				if err != nil {
					t.Fatalf("%s, %q, answer %d: %v", door, tc.answer, i+1, err)
				}
				if body, err := io.ReadAll(resp.Body); len(body) > 0 || err != nil || resp.StatusCode != tc.status || resp.Header.Get("Content-Length") != tc.length {
					t.Errorf("%s, %s %q: %s %q %v %v", door, tc.method, tc.answer, resp.Status, body, resp.Header, err)
				}
			}
			conn.Close()
		}
	}
}

// A quarter of a gigabyte passes in no more memory than a kilobyte.
func TestADownloadTakesNoMemory(t *testing.T) {
	const size, piece = 256 << 20, 1 << 20
	for _, h2 := range []bool{false, true} {
		w := newWorld(t, five)
		w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
			b := make([]byte, piece)
			for range size / piece {
				if _, err := rw.Write(b); err != nil {
					t.Error(err)
					return
				}
			}
		})
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		client, b := w.client(h2), make([]byte, piece)
		client.Timeout = time.Minute
		before := heap()
		resp, err := client.Get("https://chat.example/film")
		if err != nil {
			t.Fatal(err)
		}
		var total int64
		var most uint64
		for next := int64(piece); err == nil; {
			var n int
			n, err = resp.Body.Read(b)
			if total += int64(n); total >= next { // looked at ten times
				most = max(most, heap())
				next += size / 10
			}
		}
		resp.Body.Close()
		if err != io.EOF || total != size {
			t.Fatalf("%d bytes, %v", total, err)
		}
		if most > before+16<<20 {
			t.Errorf("http2=%v: the heap grew from %d MiB to %d MiB", h2, before>>20, most>>20)
		}
	}
}

// Events arrive one by one, in each version, whatever the client and the
// service say of their length.
func TestEventsArriveOneByOne(t *testing.T) {
	versions(t, func(t *testing.T, w *world, h2 bool) {
		for _, kind := range []string{"text/event-stream", "application/x-ndjson", "text/plain"} {
			said := make(chan string)
			w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", kind)
				rw.(http.Flusher).Flush()
				for line := range said {
					io.WriteString(rw, line)
					rw.(http.Flusher).Flush()
				}
			})
			resp, err := w.client(h2).Get("https://chat.example/events") // it returns before a byte was said
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(resp.Body)
			for i := range 3 {
				line := fmt.Sprintf("data: %d %s\n", i, strings.Repeat("x", i*5000))
				said <- line
				if got, err := lines.ReadString('\n'); got != line || err != nil {
					t.Errorf("%s, line %d: %q %v", kind, i, got, err)
				}
			}
			close(said)
			resp.Body.Close()
		}
	})
}
