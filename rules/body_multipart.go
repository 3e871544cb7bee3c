package rules

// Forms in parts, as browsers and SDKs send files beside fields, and rest.li
// its tunnelled queries beside their entity.

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"regexp"
	"slices"
	"strings"
)

// mostParts bounds the parts of a body that are looked at.
const mostParts = 1000

// readMultipart reads all parts. A part with a name is a field. A part
// without one is the entity (JSON) or its query (a form), as rest.li sends
// them in multipart/mixed. The error is an *UnreadableError.
func readMultipart(b []byte, boundary string) (content, error) {
	if !plainBoundary(boundary) {
		return content{}, unreadable("its boundary is none that every server reads alike")
	}
	c := content{hasForm: true}
	r := multipart.NewReader(bytes.NewReader(b), boundary)
	for n := range mostParts {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			switch {
			case len(c.fields) == 0 && !c.hasJSON:
				return content{}, unreadable("it is called multipart and has no parts")
			case delimiters(b, boundary) != n+1:
				return content{}, unreadable("its parts can be told apart in more than one way")
			}
			return c, nil
		}
		if err != nil {
			return content{}, unreadable("its parts are cut off or malformed")
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return content{}, unreadable("its parts are cut off or malformed")
		}
		if err := c.part(part, value); err != nil {
			return content{}, err
		}
	}
	return content{}, unreadable("it has too many parts")
}

// part adds one part.
func (c *content) part(part *multipart.Part, value []byte) error {
	for _, name := range [...]string{"Content-Transfer-Encoding", "Content-Encoding"} {
		for _, encoding := range part.Header[name] {
			switch strings.ToLower(strings.TrimSpace(encoding)) {
			case "", "7bit", "8bit", "binary", "identity":
			default: // RFC 7578, 4.7: some undo it, most do not
				return unreadable("a part is encoded in a way that servers differ in undoing")
			}
		}
	}
	disposition, name := part.Header["Content-Disposition"], part.FormName()
	if len(disposition) > 1 || name == "" && strings.Contains(strings.ToLower(strings.Join(disposition, "")), "name") ||
		strings.ContainsAny(name, "\"'\\\x00\r\n") || slices.ContainsFunc(disposition, oddName.MatchString) {
		return unreadable("a part has more than one name, or one that cannot be read for certain")
	}
	if name != "" {
		c.fields = append(c.fields, field{name: name, value: string(value)})
		return nil
	}
	kind, params, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
	if strings.HasPrefix(kind, "multipart/") {
		return unreadable("a part is made of parts")
	}
	if kind == "application/x-www-form-urlencoded" {
		f, err := readForm(string(value))
		if c.fields = append(c.fields, f...); err != nil || len(c.fields) > mostFields {
			return errFields
		}
		return nil
	}
	text, err := inUTF8(value, params["charset"])
	if err != nil && !isJSONType(kind) {
		return nil // a picture, which says nothing
	}
	text = bytes.TrimLeft(text, " \t\r\n")
	switch looks := len(text) > 0 && (text[0] == '{' || text[0] == '['); {
	case err != nil:
		return err
	case !looks && !isJSONType(kind):
		return nil
	case c.hasJSON:
		return unreadable("it has two JSON parts")
	}
	c.json, err = readJSON(text)
	c.hasJSON = err == nil
	return err
}

// oddName finds a name that is written in ways of which servers read one or
// the other: name*=, or with a backslash.
var oddName = regexp.MustCompile(`(?i)(?:^|[;\s])name\s*(?:\*|=\s*"[^"]*\\)`)

// plainBoundary reports whether a boundary is one of RFC 2046, 5.1.1.
func plainBoundary(s string) bool {
	if s == "" || len(s) > 70 || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("'()+_,-./:=? ", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// delimiters counts the lines that begin as a delimiter does, those in front of
// the first part and behind the last among them.
func delimiters(b []byte, boundary string) int {
	n := bytes.Count(b, []byte("\n--"+boundary))
	if bytes.HasPrefix(b, []byte("--"+boundary)) {
		n++
	}
	return n
}

// sniffBoundary finds the boundary of a multipart body whose type does not
// say: a first line -- and something, then a part's header. "" if it is none.
func sniffBoundary(b []byte) string {
	line, rest, ok := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if !ok || len(line) < 3 || len(line) > 72 || len(rest) < 8 || !bytes.EqualFold(rest[:8], []byte("content-")) {
		return ""
	}
	return string(line[2:])
}
