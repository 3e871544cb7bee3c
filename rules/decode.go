package rules

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// From YAML to the structs of model.go, strictly: every key is known and
// stands once, every value has its type, and whatever is wrong is noted with
// its place while the rest is read on. The structs' tags are the grammar.

// decodable is a type with a notation of its own.
type decodable interface{ decode(d *decoder, n *node) }

// finished is a struct that is told when all its keys were read, and whether
// one of them was strange: what it seems to lack may be what was misspelled.
type finished interface {
	done(d *decoder, n *node, strange bool)
}

// placed is a struct that remembers where it stood.
type placed interface{ at(Pos) }

const (
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

func (d *decoder) pos(n *node) Pos { return Pos{d.file, n.Line, n.Column} }

func (d *decoder) bad(n *node, format string, args ...any) {
	d.misread(n)
	d.r.note(d.pos(n), format, args...)
}

// misread keeps what stands at n from being judged by what was read of it.
func (d *decoder) misread(n *node) { d.r.misread[d.pos(n)] = true }

// enter follows an alias and bounds what it may cost; false stops here.
func (d *decoder) enter(n *node) (*node, bool) {
	d.depth++
	if n.Kind == aliasNode {
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
	if n.Kind == aliasNode {
		return n.Alias, n.Alias != nil
	}
	return n, true
}

func (d *decoder) leave(n *node) {
	d.depth--
	if n.Kind == aliasNode {
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
		if n.Kind != scalarNode || n.Tag != "!!bool" {
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
	if n.Kind != mappingNode && v.Type() == reflect.TypeFor[file]() {
		d.bad(n, "a rules file is a mapping (it begins with version: 1), and this is %s", have(n))
		return
	}
	if n.Kind != mappingNode {
		d.wrong(n, "a mapping with the keys of "+what)
		return
	}
	fields, ok := d.grammar[v.Type()]
	if !ok {
		fields = fieldsOf(v.Type())
		d.grammar[v.Type()] = fields
	}
	given := map[string]bool{}
	strange := merges(n)
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
		switch {
		case !fields[i].need || given[fields[i].key]:
		case strange:
			d.misread(n)
		default:
			d.bad(n, "%s needs %q", what, fields[i].key)
		}
	}
	if own, ok := v.Addr().Interface().(finished); ok {
		own.done(d, n, strange)
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
	case n.Kind == sequenceNode:
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
	if n.Kind == aliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// mapping reads a mapping whose keys the user chooses.
func (d *decoder) mapping(n *node, v reflect.Value, enum string) {
	if null(n) {
		return
	}
	if n.Kind != mappingNode {
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
	d.bad(n, "this must be %s, and is %s", want, have(n))
}

// have says what a node is.
func have(n *node) string {
	switch {
	case n.Kind == mappingNode:
		return "a mapping"
	case n.Kind == sequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + n.Value
	case n.Tag == "!!bool":
		return n.Value
	case n.Tag == "!!timestamp":
		return "the time " + n.Value
	}
	return "the text " + strconv.Quote(n.Value)
}

func merges(n *node) bool {
	return slices.ContainsFunc(n.Content, func(k *node) bool { return k.Tag == "!!merge" })
}

func null(n *node) bool { return n.Kind == scalarNode && n.Tag == "!!null" }
