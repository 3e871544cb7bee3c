package rules

import (
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Single values of YAML: texts, numbers, times, and whatever JSON can say.

// scalar is the text of a scalar that is neither empty nor a truth value.
func (d *decoder) scalar(n *node) (string, bool) {
	n = aliased(n)
	if n.Kind != scalarNode {
		d.wrong(n, "text")
		return "", false
	}
	switch n.Tag {
	case "!!null":
		d.bad(n, "a value is missing here")
		return "", false
	case "!!bool":
		d.bad(n, "this must be text, not %s\nput it in quotes if the word is meant", n.Value)
		return "", false
	case "!!str", "!!int", "!!float", "!!timestamp", "!!merge":
		return d.fill(n.Value), true
	}
	d.bad(n, "the tag %s means nothing here", n.Tag)
	return "", false
}

// fill puts the values of the file's parameters in.
func (d *decoder) fill(s string) string {
	if len(d.params) == 0 || !strings.Contains(s, "${") {
		return s
	}
	for name, value := range d.params {
		s = strings.ReplaceAll(s, "${"+name+"}", value)
	}
	return s
}

// integer is a whole number in plain decimals: 0x10, 010 and 1_000 mean
// different things to different YAML readers.
func (d *decoder) integer(n *node) (int64, bool) {
	n = aliased(n)
	s := d.fill(n.Value)
	digits := strings.TrimPrefix(s, "-")
	number := n.Kind == scalarNode && (n.Tag == "!!int" || s != n.Value) // a parameter is text, whatever stands for it
	if !number || digits == "" || strings.Trim(digits, "0123456789") != "" || len(digits) > 1 && digits[0] == '0' {
		d.wrong(n, "a whole number, such as 100")
		return 0, false
	}
	i, err := strconv.ParseInt(s, 10, 64)
	if err != nil || i > mostUnits || i < -mostUnits {
		d.bad(n, "%s is too large", s)
		return 0, false
	}
	return i, true
}

// mostUnits bounds every number, so that sums of them cannot overflow, nor
// lose their last digit in a ledger that counts in doubles (Redis's Lua).
const mostUnits = 1 << 50

func (d *decoder) number(n *node) (float64, bool) {
	f, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != scalarNode || n.Tag != "!!int" && n.Tag != "!!float" || err != nil || f != f || f > mostUnits || f < -mostUnits {
		d.wrong(n, "a number")
		return 0, false
	}
	return f, true
}

func (d *decoder) instant(n *node, v reflect.Value) {
	if s, ok := d.scalar(n); ok {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			d.bad(n, "%q is not a time\nwrite it as 2026-03-28T09:00:00+01:00", s)
			return
		}
		v.Set(reflect.ValueOf(t))
	}
}

// generic reads a value of any shape: what JSON can say.
func (d *decoder) generic(outer *node) any {
	n, ok := d.enter(outer)
	defer d.leave(outer)
	if !ok {
		return nil
	}
	switch n.Kind {
	case mappingNode:
		m := map[string]any{}
		d.pairs(n, func(key string, _, value *node) { m[key] = d.generic(value) })
		return m
	case sequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = d.generic(item)
		}
		return list
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if i, ok := d.integer(n); ok {
			return i
		}
		return nil
	case "!!float":
		if f, ok := d.number(n); ok {
			return f
		}
		return nil
	}
	return d.fill(n.Value)
}
