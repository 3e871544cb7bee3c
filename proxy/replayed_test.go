package proxy_test

// What a service of HTTP/2 does to a connection that is in use, and what of a
// connection of HTTP/1.1 that was kept: a message is sent once, or not at all
// and then not counted.

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A rudeOrigin speaks HTTP/2, counts the requests whose end it has seen, and
// treats them as its manner says: by the number of the request, over all
// connections.
type rudeOrigin struct {
	addr   string
	manner func(n int, f *http2.Framer, stream uint32) (answer, stay bool)

	mu    sync.Mutex
	whole int
	first int // requests that began
}

func newRudeOrigin(t *testing.T, w *world) *rudeOrigin {
	t.Helper()
	o := &rudeOrigin{}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: w.service.TLS.Certificates, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	o.addr = l.Addr().String()
	w.dialTo["chat.example:443"] = o.addr
	var open sync.WaitGroup
	var mu sync.Mutex
	conns := []net.Conn{}
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			open.Go(func() { o.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		open.Wait()
	})
	return o
}

func (o *rudeOrigin) serve(c net.Conn) {
	defer c.Close()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil {
		return
	}
	f := http2.NewFramer(c, c)
	f.WriteSettings()
	var block strings.Builder
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			o.mu.Lock()
			o.first++
			o.mu.Unlock()
			ended = frame.StreamEnded()
		case *http2.DataFrame:
			ended = frame.StreamEnded()
		}
		if !ended {
			continue
		}
		o.mu.Lock()
		o.whole++
		n := o.whole
		o.mu.Unlock()
		answer, stay := o.manner(n, f, frame.Header().StreamID)
		if answer {
			block.Reset()
			hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: frame.Header().StreamID, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: true})
		}
		if !stay {
			return
		}
	}
}

func (o *rudeOrigin) seen() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.whole
}

func TestNoMessageGoesTwiceOverHTTP2(t *testing.T) {
	for name, tc := range map[string]struct {
		manner func(n int, f *http2.Framer, stream uint32) (answer, stay bool)
		status int
		seen   int   // requests at the origin, for one message
		used   int64 // what it cost
	}{
		"it answers": {
			func(int, *http2.Framer, uint32) (bool, bool) { return true, true }, 200, 1, 1,
		},
		"it hangs up": {
			func(int, *http2.Framer, uint32) (bool, bool) { return false, false }, 502, 1, 1,
		},
		"it resets the stream": {
			func(_ int, f *http2.Framer, s uint32) (bool, bool) {
				f.WriteRSTStream(s, http2.ErrCodeInternal)
				return false, true
			}, 502, 1, 1,
		},
		// These two say that nothing was acted on. The message counts all the
		// same where the transport cannot send it again, and it goes again, for
		// the one charge, where it can.
		"it refuses the stream, after all of it": {
			func(n int, f *http2.Framer, s uint32) (bool, bool) {
				if n == 1 {
					f.WriteRSTStream(s, http2.ErrCodeRefusedStream)
				}
				return n > 1, true
			}, 502, 1, 1,
		},
		"it goes away below the stream": {
			func(n int, f *http2.Framer, _ uint32) (bool, bool) {
				if n == 1 {
					f.WriteGoAway(0, http2.ErrCodeNo, nil)
				}
				return n > 1, n > 1
			}, 502, 1, 1,
		},
		"it goes away, and answers": {
			func(_ int, f *http2.Framer, s uint32) (bool, bool) {
				f.WriteGoAway(s, http2.ErrCodeNo, nil)
				return true, true
			}, 200, 1, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{"", "Idempotency-Key"} {
				for _, h2 := range []bool{false, true} {
					w := newWorld(t, five)
					o := newRudeOrigin(t, w)
					o.manner = tc.manner
					req := w.message(context.Background(), "anna", "bob")
					if key != "" {
						req.Header.Set(key, "k")
					}
					resp, err := w.client(h2).Do(req)
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					w.next()
					if n := o.seen(); resp.StatusCode != tc.status || n != tc.seen {
						t.Errorf("%q, http2=%v: %s, and the service saw %d requests; want %d, %d", key, h2, resp.Status, n, tc.status, tc.seen)
					}
					if n := w.used("chat.day"); n != tc.used {
						t.Errorf("%q, http2=%v: %d counted, want %d", key, h2, n, tc.used)
					}
				}
			}
		})
	}
}

// A service that says goodbye while nothing is on its way costs nobody a
// message: the next one goes over a new connection, once.
func TestAKeptConnectionThatWasClosedCostsNothing(t *testing.T) {
	t.Run("HTTP/2", func(t *testing.T) {
		w := newWorld(t, five)
		o := newRudeOrigin(t, w)
		o.manner = func(n int, f *http2.Framer, s uint32) (bool, bool) {
			if n == 1 {
				f.WriteGoAway(s, http2.ErrCodeNo, nil)
			}
			return true, n > 1
		}
		c := w.client(false)
		for i := range 2 {
			if resp, _ := w.send(c, "anna", "bob"); resp.StatusCode != 200 {
				t.Errorf("message %d: %s", i+1, resp.Status)
			}
			w.next()
		}
		if n, used := o.seen(), w.used("chat.day"); n != 2 || used != 2 {
			t.Errorf("the service saw %d, and %d are counted", n, used)
		}
	})
	t.Run("HTTP/1.1, in the middle of its reuse", func(t *testing.T) {
		w := newWorld(t, five, http1Upstream)
		origin := newRecorder(t, &w.service.TLS.Certificates[0])
		origin.last = 2 // it reads the second request on a connection, and hangs up
		w.dialTo["chat.example:443"] = origin.addr
		c := w.client(false)
		for i, want := range []int{200, 502, 200} {
			if resp, _ := w.send(c, "anna", "bob"); resp.StatusCode != want {
				t.Errorf("message %d: %s, want %d", i+1, resp.Status, want)
			}
			w.next()
		}
		if n, used := len(origin.requests()), w.used("chat.day"); n != 3 || used != 3 {
			t.Errorf("the service saw %d, and %d are counted", n, used)
		}
	})
}

// What is no message may be repeated as net/http likes; it is not counted, and
// a body that was read is not sent again.
func TestABodyThatWentIsNotSentAgain(t *testing.T) {
	w := newWorld(t, five)
	o := newRudeOrigin(t, w)
	o.manner = func(n int, f *http2.Framer, s uint32) (bool, bool) {
		if n == 1 {
			f.WriteRSTStream(s, http2.ErrCodeRefusedStream)
		}
		return n > 1, true
	}
	for _, tc := range []struct {
		method, body string
		status, seen int
	}{
		{"PUT", "body", 502, 1},
		{"GET", "", 200, 1},
	} {
		before := o.seen()
		var body io.Reader
		if tc.body != "" {
			body = strings.NewReader(tc.body)
		}
		req, err := http.NewRequest(tc.method, "https://chat.example/other", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := w.client(false).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if n := o.seen() - before; resp.StatusCode != tc.status || n != tc.seen {
			t.Errorf("%s: %s, and the service saw %d requests", tc.method, resp.Status, n)
		}
	}
}
