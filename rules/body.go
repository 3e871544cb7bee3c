package rules

// What a request's body says, found by looking at it. The Content-Type is a
// hint and never believed alone: clients send JSON as text/plain or under no
// type at all. What a server might read in two ways is offered in both, or
// not read at all.

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// An UnreadableError says why a request cannot be read for certain, where it
// could be a message. Such a request is refused.
type UnreadableError struct{ Reason string }

func (e *UnreadableError) Error() string { return "read request: " + e.Reason }

func unreadable(reason string) error { return &UnreadableError{reason} }

// content is a body as read. More than one of its views may be filled in.
type content struct {
	json   any // where hasJSON
	fields fields
	// hasJSON tells whether the body, or a part of it that carries the
	// entity, is JSON.
	hasJSON, hasForm bool
	empty            bool // there is none
	// documents are those of GraphQL that were read, by their text.
	documents map[string]*ast.QueryDocument
}

// readBody reads a body that decodes to at most so many bytes; 0 is 8 MiB. The
// error is an *UnreadableError.
func readBody(h http.Header, b []byte, most int64) (content, error) {
	b, err := decoded(h, b, most)
	if err != nil {
		return content{}, err
	}
	is := ""
	switch lines := h["Content-Type"]; len(lines) {
	case 0:
	case 1:
		is = lines[0]
	default:
		return content{}, unreadable("it has more than one content type")
	}
	t := readMediaType(is)
	if t.malformed && strings.Contains(strings.ToLower(is), "multipart/") {
		return content{}, unreadable("its content type is malformed")
	}
	if b, err = inUTF8(b, t.charset); err != nil {
		return content{}, err
	}
	trimmed := bytes.TrimLeft(b, " \t\r\n")
	if len(trimmed) == 0 {
		return content{empty: true}, nil
	}
	if strings.HasPrefix(t.kind, "multipart/") && t.boundary != "" {
		return readMultipart(b, t.boundary)
	}
	switch {
	case trimmed[0] == '{' || trimmed[0] == '[':
		c := content{hasJSON: true}
		if c.json, err = readJSON(trimmed); err != nil {
			return content{}, err
		}
		return c, c.alsoForm(b, t.form && bytes.IndexByte(b, '=') >= 0)
	case bytes.HasPrefix(trimmed, []byte("--")):
		if boundary := sniffBoundary(trimmed); boundary != "" {
			c, err := readMultipart(trimmed, boundary)
			if err != nil {
				return content{}, err
			}
			return c, c.alsoForm(b, t.form)
		}
	}
	switch {
	case t.form, looksLikeForm(b):
		f, err := readForm(string(b))
		return content{fields: f, hasForm: true}, err
	case strings.HasPrefix(t.kind, "multipart/"):
		return content{}, unreadable("it is called multipart and has no boundary")
	case isJSONType(t.kind):
		return content{}, unreadable("it is called JSON and is neither an object nor an array")
	}
	return content{}, unreadable("it is neither JSON nor a form")
}

// alsoForm adds what a body says as a form, where it may be read as one too.
func (c *content) alsoForm(b []byte, is bool) error {
	if !is {
		return nil
	}
	f, err := readForm(string(b))
	c.fields, c.hasForm = append(c.fields, f...), true
	return err
}

func isJSONType(kind string) bool {
	return kind == "application/json" || strings.HasSuffix(kind, "+json") || kind == "text/json"
}

// looksLikeForm reports whether a body of no known type reads as
// name=value&name=value: printable, with no white space before the end.
func looksLikeForm(b []byte) bool {
	b = bytes.TrimRight(b, "\r\n")
	if i := bytes.IndexByte(b, '='); i <= 0 || bytes.IndexByte(b[:i], '<') >= 0 {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
