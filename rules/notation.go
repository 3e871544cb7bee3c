package rules

import (
	"math"
	"reflect"
	"strconv"
	"strings"
)

// The values that have a notation of their own: 7d, 80%, {free: 15},
// {linkedin.mailbox: urn:li:…}, {matrix: {host: matrix.example.org}}.

func (t *text) decode(d *decoder, n *node) {
	t.S, _ = d.scalar(n)
}

// unit is a unit of durations. Years and months have no fixed length.
func unit(c byte) (ms int64, ok bool) {
	switch c {
	case 's':
		return 1000, true
	case 'm':
		return 60 * 1000, true
	case 'h':
		return 3600 * 1000, true
	case 'd':
		return 24 * 3600 * 1000, true
	case 'w':
		return 7 * 24 * 3600 * 1000, true
	}
	return 0, false
}

// longestSpan bounds durations at ten years.
const longestSpan = 3660 * 24 * 3600 * 1000

// parseSpan reads 4s, 250ms, 10m, 24h, 7d, 4w and sums such as 1h30m.
func parseSpan(s string) (ms int64, ok bool) {
	if s == "0" {
		return 0, true
	}
	for rest := s; rest != ""; {
		i := 0
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
			i++
		}
		if i == 0 || i > 15 || i == len(rest) {
			return 0, false
		}
		n, err := strconv.ParseInt(rest[:i], 10, 64)
		if err != nil {
			return 0, false
		}
		var each int64
		if strings.HasPrefix(rest[i:], "ms") {
			each, i = 1, i+2
		} else if each, ok = unit(rest[i]); ok {
			i++
		} else {
			return 0, false
		}
		if n > longestSpan/each {
			return 0, false
		}
		if ms += n * each; ms > longestSpan {
			return 0, false
		}
		rest = rest[i:]
	}
	return ms, s != ""
}

// span reads a duration.
func (d *decoder) span(n *node) (int64, bool) {
	if n.Kind != scalarNode || null(n) {
		d.wrong(n, "a duration, such as 4s, 10m, 24h, 7d or 4w")
		return 0, false
	}
	ms, ok := parseSpan(d.fill(n.Value))
	if !ok {
		d.bad(n, "%q is not a duration\nwrite it as 4s, 10m, 24h, 7d or 4w, up to ten years", n.Value)
	}
	return ms, ok
}

func (u *duration) decode(d *decoder, n *node) { u.Ms, _ = d.span(n) }

func (a *allow) decode(d *decoder, n *node) {
	if n.Kind == mappingNode {
		a.Plans, a.places = map[string]int64{}, map[string]pos{}
		d.pairs(n, func(plan string, k, value *node) {
			a.places[plan] = d.pos(k)
			if i, ok := d.units(value); ok {
				a.Plans[plan] = i
			}
		})
		if len(n.Content) == 0 {
			d.bad(n, "there is no plan here\nwrite a number, or {plan: number, …}")
		}
		return
	}
	a.All, _ = d.units(n)
}

// units is a number of messages.
func (d *decoder) units(n *node) (int64, bool) {
	i, ok := d.integer(n)
	if ok && i < 0 {
		d.bad(n, "this number cannot be negative\n0 lets nothing through")
		return 0, false
	}
	return i, ok
}

func (f *fraction) decode(d *decoder, n *node) { f.N, _ = d.number(n) }

func (w *whole) decode(d *decoder, n *node) {
	i, ok := d.integer(n)
	if ok && i < 1 {
		d.bad(n, "this number is at least 1")
		return
	}
	w.N = i
}

func (c *cost) decode(d *decoder, n *node) {
	switch n.Value {
	case "recipients", "segments":
		c.By = n.Value
		return
	}
	i, ok := d.integer(n)
	if ok && i < 1 {
		d.bad(n, "a message costs at least 1")
		return
	}
	c.Fixed = i
}

func (s *share) decode(d *decoder, n *node) {
	if number, ok := strings.CutSuffix(n.Value, "%"); ok && n.Kind == scalarNode {
		f, err := strconv.ParseFloat(number, 64)
		if err != nil || !(f > 0 && f <= 100) {
			d.bad(n, "%q is not a percentage between 0%% and 100%%", n.Value)
			return
		}
		s.Percent, s.N = true, f
		return
	}
	i, ok := d.integer(n)
	if ok && i < 1 {
		d.bad(n, "a warning is due at 1 or more, or at a percentage such as 80%%")
		return
	}
	s.N = float64(i)
}

// of is the number of units at which the warning is due; 0 never.
func (s *share) of(allow int64) int64 {
	if s == nil {
		return 0
	}
	if !s.Percent {
		return int64(s.N)
	}
	return max(1, int64(math.Ceil(float64(allow)*s.N/100-1e-9)))
}

func (v *values) decode(d *decoder, n *node) {
	if n.Kind == scalarNode && n.Tag == "!!bool" {
		present := strings.EqualFold(n.Value, "true")
		v.Present = &present
		return
	}
	if n.Kind == sequenceNode {
		if len(n.Content) == 0 {
			d.bad(n, "this list of values is empty\ntrue means that any value will do, false that there is none")
		}
		for _, item := range n.Content {
			if s, ok := d.scalar(item); ok {
				v.Any = append(v.Any, s)
			}
		}
		return
	}
	if s, ok := d.scalar(n); ok {
		v.Any = []string{s}
	}
}

func (b *byPath) decode(d *decoder, n *node) {
	all := map[string]values{}
	d.mapping(n, reflect.ValueOf(&all).Elem(), "")
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; k.Kind == scalarNode && !d.jsonPath(k) {
			all["$"] = all[d.fill(k.Value)] // it is said; the rest is read on
			delete(all, d.fill(k.Value))
		}
	}
	*b = all
}

// jsonPath reports whether a text looks like a JSONPath; whoever leaves the
// root out means a member of it.
func (d *decoder) jsonPath(n *node) bool {
	if n = aliased(n); strings.HasPrefix(d.fill(n.Value), "$") {
		return true
	}
	meant := "$." + n.Value
	switch {
	case strings.HasPrefix(n.Value, "[") || strings.HasPrefix(n.Value, "."):
		meant = "$" + n.Value
	case strings.ContainsAny(n.Value, " -"):
		meant = "$['" + n.Value + "']"
	}
	d.bad(n, "%q is not a JSONPath: it begins with $\ndid you mean %q?", n.Value, meant)
	return false
}

func (s *source) done(d *decoder, n *node, strange bool) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "json" && s.JSON != "" && !d.jsonPath(n.Content[i+1]) {
			s.JSON = "$"
		}
	}
	if strange {
		d.misread(n)
	}
}

func (u *use) decode(d *decoder, n *node) {
	if n.Kind != mappingNode {
		u.Name, _ = d.scalar(n)
		return
	}
	if len(n.Content) != 2 {
		d.bad(n, "a pack with parameters is written {name: {parameter: value}}")
		return
	}
	d.pairs(n, func(name string, _, value *node) {
		u.Name = name
		if value = aliased(value); value.Kind != mappingNode {
			d.bad(value, "the parameters of a pack are written {name: {parameter: value}}")
			return
		}
		u.Params = map[string]string{}
		d.pairs(value, func(param string, _, v *node) {
			if s, ok := d.scalar(v); ok {
				u.Params[param] = s
			}
		})
	})
}

func (l *listed) decode(d *decoder, n *node) {
	if n.Kind != mappingNode || len(n.Content) != 2 {
		d.bad(n, "an identity is written {kind: value}, such as {proxy_user: anna}")
		return
	}
	d.pairs(n, func(kind string, _, value *node) {
		l.Kind = kind
		l.Value, _ = d.scalar(value)
	})
}
