package rules

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// dice are the choices of a fuzzer, one after the other, from the start again
// where there are no more.
type dice struct {
	bytes []byte
	i     int
}

func (d *dice) roll(n int) int {
	if len(d.bytes) == 0 {
		return 0
	}
	d.i++
	return int(d.bytes[(d.i-1)%len(d.bytes)]) % n
}

// respelt is a path in another spelling.
func (d *dice) respelt(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if c != '/' {
			switch d.roll(8) {
			case 0:
				fmt.Fprintf(&b, "%%%02X", c)
			case 1:
				fmt.Fprintf(&b, "%%%02x", c)
			case 2:
				fmt.Fprintf(&b, "%%25%02x", c)
			case 3:
				if c < 0x80 {
					fmt.Fprintf(&b, "%%%02x%%%02X", 0xc0|c>>6, 0x80|c&0x3f)
					continue
				}
				b.WriteByte(c)
			default:
				b.WriteByte(c)
			}
			continue
		}
		b.WriteString([...]string{"/", "/", "/", "//", "/./", "/%2e/", "/x/../", "/x%2f%2E./", "/y/%252e%252e/", "%2f", "%5C", `\`, "/;v=1/"}[d.roll(13)])
	}
	return b.String() + [...]string{"", "", "", "/", "/.", ";v=1", "%00.js", "%20", "%23x", "/z/.."}[d.roll(10)]
}

// taken are the matches that a path has, by message and pattern.
func taken(s *Set, method, host, path, query string) map[string]bool {
	out := map[string]bool{}
	sight := s.Look(&Call{Method: method, Scheme: "https", Host: host, Path: path, Query: query, Header: http.Header{}})
	for _, c := range sight.candidates {
		out[c.match.message.def.Name+" "+c.pattern.text] = true
	}
	return out
}

func within(a, b map[string]bool) bool {
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return true
}

// A path matches what its normal form matches, and so does each of its other
// spellings.
func FuzzRequestPath(f *testing.F) {
	s := matching(f, "version: 1\nuse: [linkedin, slack, telegram]\n")
	for _, seed := range [][3]string{
		{"www.linkedin.com", "/voyager/api/voyagerMessagingDashMessengerMessages", "action=createMessage"},
		{"www.linkedin.com", "/voyager/api/messaging/conversations/2-abc/events", "action=create"},
		{"api.linkedin.com", "/rest/messages", ""}, {"slack.com", "/api/chat.postMessage", ""},
		{"hooks.slack.com", "/services/T0/B0/x", ""}, {"api.telegram.org", "/bot12:x/sendMessage", "chat_id=1"},
		{"api.telegram.org", "/bot12:x/test/sendMediaGroup/", ""}, {"x.slack.com", "/a%2f..%2fapi//chat.meMessage;x", ""},
	} {
		for _, rolls := range []string{"", "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c", "\x07\x03\x05"} {
			f.Add(seed[0], seed[1], seed[2], []byte(rolls))
		}
	}
	f.Fuzz(func(t *testing.T, host, path, query string, rolls []byte) {
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		is := taken(s, "POST", host, path, query)
		normal := map[string]bool{}
		list, n := readings(path)
		for _, r := range list[:n] {
			one := normalisePath(path, r)
			if !strings.ContainsAny(one, "%;\\?#\x00 ") { // it has one reading
				maps.Copy(normal, taken(s, "POST", host, one, query))
			}
		}
		if !within(normal, is) {
			t.Errorf("%q matches %v, and its normal forms %v", path, is, normal)
		}
		d := &dice{bytes: rolls}
		// What ends a path as it is, or is refused in one, has no respelling that
		// every server reads alike.
		if other := d.respelt(path); !strings.ContainsAny(path, "%;\\\x00?#") {
			if got := taken(s, "POST", host, other, query); !within(is, got) {
				t.Errorf("%q matches %v, and as %q %v", path, is, other, got)
			}
		}
	})
}

// The same fields are read the same however a body writes them, and as JSON,
// whatever it is wrapped in.
func FuzzBodySpelling(f *testing.F) {
	f.Add("chat_id", "1", "text", "hello & 100% <b>;\r\n", []byte{0, 1, 2, 3, 4, 5, 6, 7})
	f.Add("a", "", "a", "{\"x\":1}", []byte{3, 0, 2})
	f.Add("ü", "\u2028", "b=", "=&+", []byte{9, 8, 7, 6, 5, 4, 3, 2, 1})
	f.Add("--x", "\x00", " c ", "--x\r\n--x--", []byte{1, 1, 1, 5, 2})
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string, rolls []byte) {
		d := &dice{bytes: rolls}
		pairs := fields{{name1, value1, always}, {name2, value2, always}}
		for _, p := range pairs {
			if p.name == "" || !utf8.ValidString(p.name) || !utf8.ValidString(p.value) {
				return
			}
		}
		read := func(what, kind string, body []byte) content {
			h := http.Header{}
			if kind != "" {
				h.Set("Content-Type", kind)
			}
			for range d.roll(3) {
				body = d.wrapped(t, h, body)
			}
			c, err := readBody(h, body, 1<<20)
			if err != nil {
				t.Fatalf("%s of %q: %v\n%v %q", what, pairs, err, h, body)
			}
			return c
		}
		same := func(what string, got fields) {
			if !slices.Equal(got, pairs) {
				t.Errorf("%s: %q, want %q", what, got, pairs)
			}
		}
		form := read("a form", "application/x-www-form-urlencoded", d.form(pairs))
		same("a form", form.fields)
		if strings.ContainsFunc(name1+name2, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune("\"'\\", r) }) || strings.TrimSpace(name1) == "" || strings.TrimSpace(name2) == "" {
			return // no name that every server reads alike
		}
		kind, body, ok := d.multipart(t, pairs)
		if ok {
			parts := read("a multipart", kind, body)
			same("a multipart", parts.fields)
		}
		if name1 == name2 {
			return
		}
		kinds := [...]string{"", "application/json", "text/plain;charset=UTF-8", "application/vnd.x+json"}
		json := read("JSON", kinds[d.roll(len(kinds))], d.json(pairs))
		tree, isMap := json.json.(map[string]any)
		if !isMap || len(tree) != 2 || tree[name1] != value1 || tree[name2] != value2 {
			t.Errorf("JSON: %q, want %q", json.json, pairs)
		}
	})
}

// form writes a form in which any byte may be escaped.
func (d *dice) form(pairs fields) []byte {
	escape := func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			switch c := s[i]; {
			case c == ' ' && d.roll(2) == 0:
				b.WriteByte('+')
			case strings.IndexByte("&=;+%\r\n{[- ", c) >= 0, c < ' ', c > '~', d.roll(4) == 0:
				b.WriteString(fmt.Sprintf([...]string{"%%%02x", "%%%02X"}[d.roll(2)], c))
			default:
				b.WriteByte(c)
			}
		}
		return b.String()
	}
	var b strings.Builder
	for i, p := range pairs {
		b.WriteString(strings.Repeat("&", i+d.roll(2)) + escape(p.name) + "=" + escape(p.value))
	}
	return []byte(b.String())
}

// multipart writes parts, with a boundary that no value has.
func (d *dice) multipart(t *testing.T, pairs fields) (kind string, body []byte, ok bool) {
	boundary := [...]string{"b", "----WebKitFormBoundaryX", "a b'(c)+_,-./:=?d", strings.Repeat("9", 70)}[d.roll(4)]
	var b bytes.Buffer
	if d.roll(3) == 0 {
		b.WriteString("a preamble\r\n")
	}
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary(boundary); err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		if strings.Contains("\n"+p.value, "\n--"+boundary) || strings.Contains(p.name, boundary) {
			return "", nil, false
		}
		head := "form-data; name=\"" + p.name + "\""
		if d.roll(3) == 0 {
			head += "; filename=\"x.txt\""
		}
		part, err := w.CreatePart(map[string][]string{"Content-Disposition": {head}})
		if err != nil {
			t.Fatal(err)
		}
		part.Write([]byte(p.value))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if d.roll(3) == 0 {
		b.WriteString("an epilogue")
	}
	return w.FormDataContentType(), b.Bytes(), true
}

// json writes an object in which any character may be escaped, in UTF-8 or
// UTF-16.
func (d *dice) json(pairs fields) []byte {
	quote := func(s string) string {
		var b strings.Builder
		for _, r := range s {
			switch {
			case r < ' ', r == '"', r == '\\', r == 0xfffd, d.roll(4) == 0:
				for _, u := range utf16.Encode([]rune{r}) {
					fmt.Fprintf(&b, [...]string{`\u%04x`, `\u%04X`}[d.roll(2)], u)
				}
			default:
				b.WriteRune(r)
			}
		}
		return `"` + b.String() + `"`
	}
	space := [...]string{"", " ", "\n\t"}[d.roll(3)]
	text := space + "{" + quote(pairs[0].name) + space + ":" + quote(pairs[0].value) + "," + space + quote(pairs[1].name) + ":" + quote(pairs[1].value) + "}" + space
	var order binary.AppendByteOrder = binary.LittleEndian
	switch d.roll(6) {
	case 0:
		return append([]byte("\xef\xbb\xbf"), text...)
	case 1:
		order = binary.BigEndian
	case 2:
	default:
		return []byte(text)
	}
	out := order.AppendUint16(nil, 0xfeff)
	for _, u := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

// wrapped is a body in one more encoding.
func (d *dice) wrapped(t *testing.T, h http.Header, body []byte) []byte {
	var b bytes.Buffer
	var w interface {
		Write([]byte) (int, error)
		Close() error
	}
	var name string
	switch d.roll(4) {
	case 0:
		name, w = "gzip", gzip.NewWriter(&b)
	case 1:
		name, w = "deflate", zlib.NewWriter(&b)
	case 2:
		name, w = "BR", brotli.NewWriterLevel(&b, 1)
	default:
		e, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<10))
		if err != nil {
			t.Fatal(err)
		}
		name, w = " zstd", e
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	h.Add("Content-Encoding", name)
	return b.Bytes()
}

// What a body grows to is bounded, in all and in proportion.
func TestWhatABodyGrowsToIsBounded(t *testing.T) {
	gz := func(n int) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write([]byte(`{"a":"`))
		w.Write(bytes.Repeat([]byte("x"), n))
		w.Write([]byte(`"}`))
		w.Close()
		return b.Bytes()
	}
	for _, tc := range []struct {
		grows int
		most  int64
		want  string
	}{
		{1 << 10, 1 << 20, ""},
		{1 << 19, 0, ""},
		{1 << 20, 1 << 18, "read request: it is too large when decoded"},
		{2 << 20, 64 << 20, "read request: it grows too much when decoded"},
		{63 << 20, 64 << 20, "read request: it grows too much when decoded"},
	} {
		_, err := readBody(http.Header{"Content-Encoding": {"gzip"}}, gz(tc.grows), tc.most)
		if is := fmt.Sprint(err); is != tc.want && (tc.want != "" || err != nil) {
			t.Errorf("%s bytes of which %d may be: %v", strconv.Itoa(tc.grows), tc.most, err)
		}
	}
}
