package rules

// Undoing what a body is wrapped in: Content-Encoding, and text that is not
// UTF-8.

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const (
	// mostDecoded bounds what a compressed body may grow to where the call says
	// nothing, and the windows of the decoders.
	mostDecoded = 8 << 20
	// mostSwell is how many times as long a body may become in one step, once
	// it is longer than littleDecoded. JSON shrinks to a tenth, a batch that
	// says one thing a thousand times to a hundredth; a bomb of gzip to a
	// thousandth, one of brotli or zstd to less.
	mostSwell     = 200
	littleDecoded = 1 << 20
	// mostEncodings bounds how often a body may be wrapped.
	mostEncodings = 3
)

// decoded undoes the Content-Encodings of a body, the last one first, to at most
// so many bytes. The error is an *UnreadableError.
func decoded(h http.Header, b []byte, most int64) ([]byte, error) {
	encodings := h["Content-Encoding"]
	if len(encodings) == 0 || len(b) == 0 {
		return b, nil
	}
	list := strings.Split(strings.ToLower(strings.Join(encodings, ",")), ",")
	if len(list) > mostEncodings {
		return nil, unreadable("it is encoded too many times")
	}
	if most <= 0 {
		most = mostDecoded
	}
	for i := len(list) - 1; i >= 0; i-- {
		name := strings.TrimSpace(list[i])
		if name == "" || name == "identity" {
			continue
		}
		r, known, err := unwrapper(name, b)
		if !known {
			return nil, unreadable("its encoding is not known")
		}
		growth := max(littleDecoded, mostSwell*int64(len(b)))
		if err == nil {
			b, err = io.ReadAll(io.LimitReader(r, min(most, growth)+1))
			closeReader(r)
		}
		switch {
		case err != nil:
			return nil, unreadable("it is not encoded as it says")
		case int64(len(b)) > most:
			return nil, unreadable("it is too large when decoded")
		case int64(len(b)) > growth:
			return nil, unreadable("it grows too much when decoded")
		}
	}
	return b, nil
}

func unwrapper(name string, b []byte) (r io.Reader, known bool, err error) {
	in := bytes.NewReader(b)
	switch name {
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(in)
	case "deflate":
		// zlib says the standard; some send the bare stream.
		if r, err = zlib.NewReader(in); err != nil {
			r, err = flate.NewReader(bytes.NewReader(b)), nil
		}
	case "br":
		r = brotli.NewReader(in)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(mostDecoded), zstd.WithDecoderMaxWindow(mostDecoded)); err == nil {
			r = d.IOReadCloser()
		}
	default:
		return nil, false, nil
	}
	return r, true, err
}

func closeReader(r io.Reader) {
	if c, ok := r.(io.Closer); ok {
		c.Close()
	}
}

// inUTF8 is toUTF8 for a text of which its type says how it is written. Where
// that is in none of the ways that are told apart here, what looks like a name
// may be another.
func inUTF8(b []byte, charset string) ([]byte, error) {
	switch charset = strings.ToLower(strings.Trim(charset, " '\"")); charset {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252":
		return toUTF8(b)
	case "utf-16", "utf-16le", "utf-16be", "utf16":
		if len(b) == 0 {
			return b, nil
		}
		out, err := toUTF8(b)
		if err == nil && len(out) >= len(b)-3 { // nothing was undone but a mark
			return nil, unreadable("it is not written in the charset that it names")
		}
		return out, err
	}
	return nil, unreadable("its charset is not known")
}

// toUTF8 drops a byte order mark and turns UTF-16, which JSON parsers of
// .NET and Java take, into UTF-8. Two of the first four bytes of UTF-16 JSON
// are zero; UTF-32 and lone surrogates are not read.
func toUTF8(b []byte) ([]byte, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte{0xef, 0xbb, 0xbf}):
		return b[3:], nil
	case bytes.HasPrefix(b, []byte{0xff, 0xfe, 0, 0}), bytes.HasPrefix(b, []byte{0, 0, 0xfe, 0xff}):
		return nil, unreadable("it is UTF-32")
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		order, b = binary.LittleEndian, b[2:]
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		order, b = binary.BigEndian, b[2:]
	case len(b) >= 4 && b[0] != 0 && b[1] == 0 && b[2] != 0 && b[3] == 0:
		order = binary.LittleEndian
	case len(b) >= 4 && b[0] == 0 && b[1] != 0 && b[2] == 0 && b[3] != 0:
		order = binary.BigEndian
	default:
		return b, nil
	}
	if len(b)%2 != 0 {
		return nil, unreadable("it is UTF-16 and ends within a character")
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	runes := utf16.Decode(units)
	for _, r := range runes {
		if r == 0xfffd {
			return nil, unreadable("it is not valid UTF-16")
		}
	}
	return []byte(string(runes)), nil
}
