package proxy_test

// The bounds of requests' bodies: in time, and in memory.

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
)

// A pausing body sends its pieces with pauses between them.
type pausing struct {
	pieces []string
	pause  time.Duration
	clock  *time.Timer
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.clock != nil {
		<-p.clock.C
	}
	if len(p.pieces) == 0 {
		return 0, io.EOF
	}
	p.clock = time.NewTimer(p.pause)
	n := copy(b, p.pieces[0])
	p.pieces = p.pieces[1:]
	return n, nil
}

func TestBodiesThatStandStillAreToldAndThoseThatMoveAreNot(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", h2), func(t *testing.T) {
			w := newWorld(t, five, limited(proxy.Limits{BodyTime: 4 * soon}))
			send := func(pause time.Duration, pieces ...string) (int, string) {
				req := w.message(t.Context(), "anna", "bob")
				req.Body, req.GetBody, req.ContentLength = io.NopCloser(&pausing{pieces: pieces, pause: pause}), nil, -1
				resp, err := w.client(h2).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				return resp.StatusCode, resp.Header.Get("Quotagate-Error")
			}
			if status, _ := send(soon/2, `{"to":`, `"bob"`, `,"text"`, `:"hel`, `lo"`, ` `, ` `, ` `, `}`); status != 200 {
				t.Errorf("a body that moves: %d", status)
			}
			w.next()
			if h2 {
				if status, word := send(15*soon, `{"to":`, `"bob"}`); status != http.StatusRequestTimeout || word != "slow" {
					t.Errorf("a body that stands still: %d %q", status, word)
				}
				w.wantRefused(proxy.BoundBodyTime, 1)
			} else {
				for i, expect := range []string{"", "Expect: 100-continue\r\n"} {
					c := w.dialInside("http/1.1")
					io.WriteString(c, "POST /send HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\n"+expect+"Content-Length: 20\r\n\r\n")
					if asked := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n")); expect != "" {
						if _, err := io.ReadFull(c, asked); err != nil {
							t.Fatal(err)
						}
					}
					io.WriteString(c, `{"to":`)
					told(t, c, http.StatusRequestTimeout, "slow")
					hungUp(t, c)
					w.wantRefused(proxy.BoundBodyTime, int64(i+1))
				}
			}
			if n := w.service.messages.Load(); n != 1 {
				t.Errorf("the service saw %d messages, want 1", n)
			}
		})
	}
}

func TestLargeBodiesLeaveRoomForUsualOnes(t *testing.T) {
	w := newWorld(t, five, func(_ *world, _ *proxy.Config, e *proxy.Enforcer) { e.MaxBuffered = 1 << 20 })
	big := w.dialInside("http/1.1")
	go fmt.Fprintf(big, "POST /send HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\nContent-Length: %d\r\n\r\n%s", 2<<20, strings.Repeat(" ", 900<<10))
	told(t, big, http.StatusServiceUnavailable, "busy") // there would be room, if all of it were for such
	if n := w.service.messages.Load(); n != 0 {
		t.Errorf("the service saw %d messages", n)
	}
}

// What is read of a call to find whose it is lies in memory as well.
func TestBodiesOfCallsAreBoundedToo(t *testing.T) {
	w := newWorld(t, "", func(w *world, _ *proxy.Config, e *proxy.Enforcer) {
		w.set.Store(mustLoad(t, strings.Replace(chat, "{bearer: true, secret: true}", "{json: $.token, secret: true}", 1)+
			"limits: [{name: chat.calls, on: chat.request, allow: 9, per: day}]\n"))
		e.MaxBuffered = 64 << 10
	})
	held := w.dialInside("http/1.1")
	fmt.Fprintf(held, "POST /read HTTP/1.1\r\nHost: chat.example\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", 60<<10, strings.Repeat(" ", 40<<10))
	eventually(t, "what came is not counted", func() bool { return w.enforcer.Buffered() == 40<<10 })
	other := w.dialInside("http/1.1")
	go fmt.Fprintf(other, "POST /read HTTP/1.1\r\nHost: chat.example\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", 40<<10, strings.Repeat(" ", 40<<10))
	told(t, other, http.StatusServiceUnavailable, "busy")
	held.Close()
	eventually(t, "the memory is not given back", func() bool { return w.enforcer.Buffered() == 0 })
}

func TestBodiesThatAreTooLargeAreCounted(t *testing.T) {
	w := newWorld(t, five, func(_ *world, _ *proxy.Config, e *proxy.Enforcer) { e.MaxBody = 5 })
	if resp, _ := w.send(w.client(false), "anna", "bob"); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%s", resp.Status)
	}
	w.next()
	if n := w.enforcer.TooLarge(); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}

func TestBodiesInMemoryAreBoundedInAll(t *testing.T) {
	w := newWorld(t, five, func(_ *world, _ *proxy.Config, e *proxy.Enforcer) { e.MaxBuffered = 1 << 20 })
	big := w.dialInside("http/1.1")
	fmt.Fprintf(big, "POST /send HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\nContent-Length: %d\r\n\r\n%s", 2<<20, strings.Repeat(" ", 700<<10))
	eventually(t, "what came is not counted", func() bool { return w.enforcer.Buffered() == 700<<10 })
	other := w.dialInside("http/1.1")
	go fmt.Fprintf(other, "POST /send HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer ben\r\nContent-Length: %d\r\n\r\n%s", 2<<20, strings.Repeat(" ", 700<<10))
	told(t, other, http.StatusServiceUnavailable, "busy")
	if n := w.enforcer.Crowded(); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
	if resp, body := w.send(w.client(false), "anna", "bob"); resp.StatusCode != 200 { // a small one still goes
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	w.next()
	big.Close()
	eventually(t, "the memory is not given back", func() bool { return w.enforcer.Buffered() == 0 })
}
