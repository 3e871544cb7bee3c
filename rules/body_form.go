package rules

// Forms and queries: names and values, where servers differ in what a
// semicolon means.

import "strings"

// mostFields bounds the fields of a form or a query.
const mostFields = 20000

var errFields = unreadable("it has more fields than can be looked at")

// fields are the named values of a form or a query, in order.
type fields []field

type field struct {
	name, value string
	in          splitting
}

// splitting is a way to take a form apart. HTML 4.01 (B.2.2) wanted servers
// to take a semicolon for an ampersand, and some do; WHATWG does not. Each
// way is read, and what is a message in one of them is one.
type splitting uint8

const (
	always       splitting = iota // a field in both
	atAmpersands                  // a semicolon belongs to the value
	atSemicolons                  // a semicolon ends it
)

// all are the values of a name in every reading.
func (f fields) all(name string) []string {
	var out []string
	for i := range f {
		if f[i].name == name {
			out = append(out, f[i].value)
		}
	}
	return out
}

// split reports whether there are two readings.
func (f fields) split() bool {
	for i := range f {
		if f[i].in != always {
			return true
		}
	}
	return false
}

// repeats reports whether a name stands twice.
func (f fields) repeats() bool {
	seen := make(map[string]bool, len(f))
	for i := range f {
		if seen[f[i].name] {
			return true
		}
		seen[f[i].name] = true
	}
	return false
}

// values is one value of each name in one reading: the first, or the last.
func (f fields) values(in splitting, last bool) map[string]string {
	m := make(map[string]string, len(f))
	for i := range f {
		one := &f[i]
		if !last {
			one = &f[len(f)-1-i]
		}
		if one.in == always || one.in == in {
			m[one.name] = one.value
		}
	}
	return m
}

// eachField calls yield for each name=value, still escaped, until it returns
// false.
func eachField(s string, yield func(name, value string, in splitting) bool) {
	for len(s) > 0 {
		part, rest, _ := strings.Cut(s, "&")
		s = rest
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		if strings.IndexByte(part, ';') < 0 {
			if !yield(name, value, always) {
				return
			}
			continue
		}
		if !yield(name, value, atAmpersands) {
			return
		}
		for len(part) > 0 {
			one, rest, _ := strings.Cut(part, ";")
			part = rest
			name, value, _ := strings.Cut(one, "=")
			if one != "" && !yield(name, value, atSemicolons) {
				return
			}
		}
	}
}

// tooLong reports whether a query might have more fields than readForm takes.
func tooLong(query string) bool {
	return 2*strings.Count(query, "&")+strings.Count(query, ";")+2 > mostFields
}

// readForm splits name=value pairs. A percent sign that begins no escape
// stands for itself, as servers read it. The error is an *UnreadableError.
func readForm(s string) (fields, error) {
	s = strings.TrimRight(s, "\r\n")
	n := 0
	eachField(s, func(_, _ string, _ splitting) bool { n++; return n <= mostFields })
	switch {
	case n == 0:
		return nil, nil
	case n > mostFields:
		return nil, errFields
	}
	out := make(fields, 0, n)
	eachField(s, func(name, value string, in splitting) bool {
		out = append(out, field{unescapeForm(name), unescapeForm(value), in})
		return true
	})
	return out, nil
}

func unescapeForm(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			out = append(out, ' ')
		case s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}
