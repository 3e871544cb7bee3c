package rules

// What a Content-Type says of a body.

import (
	"mime"
	"strings"
)

// mediaType is a Content-Type as it is read.
type mediaType struct {
	kind              string // in lower case
	charset, boundary string
	form              bool // it may be taken for a form's, however the rest reads
	malformed         bool
}

// readMediaType reads the value of a Content-Type.
func readMediaType(is string) mediaType {
	if t, ok := plainTypes[is]; ok {
		return t
	}
	return parseMediaType(is)
}

// plainTypes are those under which nearly all messages come, as clients spell
// them, read once.
var plainTypes = readTypes(
	"", "text/plain",
	"application/json", "application/json; charset=utf-8", "application/json; charset=UTF-8", "application/json;charset=utf-8", "application/json;charset=UTF-8",
	"application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8", "application/x-www-form-urlencoded; charset=UTF-8", "application/x-www-form-urlencoded;charset=UTF-8",
)

func readTypes(list ...string) map[string]mediaType {
	types := make(map[string]mediaType, len(list))
	for _, is := range list {
		types[is] = parseMediaType(is)
	}
	return types
}

func parseMediaType(is string) mediaType {
	lower := strings.ToLower(is)
	kind, params, err := mime.ParseMediaType(is)
	t := mediaType{
		kind: kind, charset: params["charset"], boundary: params["boundary"],
		form: strings.Contains(lower, "x-www-form-urlencoded"),
	}
	if err != nil {
		kind, _, _ = strings.Cut(lower, ";")
		t.kind, t.malformed = strings.TrimSpace(kind), true
	}
	return t
}
