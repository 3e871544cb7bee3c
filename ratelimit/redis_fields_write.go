package ratelimit

// Records as the fields of an account's hash in Redis.

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// redisFields adds the fields of a record.
func redisFields(fields map[string]string, rec *record) {
	if rec.key == "" {
		if rec.aliasOf != "" {
			fields["l"] = escape(rec.aliasOf)
		}
		if len(rec.holds) > 0 {
			fields["h"] = holdRows(rec)
		}
		if len(rec.gifts) > 0 {
			fields["g"] = rowOf(len(rec.gifts), func(i int) string {
				g := &rec.gifts[i]
				return fmt.Sprintf(`["%s","%s",%d,%d]`, escape(g.ID), escape(g.Limit), g.Units, g.End)
			})
		}
		if len(rec.scopes) > 0 {
			fields["s"] = string(appendTexts(nil, escaped(rec.scopes)))
		}
	}
	if rec.mark.at > 0 {
		name := "m|" + escape(strings.TrimPrefix(rec.key, "~m"))
		fields[name] = fmt.Sprintf(`["%s",%d,0,%d]`, escape(rec.mark.id), rec.mark.at, rec.mark.at)
	}
	var open []string // fields of what the recipient has not answered
	for i := range rec.counters {
		c := &rec.counters[i]
		name := fieldNamed(c.measure, c.limit, c.unit, rec.key)
		if c.measure == Ratio && c.unit == toAnswer {
			open = append(open, name)
		}
		if text := fieldText(c); text != "" {
			fields[name] = text
		}
	}
	if rec.key != "" && (rec.aliasOf != "" || rec.replied > 0 || rec.connected > 0 || len(rec.holds)+len(rec.owed)+len(open) > 0) {
		owed := rowOf(len(rec.owed), func(i int) string {
			o := &rec.owed[i]
			field := fieldNamed(o.charge.measure, o.charge.limit, o.charge.unit, o.charge.key)
			if o.charge.scope != "" {
				field = escape(o.charge.scope) + "\v" + field
			}
			b := appendText([]byte(fmt.Sprintf(`["%s",%d,%d,`, escape(o.id), o.slot, o.until)), field)
			b = appendText(append(b, ','), chargeText(&o.charge))
			return string(append(b, ",0]"...))
		})
		fields["k|"+escape(rec.key)] = fmt.Sprintf(`["%s",%d,%d,%s,%s,%s]`,
			escape(rec.aliasOf), rec.replied, rec.connected, holdRows(rec), owed, appendTexts(nil, open))
	}
}

func fieldNamed(m Measure, limit, unit, key string) string {
	return string(letters[m]) + escape(limit) + "|" + escape(unit) + "|" + escape(key)
}

func rowOf(n int, f func(i int) string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = f(i)
	}
	return "[" + strings.Join(list, ",") + "]"
}

func holdRows(rec *record) string {
	return rowOf(len(rec.holds), func(i int) string {
		h := &rec.holds[i]
		return fmt.Sprintf(`["%s",%d,"%s",%d,%d,%d,%s]`, escape(h.Name), h.Until, escape(h.Why), h.Ramp, h.lasted, h.within, appendTexts(nil, escaped(h.ids)))
	})
}

func chargeText(ch *charge) string {
	flags := flag(ch.bound) + 2*flag(ch.warned) + 4*flag(ch.first)
	data := strconv.FormatInt(ch.at, 10)
	switch ch.measure &^ distinctBit {
	case Calendar:
		data = escape(ch.label)
	case Ratio:
		if ch.label == "" {
			data = toAnswer + " " + data
		} else {
			data = ch.label + " " + data
		}
	}
	var split []string
	for _, s := range ch.split {
		split = append(split, escape(s.label)+"="+strconv.FormatInt(s.n, 10))
	}
	return fmt.Sprintf("1,%d,%d,%d,%s,%s,%s,%s", ch.item, ch.cost, flags, data, escape(ch.recipient), escape(ch.where), strings.Join(split, "&"))
}

func potRows(pots []potUse) string {
	return rowOf(len(pots), func(i int) string {
		return fmt.Sprintf(`["%s",%d,%d]`, escape(pots[i].label), pots[i].used, pots[i].end)
	})
}

// seenText is recipients with how many messages each.
func seenText(seen []sight) string {
	if len(seen) == 0 {
		return "[]"
	}
	list := make([]string, len(seen))
	for i, s := range seen {
		list[i] = fmt.Sprintf(`"%s":%d`, escape(s.who), s.n)
	}
	return "{" + strings.Join(list, ",") + "}"
}

// fieldText is a counter's text; "" for one that has none in Redis.
func fieldText(c *counter) string {
	distinct := c.measure&distinctBit != 0
	switch c.measure &^ distinctBit {
	case Calendar:
		text := "[" + strconv.FormatInt(c.first, 10)
		for i := range c.wins {
			w := &c.wins[i]
			text += fmt.Sprintf(`,%d,%d,%d,%d,"%s"`, w.start, w.end, w.used, flag(w.warned), escape(w.label))
		}
		if distinct {
			return text + "," + seenText(c.wins[0].seen) + "," + seenText(c.wins[1].seen) + "]"
		}
		return text + "," + potRows(c.pots) + "]"
	case Lifetime, Credits:
		more := potRows(c.pots)
		if distinct {
			more = seenText(c.seen)
		}
		return fmt.Sprintf("[%d,%d,%d,%s]", c.first, c.used, c.warned, more)
	case Rolling:
		if distinct {
			return timesText(c)
		}
		return logText(c)
	case Pace:
		text := fmt.Sprintf("[%d,%d", c.first, c.span)
		for _, s := range c.slots {
			text += fmt.Sprintf(",%d,%d,%d", s.at, s.n, s.frac)
		}
		return text + "]"
	case Ratio:
		if c.unit == toAnswer {
			text := fmt.Sprintf("[%d,%d,0", c.first, c.span)
			for _, e := range c.log {
				text += fmt.Sprintf(",%d,%d,%d", e.at, e.n, e.good)
			}
			return text + "]"
		}
		return logText(c)
	case Unanswered, Settling:
		text := fmt.Sprintf("[%d,%d,%d", c.first, c.span, c.warned)
		for _, e := range c.log {
			text += fmt.Sprintf(",%d,%d", e.at, e.n)
		}
		return text + "]"
	case Similar:
		return alikeText(c)
	}
	return ""
}

func timesText(c *counter) string {
	if len(c.seen) == 0 {
		return fmt.Sprintf("[%d,%d,%d,[]]", c.first, c.span, c.warned)
	}
	var people []string
	for i := 0; i < len(c.seen); {
		from, to := run(c.seen, i)
		times := rowOf(to-from, func(j int) string { return fmt.Sprintf("%d,%d", c.seen[from+j].at, c.seen[from+j].n) })
		people = append(people, fmt.Sprintf(`"%s":%s`, escape(c.seen[i].who), times))
		i = to
	}
	return fmt.Sprintf("[%d,%d,%d,{%s}]", c.first, c.span, c.warned, strings.Join(people, ","))
}

func logText(c *counter) string {
	width, good := 1, int64(0)
	for _, e := range c.log {
		width = max(width, len(strconv.FormatInt(max(e.n, e.good), 10)))
		good += e.good
	}
	pots := ""
	if len(c.pots) > 0 {
		pots = potRows(c.pots)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d,%d,%d,%d,%d,%d,%s;", c.first, c.span, c.warned, c.total, good, width, pots)
	for _, e := range c.log {
		fmt.Fprintf(&b, "%013d%0*d", e.at, width, e.n)
		if c.measure == Ratio {
			fmt.Fprintf(&b, "%0*d", width, e.good)
		}
	}
	return b.String()
}

func alikeText(c *counter) string {
	a := c.alike
	if a == nil {
		return ""
	}
	if c.unit == inBand {
		return fmt.Sprintf("[%d,%d,%s]", c.first, a.until, appendTexts(nil, escaped(a.groups)))
	}
	people := rowOf(len(a.people), func(i int) string { return fmt.Sprintf(`"%s",%d`, escape(a.people[i].who), a.people[i].n) })
	log := rowOf(len(c.log), func(i int) string { return fmt.Sprintf("%d,%d", c.log[i].at, c.log[i].n) })
	return fmt.Sprintf(`[%d,%d,"%s","%s",%d,%d,%d,%s,%s]`, c.first, a.until, escape(a.exact), hex.EncodeToString([]byte(a.signature)), a.others, c.span, c.warned, people, log)
}
