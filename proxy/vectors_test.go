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
	end       bool   // the client writes no more
	only      string // the one door it is for
}

const (
	theMessage  = `{"to":"bob"}`
	hidden      = "POST {T}/send HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n" + `{"to":"eve"}`
	post        = "POST {T}/send HTTP/1.1\r\n{H}"
	postInParts = post + "Transfer-Encoding: chunked\r\n\r\n"
	inParts     = "c\r\n{M}\r\n0\r\n\r\n"
)

var vectors = []vector{
	{name: "plain", raw: post + "Content-Length: 12\r\n\r\n{M}", status: 200, seen: 1},
	{name: "in parts", raw: postInParts + inParts, status: 200, seen: 1},
	{name: "two in one write", raw: post + "Content-Length: 12\r\n\r\n{M}{S}", status: 200, seen: 1},

	// One length or the other (RFC 9112, 6.3).
	{name: "CL and TE, CL to the end", raw: post + "Content-Length: 22\r\nTransfer-Encoding: chunked\r\n\r\n" + inParts, status: 200, seen: 1},
	{name: "CL and TE, CL short", raw: post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + inParts, status: 200, seen: 1},
	{name: "CL and TE, a message behind", raw: post + "Content-Length: 300\r\nTransfer-Encoding: chunked\r\n\r\n" + inParts + "{S}", status: 200, seen: 1},
	{name: "TE and CL, a message inside", raw: post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n92\r\n{to146}\r\n0\r\n\r\n", status: 403, seen: 0},
	{name: "CL twice, the same", raw: post + "Content-Length: 12\r\nContent-Length: 12\r\n\r\n{M}", status: 200, seen: 1},
	{name: "CL twice, different", raw: post + "Content-Length: 12\r\nContent-Length: 0\r\n\r\n{M}{S}", status: 400, closed: true},
	{name: "CL 12, 12", raw: post + "Content-Length: 12, 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "CL +12", raw: post + "Content-Length: +12\r\n\r\n{M}", status: 400, closed: true},
	{name: "CL -1", raw: post + "Content-Length: -1\r\n\r\n{M}", status: 400, closed: true},
	{name: "CL 0xc", raw: post + "Content-Length: 0xc\r\n\r\n{M}", status: 400, closed: true},
	{name: "CL 1_2", raw: post + "Content-Length: 1_2\r\n\r\n{M}", status: 400, closed: true},
	{name: "CL 1 2", raw: post + "Content-Length: 1 2\r\n\r\n{M}", status: 400, closed: true},
	{name: "CL empty", raw: post + "Content-Length:\r\n\r\n{M}", status: 400, closed: true},
	{name: "CL over 64 bits", raw: post + "Content-Length: 18446744073709551628\r\n\r\n{M}", status: 400, closed: true},
	{name: "CL with a vertical tab", raw: post + "Content-Length: \x0b12\r\n\r\n{M}", status: 400, closed: true},
	{name: "CL : 12", raw: post + "Content-Length : 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "CL with zeros in front", raw: post + "Content-Length: 0012\r\n\r\n{M}", status: 200, seen: 1},

	// Transfer codings (RFC 9112, 6.1 and 7).
	{name: "TE twice", raw: post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + inParts, status: 501, closed: true},
	{name: "TE twice, identity", raw: post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: 12\r\n\r\n{M}", status: 501, closed: true},
	{name: "TE xchunked", raw: post + "Transfer-Encoding: xchunked\r\nContent-Length: 12\r\n\r\n{M}", status: 501, closed: true},
	{name: "TE identity", raw: post + "Transfer-Encoding: identity\r\nContent-Length: 12\r\n\r\n{M}", status: 501, closed: true},
	{name: "TE gzip, chunked", raw: post + "Transfer-Encoding: gzip, chunked\r\n\r\n" + inParts, status: 501, closed: true},
	{name: "TE chunked, chunked", raw: post + "Transfer-Encoding: chunked, chunked\r\n\r\n" + inParts, status: 501, closed: true},
	{name: "TE , chunked", raw: post + "Transfer-Encoding: ,chunked\r\n\r\n" + inParts, status: 501, closed: true},
	{name: "TE chunked;a=b", raw: post + "Transfer-Encoding: chunked;a=b\r\n\r\n" + inParts, status: 501, closed: true},
	{name: "TE in quotes", raw: post + "Transfer-Encoding: \"chunked\"\r\n\r\n" + inParts, status: 501, closed: true},
	{name: "TE with a vertical tab", raw: post + "Transfer-Encoding: \x0bchunked\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "TE with a NUL", raw: post + "Transfer-Encoding: chunked\x00\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "TE empty", raw: post + "Transfer-Encoding:\r\nContent-Length: 12\r\n\r\n{M}", status: 501, closed: true},
	{name: "TE CHUNKED", raw: post + "Transfer-Encoding: CHUNKED\r\n\r\n" + inParts, status: 200, seen: 1},
	{name: "TE : chunked", raw: post + "Transfer-Encoding : chunked\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "TE folded", raw: post + "Transfer-Encoding:\r\n chunked\r\n\r\n" + inParts, status: 200, seen: 1},
	{name: "transfer_encoding", raw: post + "Transfer_Encoding: chunked\r\nContent-Length: 12\r\n\r\n{M}", status: 200, seen: 1},

	// Chunks (RFC 9112, 7.1).
	{name: "chunk with an extension", raw: postInParts + "c;a=b\r\n{M}\r\n0\r\n\r\n", status: 200, seen: 1},
	{name: "extension with a CR", raw: postInParts + "c;a\rb\r\n{M}\r\n0\r\n\r\n", status: 400, closed: true},
	{name: "extension ends in LF", raw: postInParts + "c;a\n{M}\r\n0\r\n\r\n", status: 400, closed: true},
	{name: "size ends in LF", raw: postInParts + "c\n{M}\r\n0\r\n\r\n", status: 400, closed: true},
	{name: "last chunk ends in LF", raw: postInParts + "c\r\n{M}\r\n0\n\n", status: 400, closed: true},
	{name: "size 0xc", raw: postInParts + "0xc\r\n{M}\r\n0\r\n\r\n", status: 400, closed: true},
	{name: "size -c", raw: postInParts + "-c\r\n{M}\r\n0\r\n\r\n", status: 400, closed: true},
	{name: "size +c", raw: postInParts + "+c\r\n{M}\r\n0\r\n\r\n", status: 400, closed: true},
	{name: "no size", raw: postInParts + "\r\n{M}\r\n0\r\n\r\n", status: 400, closed: true},
	{name: "size over 64 bits", raw: postInParts + "1000000000000000c\r\n{M}\r\n0\r\n\r\n", status: 400, closed: true},
	{name: "size of all memory", raw: postInParts + "7fffffffffffffff\r\n{M}", closed: true, end: true},
	{name: "space before the size", raw: postInParts + " c\r\n{M}\r\n0\r\n\r\n", status: 400, closed: true},
	{name: "chunk longer than its size", raw: postInParts + "b\r\n{M}\r\n0\r\n\r\n", status: 400, closed: true},
	{name: "chunk shorter than its size", raw: postInParts + "d\r\n{M}\r\n0\r\n\r\n", status: 400, closed: true},
	{name: "trailer that sets a length", raw: postInParts + "c\r\n{M}\r\n0\r\nContent-Length: 99\r\n\r\n", status: 200, seen: 1},
	{name: "trailer that is no field", raw: postInParts + "c\r\n{M}\r\n0\r\nnothing\r\n\r\n", status: 400, closed: true},
	{name: "HTTP/1.0 and TE", raw: "POST {T}/send HTTP/1.0\r\n{H}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + inParts + "{S}", status: 411, closed: true},

	// Lines (RFC 9112, 2.2 and 3).
	{name: "lines end in LF", raw: "POST {T}/send HTTP/1.1\nHost: chat.example\nAuthorization: Bearer {A}\nContent-Length: 12\n\n{M}", status: 200, seen: 1},
	{name: "CR inside a value", raw: post + "X-A: b\rX-B: c\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "folded field", raw: post + "X-A: b\r\n c\r\nContent-Length: 12\r\n\r\n{M}", status: 200, seen: 1},
	{name: "folded first field", raw: "POST {T}/send HTTP/1.1\r\n X-A: b\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "NUL in a value", raw: post + "X-A: b\x00c\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "vertical tab in a value", raw: post + "X-A: b\x0bc\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "NUL in a name", raw: post + "X\x00A: b\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "space in a name", raw: post + "X A: b\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "space behind a name", raw: post + "X-A : b\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "no name", raw: post + ": b\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "no colon", raw: post + "X-A\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "two spaces before the target", raw: "POST  {T}/send HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "two spaces before the version", raw: "POST {T}/send  HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "tab in the request line", raw: "POST\t{T}/send\tHTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "space in the target", raw: "POST {T}/send /x HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "fragment in the target", raw: "POST {T}/send#/x HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400},
	{name: "fragment in the query", raw: "POST {T}/send?a#b HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400},
	{name: "vertical tab in the target", raw: "POST {T}/send\x0b HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "NUL in the target", raw: "POST {T}/send\x00 HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "space in front of the method", raw: " POST {T}/send HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "method that is no token", raw: "PO(ST {T}/send HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "empty line in front", raw: "\r\nPOST {T}/send HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "HTTP/0.9", raw: "POST {T}/send\r\n\r\n", status: 400, closed: true},
	{name: "HTTP/1.2", raw: "POST {T}/send HTTP/1.2\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 200, seen: 1},
	{name: "HTTP/9.9", raw: "POST {T}/send HTTP/9.9\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 505, closed: true},
	{name: "http/1.1", raw: "POST {T}/send http/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "HTTP/01.1", raw: "POST {T}/send HTTP/01.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "a request line over the limit", raw: "POST {T}/send?" + strings.Repeat("x", 80<<10) + " HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 431, closed: true},
	{name: "fields over the limit", raw: post + strings.Repeat("X-A: "+strings.Repeat("x", 1000)+"\r\n", 80) + "Content-Length: 12\r\n\r\n{M}", status: 431, closed: true},

	// Hosts and targets (RFC 9112, 3.2).
	{name: "two Hosts", raw: post + "Host: chat.example\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "no Host", raw: "POST {T}/send HTTP/1.1\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true},
	{name: "Host with a user", raw: "POST {T}/send HTTP/1.1\r\nHost: a@chat.example\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true, only: "tunnel"},
	{name: "Host with a path", raw: "POST {T}/send HTTP/1.1\r\nHost: chat.example/x\r\nContent-Length: 12\r\n\r\n{M}", status: 400, closed: true, only: "tunnel"},
	{name: "another host, its body a message", raw: "POST /send HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {s}\r\n\r\n{S}", status: 421, only: "tunnel"},
	{name: "absolute form of another host", raw: "POST https://evil.example/send HTTP/1.1\r\n{H}Content-Length: {s}\r\n\r\n{S}", status: 421, only: "tunnel"},
	{name: "absolute form of this host", raw: "POST https://chat.example/send HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 200, seen: 1, only: "tunnel"},
	{name: "absolute form under another Host", raw: "POST http://chat.example/send HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer {A}\r\nContent-Length: 12\r\n\r\n{M}", status: 200, seen: 1},
	{name: "OPTIONS *", raw: "OPTIONS * HTTP/1.1\r\n{H}\r\n", status: 200, seen: 1, only: "tunnel"},
	{name: "POST *", raw: "POST * HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n{M}", status: 400, only: "tunnel"},
	{name: "OPTIONS * to the proxy", raw: "OPTIONS * HTTP/1.1\r\n{H}\r\n", status: 400, only: "front"},
	{name: "origin form to the proxy", raw: "POST /send HTTP/1.1\r\n{H}Content-Length: {s}\r\n\r\n{S}", status: 400, only: "front"},

	// Methods that open a way past the rules.
	{name: "CONNECT inside", raw: "CONNECT chat.example:443 HTTP/1.1\r\nHost: chat.example:443\r\n\r\n{S}", status: 405, closed: true, only: "tunnel"},
	{name: "CONNECT with a body", raw: "CONNECT evil.example:25 HTTP/1.1\r\nHost: evil.example:25\r\nContent-Length: {s}\r\n\r\n{S}", status: 403, closed: true, only: "front"},
	{name: "TRACE", raw: "TRACE {T}/send HTTP/1.1\r\n{H}\r\n", status: 405},
	{name: "TRACE, its body a message", raw: "TRACE {T}/send HTTP/1.1\r\n{H}Content-Length: {s}\r\n\r\n{S}", status: 405},
	{name: "upgrade to h2c", raw: post + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 12\r\n\r\n{M}", status: 200, seen: 1},
	{name: "HTTP/2 by prior knowledge", raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{S}", closed: true, status: 400, only: "front"},

	// Ends (RFC 9112, 8).
	{name: "ends in the fields", raw: post + "Content-Le", closed: true, end: true},
	{name: "ends before the body", raw: post + "Content-Length: 12\r\n\r\n", closed: true, end: true},
	{name: "ends in the body", raw: post + "Content-Length: 300\r\n\r\n{M}", closed: true, end: true},
	{name: "ends in a chunk", raw: postInParts + "64\r\n{M}", closed: true, end: true},
	{name: "ends before the last chunk", raw: postInParts + "c\r\n{M}\r\n", closed: true, end: true},
	{name: "ends in the trailers", raw: postInParts + "c\r\n{M}\r\n0\r\nX-A", closed: true, end: true},
	{name: "Connection: close, a message behind", raw: post + "Connection: close\r\nContent-Length: 12\r\n\r\n{M}{S}", status: 200, seen: 1, closed: true},
	{name: "refused, its body a message", raw: "POST {T}/send HTTP/1.1\r\nHost: chat.example\r\nContent-Length: {s}\r\n\r\n{S}", status: 403},
	{name: "Expect that nobody knows", raw: post + "Expect: 200-ok\r\nContent-Length: 12\r\n\r\n{M}", status: 417, closed: true},
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
