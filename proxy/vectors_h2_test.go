package proxy_test

// The same for HTTP/2: what its framing can carry and HTTP/1.1 cannot must not
// turn into something else on the way to a service that speaks HTTP/1.1
// (RFC 9113, 8.1.1, 8.2.1, 8.2.2, 8.3.1 and 10.3).

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A field is a line of a header block, as raw as HPACK carries it.
type field struct{ name, value string }

// A frameVector is a request in frames. The usual fields stand in front of
// those that are given here, and one that is given takes the place of the usual.
type frameVector struct {
	name   string
	fields []field
	body   string
	status int // 0: the stream or the connection is reset
	seen   int
	origin []field // what the origin must have been sent; "" not at all
	races  bool    // the handler's 400 may come before the reset
	raw    bool    // the fields are all there are
	line   string  // at the origin, if it is not that of the message

	behind  []field // trailers
	trailer string  // at the origin
}

// asUsual are the fields of a request, without those that are named.
func asUsual(but ...string) []field {
	usual := []field{{":method", "POST"}, {":scheme", "https"}, {":authority", "chat.example"}, {":path", "/send"}, {"authorization", "Bearer raw"}}
	for _, name := range but {
		usual = slices.DeleteFunc(usual, func(f field) bool { return f.name == name })
	}
	return usual
}

var frameVectors = []frameVector{
	{name: "plain", body: theMessage, status: 200, seen: 1},
	{name: "length told", fields: []field{{"content-length", "12"}}, body: theMessage, status: 200, seen: 1},
	{name: "length too long", fields: []field{{"content-length", "300"}}, body: theMessage, status: 400},
	{name: "length too short", fields: []field{{"content-length", "3"}}, body: theMessage},
	{name: "length without a body", fields: []field{{"content-length", "12"}}, status: 400},
	{name: "length twice", fields: []field{{"content-length", "12"}, {"content-length", "0"}}, body: theMessage, status: 200, seen: 1},
	{name: "length +12", fields: []field{{"content-length", "+12"}}, body: theMessage, races: true},
	{name: "transfer-encoding", fields: []field{{"transfer-encoding", "chunked"}}, body: "c\r\n" + theMessage + "\r\n0\r\n\r\n", status: 400},
	{name: "transfer-encoding beside a message", fields: []field{{"transfer-encoding", "chunked"}}, body: theMessage, status: 400},
	{name: "connection", fields: []field{{"connection", "x-a"}, {"x-a", "b"}}, body: theMessage, status: 400},
	{name: "te", fields: []field{{"te", "gzip"}}, body: theMessage, status: 400},
	{name: "upgrade", fields: []field{{"connection", "upgrade"}, {"upgrade", "websocket"}}, body: theMessage, status: 400},
	{name: "CRLF in a value", fields: []field{{"x-a", "b\r\nTransfer-Encoding: chunked"}}, body: theMessage},
	{name: "LF in a value", fields: []field{{"x-a", "b\nTransfer-Encoding: chunked"}}, body: theMessage},
	{name: "NUL in a value", fields: []field{{"x-a", "b\x00"}}, body: theMessage},
	{name: "CRLF in a name", fields: []field{{"x-a: b\r\ncontent-length", "0"}}, body: theMessage},
	{name: "colon in a name", fields: []field{{"x:a", "b"}}, body: theMessage},
	{name: "space in a name", fields: []field{{"x a", "b"}}, body: theMessage},
	{name: "capital in a name", fields: []field{{"X-A", "b"}}, body: theMessage},
	{name: "no name", fields: []field{{"", "b"}}, body: theMessage},
	{name: "host says the same", fields: []field{{"host", "CHAT.example:443"}}, body: theMessage, status: 200, seen: 1},
	{name: "host says another", fields: []field{{"host", "evil.example"}}, body: theMessage, status: 421},
	{name: "two hosts", fields: []field{{"host", "chat.example"}, {"host", "evil.example"}}, body: theMessage, status: 421},
	{name: "host alone", fields: []field{{":authority", ""}, {"host", "chat.example"}}, body: theMessage, status: 200, seen: 1},
	{name: "another authority", fields: []field{{":authority", "evil.example"}, {"host", "chat.example"}}, body: theMessage, status: 421},
	{name: "authority with a user", fields: []field{{":authority", "chat.example@evil.example"}}, body: theMessage},
	{name: "another scheme", fields: []field{{":scheme", "http"}}, body: theMessage, status: 200, seen: 1},
	{name: "no scheme", fields: []field{{":scheme", ""}}, body: theMessage},
	{name: "CRLF in the path", fields: []field{{":path", "/send HTTP/1.1\r\nHost: evil.example\r\n\r\nGET /x"}}, body: theMessage},
	{name: "space in the path", fields: []field{{":path", "/send x"}}, body: theMessage, status: 400},
	{name: "fragment in the path", fields: []field{{":path", "/send#/x"}}, body: theMessage, status: 400},
	{name: "no path", fields: []field{{":path", ""}}, body: theMessage},
	{name: "path without a slash", fields: []field{{":path", "send"}}, body: theMessage},
	{name: "whole URL for a path", fields: []field{{":path", "https://evil.example/send"}}, body: theMessage, status: 400},
	{name: "path *", fields: []field{{":path", "*"}}, body: theMessage, status: 400},
	{name: "CRLF in the method", fields: []field{{":method", "POST /send HTTP/1.1\r\nX:"}}, body: theMessage},
	{name: "space in the method", fields: []field{{":method", "POST x"}}, body: theMessage, status: 400},
	{name: "CONNECT", fields: []field{{":method", "CONNECT"}, {":scheme", ""}, {":path", ""}}, status: 405},
	{name: "CONNECT that is more", fields: []field{{":method", "CONNECT"}, {":protocol", "websocket"}}},
	{name: "TRACE", fields: []field{{":method", "TRACE"}}, status: 405},
	{name: "a pseudo field that nobody knows", fields: []field{{":x", "b"}}, body: theMessage},
	{name: "a pseudo field behind the others", fields: []field{{"x-a", "b"}, {":path", "/send"}, {":method", "POST"}}, body: theMessage},
	{name: "method twice", raw: true, fields: append([]field{{":method", "GET"}}, asUsual()...), body: theMessage},
	{name: "path twice", raw: true, fields: append([]field{{":path", "/read"}}, asUsual()...), body: theMessage},
	{name: "scheme twice", raw: true, fields: append([]field{{":scheme", "https"}}, asUsual()...), body: theMessage},
	{name: "authority twice", raw: true, fields: append([]field{{":authority", "evil.example"}}, asUsual()...), body: theMessage},
	{name: "no method", raw: true, fields: asUsual(":method"), body: theMessage},
	{name: "an empty method", raw: true, fields: append([]field{{":method", ""}}, asUsual(":method")...), body: theMessage},
	{name: "an empty path", raw: true, fields: append([]field{{":path", ""}}, asUsual(":path")...), body: theMessage},
	{name: "neither authority nor host", raw: true, fields: asUsual(":authority"), body: theMessage, status: 421},
	{name: "an empty authority", raw: true, fields: append([]field{{":authority", ""}}, asUsual(":authority")...), body: theMessage, status: 421},
	{name: "a status", raw: true, fields: append([]field{{":status", "200"}}, asUsual()...), body: theMessage},
	{name: "a protocol", raw: true, fields: append([]field{{":protocol", "websocket"}}, asUsual()...), body: theMessage},
	{name: "a scheme that is a URL", fields: []field{{":scheme", "https://evil.example/x?"}}, body: theMessage},
	{name: "a scheme of another kind", fields: []field{{":scheme", "ftp"}}, body: theMessage},
	{name: "a scheme in capitals", fields: []field{{":scheme", "HTTPS"}}, body: theMessage},
	{name: "a path of another host", fields: []field{{":path", "//evil.example/send"}}, body: "", status: 200, seen: 1, line: "POST //evil.example/send HTTP/1.1"},
	{name: "tab in the path", fields: []field{{":path", "/send\tx"}}, body: theMessage},
	{name: "NUL in the path", fields: []field{{":path", "/send\x00"}}, body: theMessage},
	{name: "DEL in the path", fields: []field{{":path", "/send\x7f"}}, body: theMessage},
	{name: "fragment in the query of the path", fields: []field{{":path", "/send?a#b"}}, body: theMessage, status: 400},
	{name: "space in the query of the path", fields: []field{{":path", "/send?a b"}}, body: theMessage, status: 400},
	{name: "authority with a path", fields: []field{{":authority", "chat.example/x"}}, body: theMessage, status: 421},
	{name: "authority with a space", fields: []field{{":authority", "chat.example x"}}, body: theMessage, status: 421},
	{name: "authority with another port", fields: []field{{":authority", "chat.example:444"}}, body: theMessage, status: 421},
	{name: "authority in brackets", fields: []field{{":authority", "[chat.example]"}}, body: theMessage, status: 421},
	{name: "authority with CRLF", fields: []field{{":authority", "chat.example\r\nX-A: b"}}, body: theMessage},
	{name: "keep-alive", fields: []field{{"keep-alive", "timeout=5"}}, body: theMessage, status: 400},
	{name: "proxy-connection", fields: []field{{"proxy-connection", "keep-alive"}}, body: theMessage, status: 400},
	{name: "upgrade alone", fields: []field{{"upgrade", "h2c"}}, body: theMessage, status: 400},
	{name: "te: trailers", fields: []field{{"te", "trailers"}}, body: theMessage, status: 200, seen: 1, origin: []field{{"Te", "trailers"}}},
	{name: "te: trailers and more", fields: []field{{"te", "trailers, chunked"}}, body: theMessage, status: 400},
	{name: "te twice", fields: []field{{"te", "trailers"}, {"te", "chunked"}}, body: theMessage, status: 400},
	{name: "expect", fields: []field{{"expect", "x"}}, body: theMessage, status: 417},
	{name: "CR in a value", fields: []field{{"x-a", "b\rX-B: c"}}, body: theMessage},
	{name: "DEL in a value", fields: []field{{"x-a", "b\x7f"}}, body: theMessage},
	{name: "white space around a value", fields: []field{{"x-a", " b\t"}}, body: theMessage, status: 200, seen: 1, origin: []field{{"X-A", "b"}}},
	{name: "NUL in a name", fields: []field{{"x\x00a", "b"}}, body: theMessage},
	{name: "8 bits in a name", fields: []field{{"x-\xe4", "b"}}, body: theMessage},
	{name: "length -1", fields: []field{{"content-length", "-1"}}, body: theMessage, races: true},
	{name: "length over 64 bits", fields: []field{{"content-length", "18446744073709551628"}}, body: theMessage, races: true},
	{name: "length of two", fields: []field{{"content-length", "12, 12"}}, body: theMessage, races: true},
	{name: "trailer that says who sends", fields: []field{{"trailer", "authorization"}}, body: theMessage, behind: []field{{"authorization", "Bearer eve"}}},
	{name: "trailer of a cookie", fields: []field{{"trailer", "cookie, x-sum"}}, body: theMessage, behind: []field{{"cookie", "a=b"}, {"x-sum", "7"}, {"x-a", "b"}}, status: 200, seen: 1, trailer: "X-Sum: 7"},
	{name: "trailer that is untold", body: theMessage, behind: []field{{"x-sum", "7"}}, status: 200, seen: 1},
	{name: "trailer that is a pseudo field", body: theMessage, behind: []field{{":path", "/read"}}},
	{name: "trailer with a capital", body: theMessage, behind: []field{{"X-A", "b"}}},
	{name: "cookies in crumbs", fields: []field{{"cookie", "a=b"}, {"cookie", "c=d"}}, body: theMessage, status: 200, seen: 1, origin: []field{{"Cookie", "a=b; c=d"}}},
}

func TestWhatOnlyHTTP2CanCarryReachesNoOrigin(t *testing.T) {
	w := newWorld(t, one, http1Upstream)
	origin := newRecorder(t, &w.service.TLS.Certificates[0])
	w.dialTo["chat.example:443"] = origin.addr
	for i, v := range frameVectors {
		t.Run(v.name, func(t *testing.T) {
			seen, faults := len(origin.requests()), len(origin.faults())
			f := w.framed(t)
			f.behind = v.behind
			status := 0
			if v.raw {
				status = f.send(v.fields, v.body)
			} else {
				status = f.do(append([]field{{"authorization", fmt.Sprint("Bearer client", i)}}, v.fields...), v.body)
			}
			if status != v.status && !(v.races && status == 400) {
				t.Errorf("answered %d, want %d", status, v.status)
			}
			got := origin.requests()[seen:]
			if len(got) != v.seen {
				t.Errorf("the origin counts %d requests, want %d: %+v", len(got), v.seen, got)
			}
			if wrong := origin.faults()[faults:]; len(wrong) > 0 {
				t.Errorf("the origin was sent what is no HTTP: %q", wrong)
			}
			for _, q := range got {
				if q.line != cmp.Or(v.line, "POST /send HTTP/1.1") || q.body != v.body {
					t.Errorf("the origin read %q, %q", q.line, q.body)
				}
				if got := strings.Join(q.trailer, "\n"); got != v.trailer {
					t.Errorf("the origin read the trailers %q", got)
				}
				for _, f := range append(v.origin, field{"Host", "chat.example"}) {
					if value, _ := q.value(f.name); value != f.value && !strings.EqualFold(value, f.value) {
						t.Errorf("the origin was sent %s: %q, want %q", f.name, value, f.value)
					}
				}
			}
		})
	}
}

// framed is a client of HTTP/2 that writes what it is told.
type framed struct {
	conn net.Conn
	*http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
	next  uint32

	behind []field // trailers of what is sent next
}

// framed opens an intercepted connection that speaks HTTP/2.
func (w *world) framed(t *testing.T) *framed {
	t.Helper()
	raw := w.tunnel(t, "chat.example:443")
	conn := tls.Client(raw, &tls.Config{ServerName: "chat.example", RootCAs: w.roots, NextProtos: []string{"h2"}})
	if err := conn.Handshake(); err != nil || conn.ConnectionState().NegotiatedProtocol != "h2" {
		t.Fatalf("no HTTP/2: %v", err)
	}
	return newFramed(t, conn)
}

func newFramed(t *testing.T, conn net.Conn) *framed {
	t.Helper()
	f := &framed{conn: conn, Framer: http2.NewFramer(conn, conn), next: 1}
	f.AllowIllegalWrites = true
	f.enc = hpack.NewEncoder(&f.block)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// tunnel opens a CONNECT and nothing in it.
func (w *world) tunnel(t *testing.T, target string) net.Conn {
	t.Helper()
	raw, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(raw, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
	line := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
	if _, err := io.ReadFull(raw, line); err != nil || !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		t.Fatalf("%q %v", line, err)
	}
	return raw
}

// do sends one request and returns its status, or 0 if it was reset.
func (f *framed) do(fields []field, body string) int {
	usual := []field{{":method", "POST"}, {":scheme", "https"}, {":authority", "chat.example"}, {":path", "/send"}}
	pseudoLast := false
	for _, given := range fields {
		if pseudoLast = pseudoLast || !strings.HasPrefix(given.name, ":") && given.name != "authorization"; pseudoLast {
			break
		}
		for i := range usual {
			if usual[i].name == given.name {
				usual[i].value = given.value
				fields = without(fields, given)
			}
		}
	}
	return f.send(slices.DeleteFunc(append(usual, fields...), func(one field) bool { return one.value == "" }), body)
}

// send is do with no other fields than these.
func (f *framed) send(fields []field, body string) int {
	id := f.next
	f.next += 2
	block := func(fields []field) []byte {
		f.block.Reset()
		for _, one := range fields {
			f.enc.WriteField(hpack.HeaderField{Name: one.name, Value: one.value})
		}
		return f.block.Bytes()
	}
	err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(fields), EndHeaders: true, EndStream: body == ""})
	if err == nil && body != "" {
		err = f.WriteData(id, f.behind == nil, []byte(body))
	}
	if err == nil && f.behind != nil {
		err = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(f.behind), EndHeaders: true, EndStream: true})
	}
	if err != nil {
		return 0
	}
	status, _ := f.answer(id)
	return status
}

func without(fields []field, one field) (rest []field) {
	for _, f := range fields {
		if f != one {
			rest = append(rest, f)
		}
	}
	return rest
}

// answer reads up to the end of a stream.
func (f *framed) answer(id uint32) (status int, body string) {
	for {
		frame, err := f.ReadFrame()
		var stream http2.StreamError
		if errors.As(err, &stream) {
			continue
		}
		if err != nil {
			return status, body
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return 0, ""
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == id {
				return status, body
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID == id && status < 200 {
				fmt.Sscan(frame.PseudoValue("status"), &status)
			}
			if frame.StreamID == id && frame.StreamEnded() {
				return status, body
			}
		case *http2.DataFrame:
			if frame.StreamID == id {
				body += string(frame.Data())
			}
			if frame.StreamID == id && frame.StreamEnded() {
				return status, body
			}
		}
	}
}
