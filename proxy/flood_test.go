package proxy_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"quotagate/proxy"
)

// HTTP/2 frames as no client of net/http sends them.

// A rawH2 is a connection to the intercepted service that has said hello.
type rawH2 struct {
	*http2.Framer
	w     *world
	block bytes.Buffer
	enc   *hpack.Encoder
	// ended is closed when the server has closed the connection, and code is
	// that of its GOAWAY then.
	ended chan struct{}
	code  http2.ErrCode
	// resets are those that the server sent, and acks its answers to pings.
	resets chan http2.ErrCode
}

func (w *world) rawH2(t *testing.T, settings ...http2.Setting) *rawH2 {
	t.Helper()
	c := w.dialInside("h2")
	r := &rawH2{Framer: http2.NewFramer(c, c), w: w, ended: make(chan struct{}), resets: make(chan http2.ErrCode, 1000)}
	r.enc = hpack.NewEncoder(&r.block)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		for {
			f, err := r.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.GoAwayFrame:
				r.code = f.ErrCode
			case *http2.RSTStreamFrame:
				r.resets <- f.ErrCode
			}
		}
	}()
	return r
}

// header is a request's header block.
func (r *rawH2) header(method, path string, more ...string) []byte {
	r.block.Reset()
	all := append([]string{":method", method, ":scheme", "https", ":authority", "chat.example", ":path", path}, more...)
	for i := 0; i < len(all); i += 2 {
		_ = r.enc.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]})
	}
	return bytes.Clone(r.block.Bytes())
}

func (r *rawH2) get(t *testing.T, id uint32, path string) {
	t.Helper()
	if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.header("GET", path), EndHeaders: true, EndStream: true}); err != nil {
		t.Fatal(err)
	}
}

// ends waits for the server to close the connection.
func (r *rawH2) ends(t *testing.T, what string) {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(10 * time.Second):
		t.Fatal(what + " goes on for ever")
	}
}

func TestRequestsThatAreTakenBackAreBounded(t *testing.T) {
	w := newWorld(t, five, limited(proxy.Limits{Resets: 50}))
	block := make(chan struct{})
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-block:
		}
	})
	defer close(block)
	r := w.rawH2(t)
	for id := uint32(1); id < 2000; id += 2 {
		if r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.header("GET", "/me"), EndHeaders: true, EndStream: true}) != nil ||
			r.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break
		}
	}
	r.ends(t, "a rapid reset")
	if n := w.server.Refused(proxy.BoundResets); n < 1 {
		t.Errorf("%d counted", n)
	}
}

func TestFramesThatAreNoRequestAreBounded(t *testing.T) {
	for name, flood := range map[string]func(*rawH2) error{
		"pings": func(r *rawH2) error { return r.WritePing(false, [8]byte{1}) },
		"settings": func(r *rawH2) error {
			return r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 70000})
		},
		"priorities": func(r *rawH2) error {
			return r.WritePriority(7, http2.PriorityParam{Weight: 3})
		},
		"window updates": func(r *rawH2) error { return r.WriteWindowUpdate(0, 1) },
		"unknown frames": func(r *rawH2) error { return r.WriteRawFrame(0xbe, 0, 0, make([]byte, 64)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, five, limited(proxy.Limits{ControlBytes: 64 << 10}))
			r := w.rawH2(t)
			for range 20_000 {
				if flood(r) != nil {
					break
				}
			}
			r.ends(t, "a flood")
			w.wantRefused(proxy.BoundControlBytes, 1)
		})
	}
}

// What net/http itself bounds: a header block without an end.
func TestHeaderBlocksWithoutEndAreBounded(t *testing.T) {
	w := newWorld(t, five, limited(proxy.Limits{HeaderBytes: 8 << 10}))
	r := w.rawH2(t)
	if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.header("GET", "/me")}); err != nil {
		t.Fatal(err)
	}
	piece := bytes.Repeat([]byte{0x00, 0x01, 'a', 0x01, 'b'}, 1000)
	for range 10_000 {
		if r.WriteContinuation(1, false, piece) != nil {
			break
		}
	}
	r.ends(t, "a header block")
	if n := w.server.Counts.Broken.Load(); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}

func TestRequestsAtOnceOfAConnectionAreBounded(t *testing.T) {
	w := newWorld(t, five, limited(proxy.Limits{Streams: 4}))
	block := make(chan struct{})
	w.service.respond(func(http.ResponseWriter, *http.Request) { <-block })
	defer close(block)
	r := w.rawH2(t)
	for i := range uint32(5) {
		r.get(t, 2*i+1, "/me")
	}
	select {
	case code := <-r.resets:
		if code != http2.ErrCodeRefusedStream && code != http2.ErrCodeProtocol {
			t.Errorf("%v", code)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a fifth request is let in")
	}
	w.wantRefused(proxy.BoundStreams, 1)
}

// A client that gives its streams no window, whether the answer is larger than
// what net/http buffers, which the handler writes, or smaller, which is written
// after it.
func TestStreamsWithoutAWindowEnd(t *testing.T) {
	for name, size := range map[string]int64{"large": 1 << 20, "small": 100} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, five, limited(proxy.Limits{BodyTime: 2 * soon}))
			w.service.respond(func(rw http.ResponseWriter, r *http.Request) { io.CopyN(rw, endless{}, size) })
			r := w.rawH2(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			r.get(t, 1, "/file")
			select {
			case <-r.resets:
			case <-time.After(10 * time.Second):
				t.Fatal("the stream stands for ever")
			}
			if size > 1000 {
				w.wantRefused(proxy.BoundAnswerTime, 1)
			}
		})
	}
}
