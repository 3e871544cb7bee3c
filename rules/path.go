package rules

// Paths: every spelling that a server might take for the same path gives the
// same normal form. The normal form is only for matching; the request goes
// out as it came.

import "strings"

// A reading is one way in which servers are known to read what the standard
// leaves open. Where the readings of a path differ, each of them is matched:
// what could be a send is one.
type reading uint8

const (
	// asIs keeps an encoded slash and a ;parameter inside their segment.
	asIs reading = 0
	// slashes takes %2f, %5c and a backslash for a separator.
	slashes reading = 1 << 0
	// bare drops ;parameters from every segment, as Java servers do.
	bare reading = 1 << 1
	// cut ends the path at an encoded NUL, question mark or number sign, and
	// drops white space from the end of every segment: C strings, URLs that are
	// parsed a second time, and expressions whose $ is before a last line break.
	cut reading = 1 << 2
)

// readings lists the ways to read an escaped path that may differ.
func readings(escaped string) (list [8]reading, n int) {
	list[0], n = asIs, 1
	if !strings.ContainsAny(escaped, `%;\`) {
		return list, n
	}
	plain := decodeAll(escaped)
	var differ reading
	for i := range len(plain) {
		switch c := plain[i]; {
		case c == '\\', isEncodedSlash(plain[i:]):
			differ |= slashes
		case c == ';':
			differ |= bare
		case c <= ' ', c == '?', c == '#':
			differ |= cut
		}
	}
	for r := asIs + 1; r <= differ; r++ {
		if r&^differ == 0 {
			list[n] = r
			n++
		}
	}
	return list, n
}

// normalisePath gives the normal form of an escaped path in one reading:
// percent-encoding undone (again and again, until nothing is left to undo),
// no empty, "." or ".." segments, no slash at the end, one at the start. It
// is idempotent. A path already in normal form is returned without a copy.
func normalisePath(escaped string, r reading) string {
	if r == asIs && plainPath(escaped) {
		return escaped
	}
	plain := decodeAll(escaped)
	if i := strings.IndexAny(plain, "\x00?#"); r&cut != 0 && i >= 0 {
		plain = plain[:i]
	}
	var ends []int // where each segment in out ends
	buf := make([]byte, 0, len(plain)+1)
	segment := func(s string) {
		if r&bare != 0 {
			if i := strings.IndexByte(s, ';'); i >= 0 {
				s = s[:i]
			}
		}
		if r&cut != 0 {
			s = strings.TrimRightFunc(s, func(c rune) bool { return c <= ' ' })
		}
		switch s {
		case "", ".":
		case "..":
			if n := len(ends); n > 0 {
				ends = ends[:n-1]
				end := 0
				if n > 1 {
					end = ends[n-2]
				}
				buf = buf[:end]
			}
		default:
			buf = append(append(buf, '/'), s...)
			ends = append(ends, len(buf))
		}
	}
	start := 0
	for i := 0; i < len(plain); i++ {
		width := 0
		switch {
		case plain[i] == '/':
			width = 1
		case r&slashes != 0 && plain[i] == '\\':
			width = 1
		case r&slashes != 0 && isEncodedSlash(plain[i:]):
			width = 3
		}
		if width > 0 {
			segment(plain[start:i])
			i += width - 1
			start = i + 1
		}
	}
	segment(plain[start:])
	if len(buf) == 0 {
		return "/"
	}
	return string(buf)
}

// plainPath reports whether a path is its own normal form as it is.
func plainPath(p string) bool {
	if p == "" || p[0] != '/' {
		return false
	}
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '%':
			return false
		case '/':
			switch {
			case i+1 == len(p):
				return len(p) == 1
			case p[i+1] == '/':
				return false
			case p[i+1] == '.':
				if rest, _, _ := strings.Cut(p[i+1:], "/"); rest == "." || rest == ".." {
					return false
				}
			}
		}
	}
	return true
}

// decodeAll undoes percent-encoding in one pass until none is left, with two
// exceptions that stay encoded as %2f and %5c, because a slash or backslash
// that was encoded is not one that was not. ASCII in the longer forms that UTF-8
// forbids, and old decoders take (RFC 3629, 10), is ASCII.
func decodeAll(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		out = append(out, s[i])
		for {
			n := len(out)
			if n >= 3 && out[n-3] == '%' && unhex(out[n-2]) >= 0 && unhex(out[n-1]) >= 0 {
				c := byte(unhex(out[n-2])<<4 | unhex(out[n-1]))
				if c == '/' || c == '\\' {
					out[n-1] |= 0x20 // lower case: %2f, %5c
					break
				}
				out = append(out[:n-3], c)
				continue
			}
			c, width := overlong(out)
			if width == 0 {
				break
			}
			switch out = out[:n-width]; c {
			case '/':
				out = append(out, "%2f"...)
			case '\\':
				out = append(out, "%5c"...)
			default:
				out = append(out, c)
			}
		}
	}
	return string(out)
}

// overlong is the ASCII character that a text ends with in two or three bytes,
// and how many they are; 0 if there is none.
func overlong(b []byte) (c byte, width int) {
	n := len(b)
	if n < 2 || b[n-1]&0xc0 != 0x80 {
		return 0, 0
	}
	last := b[n-1] & 0x3f
	switch {
	case b[n-2]&0xfe == 0xc0:
		return b[n-2]&1<<6 | last, 2
	case n >= 3 && b[n-3] == 0xe0 && b[n-2]&0xfe == 0x80:
		return b[n-2]&1<<6 | last, 3
	}
	return 0, 0
}

func isEncodedSlash(s string) bool {
	return len(s) >= 3 && (s[:3] == "%2f" || s[:3] == "%5c")
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
