package proxy_test

// The bounds of answers in time: they are for what stands still.

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
)

func TestAnswersThatNobodyTakesEnd(t *testing.T) {
	w := newWorld(t, five, limited(proxy.Limits{BodyTime: 2 * soon}))
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		io.CopyN(rw, endless{}, 256<<20)
	})
	c := w.dialInside("http/1.1")
	io.WriteString(c, "GET /file HTTP/1.1\r\nHost: chat.example\r\n\r\n")
	eventually(t, "the connection is not closed", func() bool { n, _ := w.server.Open(); return n == 0 })
	w.wantRefused(proxy.BoundAnswerTime, 1)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestATunnelThatMovesOutlivesTheTimeOfAnswers(t *testing.T) {
	const enough = 200 * time.Millisecond
	w := newWorld(t, five, limited(proxy.Limits{BodyTime: enough}))
	w.echo(t)
	c := w.dialConnect("other.example:443")
	tick := time.NewTicker(enough / 10)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < 3*enough; <-tick.C {
		got := make([]byte, 4)
		if _, err := io.WriteString(c, "ping"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "ping" {
			t.Fatalf("after %v: %q %v", time.Since(begin), got, err)
		}
	}
	if n := w.server.Refused(proxy.BoundAnswerTime); n != 0 {
		t.Errorf("%d answers took too long", n)
	}
}

// Requests that take long: the answer comes in pieces, or late.
func TestAnswersThatMoveOutliveTheTimeOfShortOnes(t *testing.T) {
	const enough = 200 * time.Millisecond
	for _, h2 := range []bool{false, true} {
		w := newWorld(t, five, limited(proxy.Limits{BodyTime: enough}))
		w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(enough / 4)
			defer tick.Stop()
			late := r.URL.Path == "/late"
			for range 12 {
				<-tick.C
				if !late {
					io.WriteString(rw, "piece ")
					rw.(http.Flusher).Flush()
				}
			}
			if late {
				io.WriteString(rw, "at last")
			}
		})
		for path, want := range map[string]string{"/pieces": strings.Repeat("piece ", 12), "/late": "at last"} {
			resp, err := w.client(h2).Get("https://chat.example" + path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(got) != want || err != nil {
				t.Errorf("http2=%v %s: %q %v", h2, path, got, err)
			}
		}
		if n := w.server.Refused(proxy.BoundAnswerTime); n != 0 {
			t.Errorf("http2=%v: %d answers took too long", h2, n)
		}
	}
}
