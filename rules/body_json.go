package rules

// JSON as strict as its standard: one value, no name twice in an object, all
// of it UTF-8. What a lenient server might read otherwise is not read.

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// deepestJSON is how far JSON may be nested. Messages need about ten levels.
const deepestJSON = 200

// mostValues bounds the values of one JSON text. A batch of 1,000 mails with a
// hundred values each has half as many; eight megabytes of [],[],… would be
// three million, and take forty times their size.
const mostValues = 200_000

// readJSON gives objects as map[string]any, arrays as []any, integers as
// int64 and other numbers as float64, or the text of a number that fits
// neither. The error is an *UnreadableError.
func readJSON(b []byte) (any, error) { return readJSONMembers(b, nil) }

// jsonReader is a decoder and the text that it reads. They are reused: a new one
// allocates as much as a small message. Those that nobody uses have no text.
type jsonReader struct {
	jsontext.Decoder
	text bytes.Buffer
}

var jsonReaders = sync.Pool{New: func() any {
	r := new(jsonReader)
	r.Reset(&r.text)
	return r
}}

func readerOf(b []byte) *jsonReader {
	r := jsonReaders.Get().(*jsonReader)
	r.text = *bytes.NewBuffer(b)
	return r
}

func (r *jsonReader) done() {
	r.text = bytes.Buffer{}
	r.Reset(&r.text)
	jsonReaders.Put(r)
}

// readJSONMembers is readJSON where only these members of the outermost object
// are wanted: it is picked, and all the others are checked and left out. nil
// wants all.
func readJSONMembers(b []byte, members []string) (any, error) {
	left := mostValues
	return readJSONWithin(b, members, &left)
}

// readJSONWithin is readJSONMembers with as many values as are left, and takes
// those that it reads off.
func readJSONWithin(b []byte, members []string, left *int) (any, error) {
	r := readerOf(b)
	defer r.done()
	v, err := readValue(&r.Decoder, 0, members, left)
	if err != nil {
		return nil, jsonError(err)
	}
	switch _, err := r.ReadToken(); {
	case err == nil:
		return nil, unreadable("something follows the JSON")
	case !errors.Is(err, io.EOF):
		return nil, jsonError(err)
	}
	return v, nil
}

var (
	errDeep = errors.New("too deep")
	errMany = errors.New("too many values")
)

func jsonError(err error) error {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return unreadable("a JSON object has a name twice")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return unreadable("the JSON ends too early")
	case errors.Is(err, errDeep):
		return unreadable("the JSON is nested too deep")
	case errors.Is(err, errMany):
		return unreadable("the JSON has too many values")
	}
	return unreadable("it is not valid JSON")
}

func readValue(d *jsontext.Decoder, depth int, members []string, left *int) (any, error) {
	if depth > deepestJSON {
		return nil, errDeep
	}
	if *left--; *left < 0 {
		return nil, errMany
	}
	tok, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch tok.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return tok.Bool(), nil
	case '"':
		return tok.String(), nil
	case '0':
		return number(tok.String()), nil
	case '{':
		if members != nil {
			return pick(d, depth, members, left)
		}
		m := map[string]any{}
		for {
			name, err := d.ReadToken()
			if err != nil {
				return nil, err
			}
			if name.Kind() == '}' {
				return m, nil
			}
			key := name.String()
			if m[key], err = readValue(d, depth+1, nil, left); err != nil {
				return nil, err
			}
		}
	default: // '['
		list := []any{}
		for d.PeekKind() != ']' {
			v, err := readValue(d, depth+1, nil, left)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.ReadToken()
		return list, err
	}
}

// picked are the members of an object that were wanted: too few for a map.
type picked []member

type member struct {
	name  string
	value any
}

// pick reads the rest of an object of which only these members are wanted.
func pick(d *jsontext.Decoder, depth int, members []string, left *int) (any, error) {
	out := make(picked, 0, 2)
	for {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		if name.Kind() == '}' {
			return out, nil
		}
		i := slices.Index(members, name.String())
		if i < 0 {
			if err := d.SkipValue(); err != nil {
				return nil, err
			}
			continue
		}
		v, err := readValue(d, depth+1, nil, left)
		if err != nil {
			return nil, err
		}
		out = append(out, member{members[i], v})
	}
}

// number keeps an integer exact: chat and user ids do not fit a float64.
func number(s string) any {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil:
		return s
	case f > -1<<53 && f < 1<<53 && f == float64(int64(f)):
		return int64(f) // 1e3 and 1000.0 are 1000
	case !strings.ContainsAny(s, ".eE"):
		return s // an integer beyond int64
	}
	return f
}

// scalar is a JSON value as text: null, objects and arrays have none.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
