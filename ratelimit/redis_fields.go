package ratelimit

// The fields of an account's hash in Redis as the records that the engine in
// process has, and back: for export and import. What a field holds is told at
// the top of its measure's file in script/.

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// measureOf is letters' way back.
var measureOf = func() map[byte]Measure {
	m := map[byte]Measure{}
	for measure, letter := range letters {
		m[letter] = measure
	}
	return m
}()

// A row is a JSON list of a field. What cannot be read makes it bad.
type row struct {
	list []json.RawMessage
	bad  bool
}

func readRow(text string) *row {
	r := &row{}
	r.bad = json.Unmarshal([]byte(text), &r.list) != nil
	return r
}

func (r *row) int(i int) (n int64) {
	if i < len(r.list) {
		r.bad = json.Unmarshal(r.list[i], &n) != nil || r.bad
	}
	return n
}

func (r *row) text(i int) (s string) {
	if i < len(r.list) {
		r.bad = json.Unmarshal(r.list[i], &s) != nil || r.bad
	}
	return unescape(s)
}

func (r *row) rows(i int) (list []*row) {
	var raw []json.RawMessage
	if i < len(r.list) {
		r.bad = json.Unmarshal(r.list[i], &raw) != nil || r.bad
	}
	for _, one := range raw {
		list = append(list, readRow(string(one)))
	}
	return list
}

func (r *row) texts(i int) (list []string) {
	if i < len(r.list) {
		r.bad = json.Unmarshal(r.list[i], &list) != nil || r.bad
	}
	for j := range list {
		list[j] = unescape(list[j])
	}
	return list
}

// byName reads an object; an empty one is written as a list.
func byName[T any](r *row, i int) map[string]T {
	var m map[string]T
	if i < len(r.list) && string(r.list[i]) != "[]" {
		r.bad = json.Unmarshal(r.list[i], &m) != nil || r.bad
	}
	return m
}

// records are what an account's fields say.
func redisRecords(account string, fields map[string]string) ([]*record, error) {
	recs := map[string]*record{"": {account: account}}
	of := func(key string) *record {
		if recs[key] == nil {
			recs[key] = &record{account: account, key: key}
		}
		return recs[key]
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		text, bad := fields[name], false
		switch kind, rest, _ := strings.Cut(name, "|"); {
		case name == "l":
			of("").aliasOf = unescape(text)
		case name == "h":
			bad = readHoldRows(`[`+text+`]`, 0, of(""))
		case name == "g":
			for _, g := range readRow(`[` + text + `]`).rows(0) {
				of("").gifts = append(of("").gifts, Gift{g.text(0), g.text(1), g.int(2), g.int(3)})
				bad = bad || g.bad
			}
		case name == "s":
			r := readRow(`[` + text + `]`)
			of("").scopes, bad = r.texts(0), r.bad
		case len(name) == 1: // n, t, x
		case kind == "k":
			bad = readRecipient(text, of(unescape(rest)))
		case kind == "m":
			r := readRow(text)
			key := "~m" + unescape(rest)
			if strings.HasPrefix(rest, "~") {
				key = unescape(rest)
			}
			if !strings.HasPrefix(rest, "~z") {
				of(key).mark = mark{r.text(0), r.int(1)}
			}
			bad = r.bad
		default:
			bad = readCounter(name, text, of)
		}
		if bad {
			return nil, fmt.Errorf("read the field %q of %q in redis: %w", name, account, ErrCorrupt)
		}
	}
	list := make([]*record, 0, len(recs))
	for _, key := range slices.Sorted(maps.Keys(recs)) {
		list = append(list, recs[key])
	}
	return list, nil
}

func readHoldRows(text string, i int, rec *record) (bad bool) {
	r := readRow(text)
	for _, h := range r.rows(i) {
		rec.holds = append(rec.holds, hold{
			Hold{Name: h.text(0), Until: h.int(1), Why: h.text(2), Ramp: h.int(3)}, h.int(4), h.int(5), h.texts(6),
		})
		bad = bad || h.bad
	}
	return bad || r.bad
}

func readRecipient(text string, rec *record) (bad bool) {
	r := readRow(text)
	rec.aliasOf, rec.replied, rec.connected = r.text(0), r.int(1), r.int(2)
	bad = readHoldRows(text, 3, rec)
	for _, o := range r.rows(4) {
		if o.int(5) == 0 {
			ch, ok := readCharge(o.raw(3), o.raw(4))
			rec.owed = append(rec.owed, debt{o.text(0), o.int(1), o.int(2), ch})
			bad = bad || !ok
		}
		bad = bad || o.bad
	}
	return bad || r.bad
}

// raw is a text that is not to be unescaped yet.
func (r *row) raw(i int) (s string) {
	if i < len(r.list) {
		r.bad = json.Unmarshal(r.list[i], &s) != nil || r.bad
	}
	return s
}

// readCharge reads what is kept of a charge; see script/60_reservation.lua.
func readCharge(field, text string) (ch charge, ok bool) {
	if scope, rest, scoped := strings.Cut(field, "\v"); scoped {
		ch.scope, field = unescape(scope), rest
	}
	name := strings.Split(field, "|")
	parts := strings.Split(text, ",")
	if len(name) != 3 || name[0] == "" || len(parts) < 5 {
		return ch, false
	}
	ch.measure, ok = measureOf[name[0][0]]
	ch.limit, ch.unit, ch.key = unescape(name[0][1:]), unescape(name[1]), unescape(name[2])
	n := numbers{s: strings.Join(parts[1:4], ",")}
	ch.item, ch.cost = int(n.next()), n.next()
	flags := n.next()
	ch.bound, ch.warned, ch.first = flags&1 != 0, flags&2 != 0, flags&4 != 0
	data := parts[4]
	if word, at, spaced := strings.Cut(data, " "); spaced { // Ratio
		data = at
		if word != toAnswer {
			ch.label = word
		}
	}
	if ch.measure&^distinctBit == Calendar {
		ch.label = unescape(data)
	} else if data != "" {
		at := numbers{s: data}
		ch.at = at.next()
		ok = ok && !at.bad
	}
	if len(parts) == 8 {
		ch.recipient, ch.where = unescape(parts[5]), unescape(parts[6])
		for _, s := range strings.FieldsFunc(parts[7], func(c rune) bool { return c == '&' }) {
			label, units, _ := strings.Cut(s, "=")
			u := numbers{s: units}
			ch.split = append(ch.split, share{unescape(label), u.next()})
			ok = ok && !u.bad
		}
	}
	return ch, ok && !n.bad
}

// readCounter reads a counter into the record of its key.
func readCounter(name, text string, of func(key string) *record) (bad bool) {
	parts := strings.Split(name, "|")
	if len(parts) != 3 || parts[0] == "" {
		return true
	}
	m, ok := measureOf[parts[0][0]]
	if !ok || m == Concurrent { // leases are not moved
		return !ok
	}
	c := counter{limit: unescape(parts[0][1:]), measure: m, unit: unescape(parts[1])}
	switch {
	case m == Rolling || m == Ratio && c.unit != toAnswer:
		bad = readLog(text, &c)
	case m == Similar:
		bad = readAlike(text, &c)
	default:
		bad = readPlain(text, &c)
	}
	rec := of(unescape(parts[2]))
	rec.counters = append(rec.counters, c)
	return bad
}

func readPots(r *row, i int, c *counter) {
	if i >= len(r.list) || string(r.list[i]) == "0" {
		return
	}
	for _, p := range r.rows(i) {
		c.pots = append(c.pots, potUse{p.text(0), p.int(1), p.int(2)})
		r.bad = r.bad || p.bad
	}
}

func readPlain(text string, c *counter) (bad bool) {
	r := readRow(text)
	c.first = r.int(0)
	sights := func(i int) (seen []sight) {
		for who, n := range byName[int64](r, i) {
			seen = append(seen, sight{who: unescape(who), n: n})
		}
		slices.SortFunc(seen, compareSights)
		return seen
	}
	switch c.measure &^ distinctBit {
	case Calendar:
		for i := range c.wins {
			if j := 1 + 5*i; j+4 < len(r.list) {
				c.wins[i] = tally{r.text(j + 4), r.int(j), r.int(j + 1), r.int(j + 2), r.int(j+3) == 1, nil}
			}
			if c.measure&distinctBit != 0 {
				c.wins[i].seen = sights(11 + i)
			}
		}
		if c.measure&distinctBit == 0 {
			readPots(r, 11, c)
		}
	case Lifetime, Credits:
		if c.used, c.warned = r.int(1), r.int(2); c.measure&distinctBit != 0 {
			c.seen = sights(3)
		} else {
			readPots(r, 3, c)
		}
	case Rolling: // distinct
		c.span, c.warned = r.int(1), r.int(2)
		for who, times := range byName[[]int64](r, 3) {
			for i := 0; i+1 < len(times); i += 2 {
				c.seen = append(c.seen, sight{unescape(who), times[i], times[i+1]})
			}
		}
		slices.SortFunc(c.seen, compareSights)
	case Pace:
		c.span = r.int(1)
		for i := 2; i+2 < len(r.list); i += 3 {
			c.slots = append(c.slots, slot{r.int(i), r.int(i + 1), uint16(r.int(i + 2))})
		}
	case Ratio: // what is to be answered
		c.span = r.int(1)
		for i := 3; i+2 < len(r.list); i += 3 {
			c.log = append(c.log, entry{r.int(i), r.int(i + 1), r.int(i + 2)})
			c.total += r.int(i + 1)
		}
	default: // Unanswered, Settling
		c.span, c.warned = r.int(1), r.int(2)
		for i := 3; i+1 < len(r.list); i += 2 {
			c.log = append(c.log, entry{at: r.int(i), n: r.int(i + 1)})
			c.total += r.int(i + 1)
		}
	}
	return r.bad
}

func readLog(text string, c *counter) (bad bool) {
	head, log, ok := strings.Cut(text, ";")
	parts := strings.SplitN(head, ",", 7)
	if !ok || len(parts) != 7 {
		return true
	}
	n := numbers{s: strings.Join(parts[:6], ",")}
	c.first, c.span, c.warned, c.total = n.next(), n.next(), n.next(), n.next()
	n.next()
	width, columns := int(n.next()), 1
	if c.measure == Ratio {
		columns = 2
	}
	if parts[6] != "" {
		r := readRow("[" + parts[6] + "]")
		readPots(r, 0, c)
		bad = r.bad
	}
	size := 13 + columns*width
	if n.bad || width < 1 || len(log)%size != 0 {
		return true
	}
	for ; log != ""; log = log[size:] {
		column := func(from, to int) int64 {
			v, err := strconv.ParseInt(log[from:to], 10, 64)
			bad = bad || err != nil
			return v
		}
		e := entry{at: column(0, 13), n: column(13, 13+width)}
		if columns == 2 {
			e.good = column(13+width, size)
		}
		c.log = append(c.log, e)
	}
	return bad
}

func readAlike(text string, c *counter) (bad bool) {
	r := readRow(text)
	c.first = r.int(0)
	c.alike = &alike{until: r.int(1)}
	if c.unit == inBand {
		c.alike.groups = r.texts(2)
		return r.bad
	}
	signature, err := hex.DecodeString(r.raw(3))
	c.alike.exact, c.alike.signature, c.alike.others = r.text(2), string(signature), r.int(4)
	c.span, c.warned = r.int(5), r.int(6)
	for _, pair := range []int{7, 8} {
		if pair >= len(r.list) {
			break
		}
		list := readRow(string(r.list[pair]))
		for i := 0; i+1 < len(list.list); i += 2 {
			if pair == 7 {
				c.alike.people = append(c.alike.people, received{list.text(i), list.int(i + 1)})
			} else {
				c.log = append(c.log, entry{at: list.int(i), n: list.int(i + 1)})
				c.total += list.int(i + 1)
			}
		}
		bad = bad || list.bad
	}
	return bad || r.bad || err != nil
}
