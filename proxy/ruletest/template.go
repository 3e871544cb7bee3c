package ruletest

import (
	"strconv"
	"strings"
)

// number stands for the number of the send in a test's texts.
const number = "${n}"

// A template is a text with places for the number.
type template struct{ parts []string }

func newTemplate(s string) template { return template{strings.Split(s, number)} }

// fixed reports whether the text is always the same.
func (t template) fixed() bool { return len(t.parts) == 1 }

func (t template) fill(n int) []byte {
	var digits [20]byte
	d := strconv.AppendInt(digits[:0], int64(n), 10)
	size := (len(t.parts) - 1) * len(d)
	for _, p := range t.parts {
		size += len(p)
	}
	b := make([]byte, 0, size)
	for i, p := range t.parts {
		if i > 0 {
			b = append(b, d...)
		}
		b = append(b, p...)
	}
	return b
}
