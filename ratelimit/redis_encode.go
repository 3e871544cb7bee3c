package ratelimit

// How a request looks to the script: claims on one counter stand together, as
// one demand, in a flat JSON list:
//
//	letter, field, account, flags, allow, warn at, how many parameters follow,
//	how many claims, the parameters of the measure, then item, cost and wait
//	of every claim
//
// The account is its number among the call's. Flags: 1 shadow, 2 with a key.

import (
	"slices"
	"strconv"
	"strings"
)

// exact is more than any count, and every whole number up to it is one in Lua.
const exact = 1 << 53

// letters are the measures' names in the script and in Redis.
var letters = map[Measure]byte{Calendar: 'c', Rolling: 'r', Lifetime: 'l', Pace: 'p'}

// fieldOf names a counter in an account's hash: letter, limit, unit, key.
func fieldOf(cl *Claim) string {
	unit := ""
	if cl.Measure == Calendar {
		unit = cl.Unit
	}
	return string(letters[cl.Measure]) + escape(cl.Limit) + "|" + escape(unit) + "|" + escape(cl.Key)
}

// ofField is fieldOf's way back.
func ofField(field string) (limit, key string) {
	parts := strings.Split(field, "|")
	if len(parts) != 3 || parts[0] == "" {
		return field, ""
	}
	return unescape(parts[0][1:]), unescape(parts[2])
}

// special are the bytes that separate things in what the script keeps.
const special = "%|,;\t\n\v"

func escape(s string) string {
	if !strings.ContainsAny(s, special) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(special, s[i]) >= 0 {
			b.WriteString("%" + strconv.FormatUint(uint64(s[i])+0x100, 16)[1:])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// grouped is a request's claims by counter, in the order in which the counters
// first appear.
type grouped struct {
	fields []string
	claims [][]*Claim
}

func group(claims []Claim) grouped {
	var g grouped
	var index map[string]int
	if len(claims) > manyClaims {
		index = make(map[string]int, len(claims))
	}
	for i := range claims {
		cl := &claims[i]
		f := fieldOf(cl)
		at := -1
		if index == nil {
			at = slices.Index(g.fields, f)
		} else if j, ok := index[f]; ok {
			at = j
		} else {
			index[f] = len(g.fields)
		}
		if at < 0 {
			g.fields = append(g.fields, f)
			g.claims = append(g.claims, []*Claim{cl})
		} else {
			g.claims[at] = append(g.claims[at], cl)
		}
	}
	return g
}

// appendDemands writes the demands.
func appendDemands(b []byte, g *grouped) []byte {
	b = append(b, '[')
	for i, claims := range g.claims {
		cl := claims[0]
		if i > 0 {
			b = append(b, ',')
		}
		flags := 0
		if cl.Shadow {
			flags = 1
		}
		if cl.Key != "" {
			flags |= 2
		}
		b = append(b, '"', letters[cl.Measure], '"', ',')
		b = appendText(b, g.fields[i])
		b = appendInts(b, 1, int64(flags), min(max(cl.Allow, -1), exact), min(max(cl.WarnAt, 0), exact))
		var p []byte
		n := 0
		switch cl.Measure {
		case Calendar:
			n = 7
			for _, w := range cl.Windows {
				p = appendInts(p, w.Start)
				p = append(p, ',')
				p = appendText(p, escape(w.Label))
			}
			p = appendInts(p, cl.Windows[2].End)
		case Rolling:
			n, p = 1, appendInts(p, cl.Span)
		case Pace:
			n, p = 2, appendInts(p, cl.Span, cl.Jitter)
		}
		b = appendInts(b, int64(n), int64(len(claims)))
		b = append(b, p...)
		for _, c := range claims {
			b = appendInts(b, int64(c.Item), c.Cost, c.Wait)
		}
	}
	return append(b, ']')
}

// appendInts writes numbers, each after a comma.
func appendInts(b []byte, ns ...int64) []byte {
	for _, n := range ns {
		b = append(b, ',')
		b = strconv.AppendInt(b, n, 10)
	}
	return b
}

// appendText writes a JSON string. Bytes that are not UTF-8 pass as they are:
// Redis's reader takes them so.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, `\u00`...)
			b = append(b, strconv.FormatUint(uint64(c)+0x100, 16)[1:]...)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

func appendTexts(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, s)
	}
	return append(b, ']')
}
