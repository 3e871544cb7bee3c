package proxy_test

// Bytes that two servers may read differently: through the front door and
// inside an intercepted connection, the origin must count what the proxy
// counted, and frame it alike. Sources: RFC 9112, 11.1 and 11.2; the trophies
// and mutations of the HTTP Garden (https://github.com/narfindustries/http-garden,
// read 2026-11-21); CVE-2025-22871 and golang/go#61679, #64517, #65244.

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// one lets an account send one message: a second that hides in the first is
// then either refused, or reaches the origin uncounted and is found out.
const one = "limits: [{name: chat.day, on: chat.message, allow: 1, per: day}]\n"

// A vector is what a client writes. In raw, {T} is how the door wants a target
// to begin, {H} are the fields that every request needs, {S} is a whole second
// message, and {M} the body of one.
type vector struct {
	name, raw string
	status    int    // of the first answer; 0: none comes
	seen      int    // requests at the origin
	closed    bool   // the connection ends; else it takes another request
	body      string // at the origin, if it is not {M}
	trailer   string // there
	end       bool   // the client writes no more
	only      string // the one door it is for
}

func TestTheOriginCountsAndFramesWhatTheProxyDid(t *testing.T) {
	for _, door := range []string{"front", "tunnel"} {
		w := newWorld(t, one, http1Upstream)
		origin := newRecorder(t, nil)
		if door == "tunnel" {
			origin = newRecorder(t, &w.service.TLS.Certificates[0])
		}
		w.dialTo["chat.example:80"], w.dialTo["chat.example:443"] = origin.addr, origin.addr
		for i, v := range vectors {
			if v.only != "" && v.only != door {
				continue
			}
			t.Run(door+"/"+v.name, func(t *testing.T) { v.play(t, w, door, fmt.Sprint("client", i), origin) })
		}
	}
}

func (v vector) play(t *testing.T, w *world, door, account string, origin *recorder) {
	seen, faults := len(origin.requests()), len(origin.faults())
	target := map[string]string{"front": "http://chat.example", "tunnel": ""}[door]
	fill := strings.NewReplacer("{T}", target, "{M}", theMessage, "{A}", account,
		"{H}", "Host: chat.example\r\nAuthorization: Bearer "+account+"\r\n")
	second := fill.Replace(hidden)
	raw := strings.NewReplacer("{S}", second, "{s}", fmt.Sprint(len(second)), "{to146}", (second + strings.Repeat(" ", 146))[:146]).Replace(v.raw)
	raw = fill.Replace(raw)

	conn := w.door(t, door)
	go func() { // the answer may come, and the end, before all is written
		_, err := io.WriteString(conn, raw)
		if err == nil && v.end {
			conn.CloseWrite()
		}
	}()
	br := bufio.NewReader(conn)
	answers := 0
	for status := v.status; status != 0; status = 0 {
		resp, err := http.ReadResponse(br, &http.Request{Method: "POST"})
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		body, _ := io.ReadAll(resp.Body)
		answers++
		if resp.StatusCode != status {
			t.Errorf("answered %s, want %d: %s", resp.Status, status, body)
		}
	}
	if v.closed {
		for { // what was written behind may be answered too, if it is refused
			resp, err := http.ReadResponse(br, &http.Request{Method: "POST"})
			if err != nil {
				if isTimeout(err) {
					t.Error("the connection is still open")
				} else if answers == 0 && v.status != 0 {
					t.Error(err)
				}
				break
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode < 400 {
				t.Errorf("then answered %s %v", resp.Status, err)
			}
		}
	} else {
		// The next request is read from where the last one ended: not out of
		// its body, and with nothing of it left out.
		if strings.HasSuffix(v.raw, "{S}") && v.status < 400 {
			if resp, err := http.ReadResponse(br, &http.Request{Method: "POST"}); err != nil || resp.StatusCode != 429 {
				t.Fatalf("the second message: %v %v", resp, err)
			} else if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
		}
		io.WriteString(conn, fill.Replace("GET {T}/probe HTTP/1.1\r\n{H}\r\n"))
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("the next request: %v %v", resp, err)
		}
		io.Copy(io.Discard, resp.Body)
	}
	got := origin.requests()[seen:]
	if !v.closed {
		if n := len(got); n == 0 || got[n-1].line != "GET /probe HTTP/1.1" || got[n-1].body != "" {
			t.Errorf("the next request reached the origin as %+v", got)
		} else {
			got = got[:n-1]
		}
	}
	if len(got) != v.seen {
		t.Errorf("the origin counts %d requests, want %d: %+v", len(got), v.seen, got)
	}
	if wrong := origin.faults()[faults:]; len(wrong) > 0 {
		t.Errorf("the origin was sent what is no HTTP: %q", wrong)
	}
	for _, q := range got {
		if want := v.body; !strings.HasPrefix(v.name, "OPTIONS") && (want == "" && q.body != theMessage || want != "" && q.body != want) {
			t.Errorf("the origin read the body %q", q.body)
		}
		if got := strings.Join(q.trailer, "\n"); got != v.trailer {
			t.Errorf("the origin read the trailers %q", got)
		}
		for _, name := range []string{"Upgrade", "Http2-Settings", "Connection", "Te"} {
			if value, _ := q.value(name); value != "" {
				t.Errorf("the origin was sent %s: %s", name, value)
			}
		}
	}
}

// A doorway is a connection that takes requests.
type doorway interface {
	net.Conn
	CloseWrite() error
}

var _ doorway = (*tls.Conn)(nil)

// door opens a connection for absolute form, or one inside CONNECT.
func (w *world) door(t *testing.T, which string) doorway {
	t.Helper()
	if which == "tunnel" {
		return w.connect(t, "chat.example")
	}
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	front, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatal(errors.New("no TCP"))
	}
	return front
}
