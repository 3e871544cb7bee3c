package proxy_test

// Writing a spelling as it stands, where no client's library would: as a
// request of HTTP/1.1, and as frames of HTTP/2.

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A spelling is a request, to be written in one version or another.
type spelling struct {
	method, target, host, body string
	headers                    []string // "Name: value"
	lengthless                 bool     // its body has no length of its own
	bare                       bool     // it has no body
	absolute                   bool     // it is given to the proxy itself
}

// spell is a send, written in a way.
func (s send) spell(y way) spelling {
	or := func(a, b string) string {
		if a == "" {
			return b
		}
		return a
	}
	out := spelling{
		method: or(y.method, s.method), target: or(y.target, s.target), host: or(y.host, s.host),
		body: or(y.body, s.body), absolute: y.absolute,
	}
	if y.bare {
		out.body = y.body
		out.bare = y.body == ""
	}
	headers := s.headers
	for line := range strings.SplitSeq(y.headers, "\n") {
		name, value, _ := strings.Cut(line, ":")
		if y.headers == "" {
			break
		}
		// A line without a value takes that header away; one with "+" before
		// it is added, any other is in its place.
		if name, added := strings.CutPrefix(line, "+"); added {
			headers += "\n" + name
			continue
		}
		var kept []string
		for old := range strings.SplitSeq(headers, "\n") {
			if n, _, _ := strings.Cut(old, ":"); !strings.EqualFold(n, name) {
				kept = append(kept, old)
			}
		}
		headers = strings.Join(kept, "\n")
		if strings.TrimSpace(value) != "" {
			headers += "\n" + line
		}
	}
	for line := range strings.SplitSeq(headers, "\n") {
		switch {
		case line == "Transfer-Encoding: chunked":
			out.lengthless = true
		case line != "":
			out.headers = append(out.headers, line)
		}
	}
	return out
}

// ask sends a spelling in HTTP/1.1, inside a tunnel or in absolute form, and
// reads its answer's status and Quotagate-Limit.
func (s *spelled) ask(t *testing.T, host string, p spelling) (status int, limit string) {
	t.Helper()
	raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n", p.method, p.target, p.host) + strings.Join(append(p.headers, ""), "\r\n")
	switch {
	case p.bare:
		raw += "\r\n"
	case p.lengthless:
		raw += "Transfer-Encoding: chunked\r\n\r\n" + chunked(p.body)
	default:
		raw += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(p.body), p.body)
	}
	var conn net.Conn
	if p.absolute {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		conn = c
	} else {
		conn = s.connect(t, host)
	}
	defer conn.Close()
	go io.WriteString(conn, raw) // it may be answered before it was read
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%v: %.300q", err, raw)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatalf("%v: %.300q", err, raw)
	}
	return resp.StatusCode, resp.Header.Get("Quotagate-Limit")
}

// notInFrames are the spellings that HTTP/2 has no way to write.
var notInFrames = map[string]string{
	"voyager: absolute form to the proxy":            "the front door speaks HTTP/1.1, as CONNECT needs it",
	"voyager: absolute form, capitals, port and dot": "the front door speaks HTTP/1.1",
	"voyager: absolute form, encoded host":           "the front door speaks HTTP/1.1",
	"voyager: absolute form, full-width host":        "the front door speaks HTTP/1.1",
	"voyager: absolute form, a user":                 "the front door speaks HTTP/1.1",
}

// otherInFrames are those that mean something else there.
var otherInFrames = map[string]int{
	"voyager: absolute form in the tunnel": refused, // :path is a path (RFC 9113, 8.3.1)
	"voyager: Host in full width":          1,       // net/http takes it, and writes it as the name that it stands for
	"voyager: a broken escape":             reset,   // by net/http, before anybody could tell a reason
}

// askInFrames is ask in HTTP/2.
func (s *spelled) askInFrames(t *testing.T, host string, p spelling) (status int, limit string) {
	t.Helper()
	conn := tls.Client(s.tunnel(t, host+":443"), &tls.Config{ServerName: host, RootCAs: s.roots, NextProtos: []string{"h2"}})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	f := newFramed(t, conn)
	list := []hpack.HeaderField{{Name: ":method", Value: p.method}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: p.host}, {Name: ":path", Value: p.target}}
	for _, line := range p.headers {
		name, value, _ := strings.Cut(line, ":")
		list = append(list, hpack.HeaderField{Name: strings.ToLower(name), Value: strings.TrimSpace(value)})
	}
	if !p.bare && !p.lengthless {
		list = append(list, hpack.HeaderField{Name: "content-length", Value: fmt.Sprint(len(p.body))})
	}
	for _, one := range list {
		f.enc.WriteField(one)
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block.Bytes(), EndHeaders: true, EndStream: p.bare}); err != nil {
		t.Fatal(err)
	}
	return f.converse(t, p)
}

// converse sends the body of the first stream, as far as its windows go and the
// service wants it, and reads the answer.
func (f *framed) converse(t *testing.T, p spelling) (status int, limit string) {
	const first = 65535 // RFC 9113, 6.9.2
	body, done := p.body, p.bare
	stream, all := first, first
	for {
		for !done && (body == "" || min(stream, all) > 0) {
			n := min(len(body), stream, all, 16<<10)
			done = n == len(body)
			if err := f.WriteData(1, done, []byte(body[:n])); err != nil {
				t.Fatalf("%v: %.300q", err, p.body)
			}
			body, stream, all = body[n:], stream-n, all-n
		}
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("%v: %.100v %.300q", err, p.headers, p.body)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if size, ok := frame.Value(http2.SettingInitialWindowSize); ok {
				stream += int(size) - first
			}
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.WindowUpdateFrame:
			if frame.StreamID == 0 {
				all += int(frame.Increment)
			} else {
				stream += int(frame.Increment)
			}
		case *http2.MetaHeadersFrame:
			fmt.Sscan(frame.PseudoValue("status"), &status)
			for _, one := range frame.RegularFields() {
				if one.Name == "quotagate-limit" {
					limit = one.Value
				}
			}
			if done = done || frame.StreamEnded(); frame.StreamEnded() {
				return status, limit
			}
		case *http2.DataFrame:
			if frame.StreamEnded() {
				return status, limit
			}
		case *http2.RSTStreamFrame:
			return status, limit
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return status, limit
			}
		}
	}
}
