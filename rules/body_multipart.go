package rules

// Forms in parts, as browsers and SDKs send files beside fields, and rest.li
// its tunnelled queries beside their entity.

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
)

// mostParts bounds the parts of a body that are looked at.
const mostParts = 1000

// readMultipart reads all parts. A part with a name is a field. A part
// without one is the entity (JSON) or its query (a form), as rest.li sends
// them in multipart/mixed. The error is an *UnreadableError.
func readMultipart(b []byte, boundary string) (content, error) {
	c := content{hasForm: true}
	r := multipart.NewReader(bytes.NewReader(b), boundary)
	for range mostParts {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			if len(c.fields) == 0 && !c.hasJSON {
				return content{}, unreadable("it is called multipart and has no parts")
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
		disposition := part.Header.Values("Content-Disposition")
		name := part.FormName()
		switch {
		case len(disposition) > 1, name == "" && strings.Contains(strings.Join(disposition, ""), "name"):
			return content{}, unreadable("a part has more than one name, or one that cannot be read")
		case name != "":
			c.fields = append(c.fields, field{name: name, value: string(value)})
			continue
		}
		switch kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); {
		case kind == "application/x-www-form-urlencoded":
			f, err := readForm(string(value))
			if c.fields = append(c.fields, f...); err != nil || len(c.fields) > mostFields {
				return content{}, errFields
			}
		case isJSONType(kind):
			if c.hasJSON {
				return content{}, unreadable("it has two JSON parts")
			}
			if c.json, err = readJSON(value); err != nil {
				return content{}, err
			}
			c.hasJSON = true
		}
	}
	return content{}, unreadable("it has too many parts")
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
