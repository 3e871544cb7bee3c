package rules

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// From YAML to the structs of model.go, strictly: every key is known and
// stands once, every value has its type, and whatever is wrong is noted with
// its place while the rest is read on. The structs' tags are the grammar.

// node is one value of a YAML file.
type node = yaml.Node

// decodable is a type with a notation of its own.
type decodable interface{ decode(d *decoder, n *node) }

// spoilable is a struct that is not judged further if part of it could not be
// read: what it seems to lack may be what was misspelled.
type spoilable interface{ spoil() }

// placed is a struct that remembers where it stood.
type placed interface{ at(Pos) }

const (
	// biggest is the largest file that is read. Ten thousand limits take
	// about 2 MB.
	biggest = 16 << 20
	// deepest is how far values may be nested.
	deepest = 64
	// mostAliased is how many values all aliases of a file may stand for
	// together: nine lines of YAML can ask for a billion.
	mostAliased = 100_000
)

type decoder struct {
	r       *reports
	file    string
	params  map[string]string
	depth   int
	aliases int // how many aliases we are inside of
	aliased int // values read there
	wrongs  int // errors so far
	grammar map[reflect.Type][]keyField
}

// decode reads one file into out, a pointer to a struct; it reports whether
// the file was YAML at all.
func decode(r *reports, name string, text []byte, params map[string]string, out any) bool {
	r.source(name, text)
	d := &decoder{r: r, file: name, params: params, grammar: map[reflect.Type][]keyField{}}
	root, ok := d.parse(text)
	if !ok {
		return false
	}
	d.value(root, reflect.ValueOf(out).Elem(), "")
	return true
}

// parse makes nodes of the text; the YAML library's own words are kept.
func (d *decoder) parse(text []byte) (*node, bool) {
	whole := Pos{File: d.file}
	if len(text) > biggest {
		d.r.at(whole, "the file is larger than %d MiB", biggest>>20)
		return nil, false
	}
	if !utf8.Valid(text) {
		line := 1
		for rest := text; len(rest) > 0; {
			c, n := utf8.DecodeRune(rest)
			if c == utf8.RuneError && n == 1 {
				break
			}
			if c == '\n' {
				line++
			}
			rest = rest[n:]
		}
		d.r.at(Pos{d.file, line, 1}, "the file is not UTF-8")
		return nil, false
	}
	var doc node
	if err := yaml.Load(text, &doc); err != nil {
		if len(strings.TrimSpace(string(text))) == 0 || doc.Kind == 0 && strings.Contains(err.Error(), "no documents") {
			d.r.at(whole, "the file is empty\nit needs at least: version: 1")
			return nil, false
		}
		var broken *yaml.LoadError
		if errors.As(err, &broken) && broken.Mark.Line > 0 {
			p := Pos{d.file, broken.Mark.Line, broken.Mark.Column}
			hint := ""
			if broken.ContextMsg != "" && broken.ContextMark.Line > 0 {
				hint = fmt.Sprintf("%s that begins in line %d", broken.ContextMsg, broken.ContextMark.Line)
			}
			if strings.Contains(broken.Message, "cannot start any token") && strings.Contains(d.r.lines[d.file][p.Line-1], "\t") {
				hint = "indent with spaces: YAML knows no tabs"
			}
			d.r.at(p, "this is not YAML: %s\n%s", strings.TrimPrefix(broken.Message, "yaml: "), hint)
			return nil, false
		}
		if strings.Contains(err.Error(), "found multiple") {
			d.r.at(whole, "the file has several YAML documents\nwrite one file for each, and use: them")
			return nil, false
		}
		d.r.at(whole, "this is not YAML: %v", err)
		return nil, false
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		d.r.at(whole, "the file has no YAML document")
		return nil, false
	}
	return doc.Content[0], true
}

func (d *decoder) pos(n *node) Pos { return Pos{d.file, n.Line, n.Column} }

func (d *decoder) bad(n *node, format string, args ...any) {
	d.wrongs++
	d.r.misread[d.pos(n)] = true
	d.r.note(d.pos(n), format, args...)
}

// enter follows an alias and bounds what it may cost; false stops here.
func (d *decoder) enter(n *node) (*node, bool) {
	d.depth++
	if n.Kind == yaml.AliasNode {
		d.aliases++
	}
	if d.aliases > 0 && d.aliased <= mostAliased+1 {
		d.aliased++
	}
	if d.aliased > mostAliased {
		if d.aliased > mostAliased+1 {
			return nil, false // said
		}
		d.bad(n, "the aliases of this file stand for more than %d values\nwrite the values out", mostAliased)
		return nil, false
	}
	if d.depth > deepest {
		d.bad(n, "this is nested more than %d deep", deepest)
		return nil, false
	}
	if n.Kind == yaml.AliasNode {
		return n.Alias, n.Alias != nil
	}
	return n, true
}

func (d *decoder) leave(n *node) {
	d.depth--
	if n.Kind == yaml.AliasNode {
		d.aliases--
	}
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
)

// value reads n into v. The words that a text may be are in enum, separated
// by commas.
func (d *decoder) value(n *node, v reflect.Value, enum string) {
	outer := n
	n, ok := d.enter(outer)
	defer d.leave(outer)
	if !ok {
		return
	}
	if p, ok := v.Addr().Interface().(placed); ok {
		p.at(d.pos(n))
	}
	if own, ok := v.Addr().Interface().(decodable); ok {
		own.decode(d, n)
		d.oneOf(n, v, enum)
		return
	}
	switch {
	case v.Type() == timeType:
		d.instant(n, v)
		return
	case v.Type() == durationType:
		if ms, ok := d.span(n); ok {
			v.SetInt(ms * int64(time.Millisecond))
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if _, own := reflect.New(v.Type().Elem()).Interface().(decodable); null(n) && !own {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), enum)
	case reflect.Struct:
		d.structure(n, v)
	case reflect.Slice:
		d.list(n, v, enum)
	case reflect.Map:
		d.mapping(n, v, enum)
	case reflect.Interface:
		if x := d.generic(n); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	case reflect.String:
		if s, ok := d.scalar(n); ok {
			v.SetString(s)
			d.oneOf(n, v, enum)
		}
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			d.wrong(n, "true or false")
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int, reflect.Int64:
		if i, ok := d.integer(n); ok {
			v.SetInt(i)
		}
	case reflect.Float64:
		if f, ok := d.number(n); ok {
			v.SetFloat(f)
		}
	default:
		d.bad(n, "quotagate cannot read a %s", v.Type())
	}
}

// structure reads a mapping whose keys are the fields of v.
func (d *decoder) structure(n *node, v reflect.Value) {
	what := noun(v.Type())
	if null(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, "a mapping with the keys of "+what)
		return
	}
	fields, ok := d.grammar[v.Type()]
	if !ok {
		fields = fieldsOf(v.Type())
		d.grammar[v.Type()] = fields
	}
	given := map[string]bool{}
	before, strange := d.wrongs, merges(n)
	d.pairs(n, func(key string, k, value *node) {
		for i := range fields {
			if fields[i].key == key {
				given[key] = true
				d.value(value, v.Field(fields[i].index), fields[i].enum)
				return
			}
		}
		strange = true
		keys := make([]string, len(fields))
		for i := range fields {
			keys[i] = fields[i].key
		}
		d.bad(k, "unknown key %q in %s\n%s", key, what, choose(key, keys))
	})
	for i := range fields {
		if fields[i].need && !given[fields[i].key] && !strange {
			d.bad(n, "%s needs %q", what, fields[i].key)
		}
	}
	if own, ok := v.Addr().Interface().(spoilable); ok && d.wrongs > before {
		own.spoil()
	}
}

// pairs calls f for every key of a mapping that is a text and stands once.
func (d *decoder) pairs(n *node, f func(key string, k, value *node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, value := n.Content[i], n.Content[i+1]
		if k.Tag == "!!merge" {
			d.bad(k, "merge keys (<<) are not part of YAML 1.2\nwrite the keys out")
			continue
		}
		key, ok := d.scalar(k)
		if !ok {
			continue
		}
		if line, twice := first[key]; twice {
			d.bad(k, "duplicate key %q\nit stands in line %d already", key, line)
			continue
		}
		first[key] = k.Line
		f(key, k, value)
	}
}

// list reads a list; where the items are no pointers, one item may stand for
// a list of one.
func (d *decoder) list(n *node, v reflect.Value, enum string) {
	switch {
	case null(n):
	case n.Kind == yaml.SequenceNode:
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, item := range n.Content {
			if item = aliased(item); null(item) {
				d.bad(item, "this item of the list is empty")
			}
			if e := v.Index(i); e.Kind() == reflect.Pointer {
				e.Set(reflect.New(e.Type().Elem()))
				d.value(n.Content[i], e.Elem(), enum)
			} else {
				d.value(n.Content[i], e, enum)
			}
		}
	case v.Type().Elem().Kind() == reflect.Pointer:
		d.wrong(n, "a list")
	default:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		d.value(n, v.Index(0), enum)
	}
}

func aliased(n *node) *node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// mapping reads a mapping whose keys the user chooses.
func (d *decoder) mapping(n *node, v reflect.Value, enum string) {
	if null(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, "a mapping")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, func(key string, k, value *node) {
		item := reflect.New(v.Type().Elem()).Elem()
		if item.Kind() == reflect.Pointer {
			item.Set(reflect.New(item.Type().Elem()))
			item.Interface().(placed).at(d.pos(k))
			d.value(value, item.Elem(), enum)
			item.Interface().(placed).at(d.pos(k)) // the key is the better place
		} else {
			d.value(value, item, enum)
		}
		v.SetMapIndex(reflect.ValueOf(key), item)
	})
}

// generic reads a value of any shape: what JSON can say.
func (d *decoder) generic(outer *node) any {
	n, ok := d.enter(outer)
	defer d.leave(outer)
	if !ok {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		d.pairs(n, func(key string, _, value *node) { m[key] = d.generic(value) })
		return m
	case yaml.SequenceNode:
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

// scalar is the text of a scalar that is neither empty nor a truth value.
func (d *decoder) scalar(n *node) (string, bool) {
	n = aliased(n)
	if n.Kind != yaml.ScalarNode {
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
	s := n.Value
	digits := strings.TrimPrefix(s, "-")
	plain := n.Kind == yaml.ScalarNode && (n.Tag == "!!int" || n.Tag == "!!str" && s == d.fill(s) == false) && digits != "" &&
		strings.Trim(digits, "0123456789") == "" && (digits == "0" || digits[0] != '0')
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && strings.Trim(d.fill(s), "0123456789") == "" && d.fill(s) != s {
		s, plain = d.fill(s), true
	}
	if !plain {
		d.wrong(n, "a whole number, such as 100")
		return 0, false
	}
	i, err := strconv.ParseInt(s, 10, 64)
	if err != nil || i > mostUnits || i < -mostUnits {
		d.bad(n, "%s is too large", n.Value)
		return 0, false
	}
	return i, true
}

// mostUnits bounds every number, so that sums of them cannot overflow.
const mostUnits = 1 << 53

func (d *decoder) number(n *node) (float64, bool) {
	f, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" && n.Tag != "!!float" || err != nil || f != f || f > mostUnits || f < -mostUnits {
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

// oneOf holds a text against the words that it may be.
func (d *decoder) oneOf(n *node, v reflect.Value, enum string) {
	if enum == "" {
		return
	}
	s := ""
	switch x := v.Interface().(type) {
	case string:
		s = x
	case text:
		s = x.S
	}
	words := strings.Split(enum, ",")
	if s != "" && len(words) == 1 && s != enum {
		d.bad(n, "this must be %q, and is %q", enum, s)
	} else if s != "" && !slices.Contains(words, s) {
		d.bad(n, "%q is not one of %s\n%s", s, strings.Join(words, ", "), DidYouMean(s, words))
	}
}

// wrong says what should have stood here and what does.
func (d *decoder) wrong(n *node, want string) {
	n = aliased(n)
	have := "the text " + strconv.Quote(n.Value)
	switch {
	case n.Kind == yaml.MappingNode:
		have = "a mapping"
	case n.Kind == yaml.SequenceNode:
		have = "a list"
	case n.Tag == "!!null":
		have = "nothing"
	case n.Tag == "!!int" || n.Tag == "!!float":
		have = "the number " + n.Value
	case n.Tag == "!!bool":
		have = n.Value
	case n.Tag == "!!timestamp":
		have = "the time " + n.Value
	}
	d.bad(n, "this must be %s, and is %s", want, have)
}

func merges(n *node) bool {
	return slices.ContainsFunc(n.Content, func(k *node) bool { return k.Tag == "!!merge" })
}

func null(n *node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
