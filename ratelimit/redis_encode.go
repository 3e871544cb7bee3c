package ratelimit

// How a request looks to the script: claims on one counter stand together, as
// one demand, in a flat JSON list:
//
//	field, code, allow, warn at, the parameters of the measure (see the files
//	of the measures in script/), then of every claim its item, cost and wait,
//	and, where the measure looks at them, its recipient and its likeness
//
// The code is 1 for a shadow, 2 for a counter with a key, 4 times the number of
// the account among the call's, 256 times the number of claims.

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// exact is more than any count, and every whole number up to it is one in Lua.
const exact = 1 << 53

// letters are the measures' names in the script and in Redis.
var letters = map[Measure]byte{
	Calendar: 'c', Rolling: 'r', Lifetime: 'l', Pace: 'p', Credits: 'd', Unanswered: 'u', Settling: 'e', Similar: 's',
	Ratio: 'a', Concurrent: 'o', Hours: 'h',
	Calendar | distinctBit: 'C', Rolling | distinctBit: 'R', Lifetime | distinctBit: 'L',
}

// fieldOf names a counter in an account's hash: letter, limit, unit, key.
func fieldOf(cl *Claim) string {
	return string(letters[cl.measure()]) + escape(cl.Limit) + "|" + escape(cl.unit()) + "|" + escape(cl.Key)
}

// ofField is fieldOf's way back.
func ofField(field string) (limit, key string) {
	if _, f, ok := strings.Cut(field, "\v"); ok { // after the scope's name
		field = f
	}
	parts := strings.Split(field, "|")
	if len(parts) != 3 || parts[0] == "" {
		return field, ""
	}
	return unescape(parts[0][1:]), unescape(parts[2])
}

// special are the bytes that separate things in what the script keeps.
const special = "%|,;=&\"\\\t\n\v\f\r\x00"

// separates has them as a table: names are many, and few have one of them.
var separates = func() (t [256]bool) {
	for i := range len(special) {
		t[special[i]] = true
	}
	return t
}()

func escape(s string) string {
	i := 0
	for i < len(s) && !separates[s[i]] {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if separates[s[i]] {
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

type counterField struct{ scope, field string }

func group(claims []Claim) grouped {
	g := grouped{fields: make([]string, 0, len(claims)), claims: make([][]*Claim, 0, len(claims))}
	alone := make([]*Claim, len(claims)) // most counters have one claim
	var index map[counterField]int
	if len(claims) > manyClaims {
		index = make(map[counterField]int, len(claims))
	}
	for i := range claims {
		cl := &claims[i]
		f := fieldOf(cl)
		at := -1
		if index == nil {
			for j := range g.fields {
				if g.fields[j] == f && g.claims[j][0].Scope == cl.Scope {
					at = j
				}
			}
		} else if j, ok := index[counterField{cl.Scope, f}]; ok {
			at = j
		} else {
			index[counterField{cl.Scope, f}] = len(g.fields)
		}
		if at < 0 {
			g.fields = append(g.fields, f)
			alone[i] = cl
			g.claims = append(g.claims, alone[i:i+1:i+1])
		} else {
			g.claims[at] = append(g.claims[at], cl)
		}
	}
	return g
}

// appendDemands writes the demands of an account that has these scopes beside
// it.
func appendDemands(b []byte, g *grouped, account string, scopes []string) []byte {
	b = append(slices.Grow(b, 2+160*len(g.claims)), '[')
	for i, claims := range g.claims {
		cl := claims[0]
		if i > 0 {
			b = append(b, ',')
		}
		code := len(claims)<<8 | 1<<2
		if cl.Scope != "" && cl.Scope != account {
			code = len(claims)<<8 | (slices.Index(scopes, cl.Scope)+2)<<2
		}
		if cl.Shadow {
			code |= 1
		}
		if cl.Key != "" {
			code |= 2
		}
		b = appendText(b, g.fields[i])
		b = appendInts(b, int64(code), min(max(cl.Allow, -1), exact), min(max(cl.WarnAt, 0), exact))
		b = appendParameters(b, claims)
		for _, c := range claims {
			b = appendInts(b, int64(c.Item), c.Cost, c.Wait)
			if cl.Distinct || cl.Measure == Similar || cl.Measure == Ratio {
				b = appendText(append(b, ','), escape(c.Recipient))
			}
			if cl.Measure == Similar {
				b = appendLikeness(append(b, ','), c.Likeness)
			}
		}
	}
	return append(b, ']')
}

func appendParameters(b []byte, claims []*Claim) []byte {
	cl := claims[0]
	switch cl.Measure {
	case Calendar:
		for _, w := range cl.Windows {
			b = appendInts(b, w.Start)
			b = appendText(append(b, ','), escape(w.Label))
		}
		b = appendInts(b, cl.Windows[2].End)
		b = appendExtras(b, claims)
	case Rolling:
		b = appendInts(b, cl.Span)
		b = appendExtras(b, claims)
	case Lifetime, Credits:
		b = appendExtras(b, claims)
	case Pace:
		b = appendInts(b, cl.Span, cl.Jitter)
	case Unanswered:
		b = appendInts(b, cl.Gap)
	case Settling:
		b = appendInts(b, cl.Span)
	case Similar:
		b = appendInts(b, cl.Gap, cl.Rate)
	case Ratio:
		b = appendInts(b, cl.Span, cl.Rate, cl.Sample, flag(cl.Good == Connected))
	case Hours:
		b = append(b, ",["...)
		for i, o := range cl.Open {
			list := appendInts(nil, o.Start, o.End)
			if i == 0 {
				list = list[1:]
			}
			b = append(b, list...)
		}
		b = append(b, ']')
	}
	return b
}

// appendExtras writes what few limits have: ramp, time of returning, pots, and
// the recipients whose replies return the charge.
func appendExtras(b []byte, claims []*Claim) []byte {
	cl := claims[0]
	returned := int64(0)
	for _, c := range claims {
		returned = max(returned, c.Returned)
	}
	if cl.Ramp.Over <= 0 && returned <= 0 && len(cl.Pots) == 0 {
		return append(b, ",0"...)
	}
	b = append(b, ",["...)
	b = strconv.AppendInt(b, cl.Ramp.From, 10)
	b = appendInts(b, max(cl.Ramp.Over, 0), returned)
	b = append(b, ",["...)
	for i, p := range cl.Pots {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, '['), escape(p.Label))
		b = appendInts(b, p.Start, min(p.End, forever-1), p.Units, flag(p.Accrued))
		b = append(b, ']')
	}
	b = append(b, ']')
	if returned > 0 {
		list := make([]string, len(claims))
		for i, c := range claims {
			list[i] = escape(c.Recipient)
		}
		b = appendTexts(append(b, ','), list)
	}
	return append(b, ']')
}

func appendLikeness(b []byte, l *Likeness) []byte {
	if l == nil {
		return append(b, '0')
	}
	bands := make([]string, len(l.Bands))
	for i, band := range l.Bands {
		bands[i] = escape(band)
	}
	b = appendText(append(b, '['), escape(l.Exact))
	b = appendText(append(b, ','), hex.EncodeToString([]byte(l.Signature)))
	b = appendTexts(append(b, ','), bands)
	return append(b, ']')
}

// reads lists the keys and recipients of a request, and the fields of the
// account that its decision is known to look at beside the claims' counters.
func reads(r *Request) (keys, fields []string) {
	var seen map[string]bool // most requests have no key
	see := func(key string) {
		if key != "" && !seen[key] {
			if seen == nil {
				seen = map[string]bool{}
			}
			seen[key] = true
			keys = append(keys, escape(key))
		}
	}
	for i := range r.Claims {
		cl := &r.Claims[i]
		see(cl.Key)
		if cl.Distinct || cl.Returned > 0 || cl.Measure == Similar || cl.Measure == Ratio {
			see(cl.Recipient)
		}
		if cl.Measure == Similar && cl.Likeness != nil && cl.Scope == "" {
			for _, band := range cl.Likeness.Bands {
				fields = append(fields, "s"+escape(cl.Limit)+"|band|~b"+escape(band))
			}
		}
	}
	for _, k := range keys {
		fields = append(fields, "k|"+k)
	}
	for _, k := range r.Recipients {
		fields = append(fields, "k|"+escape(k))
	}
	if r.Same != "" {
		fields = append(fields, "m|"+escape(r.Same))
	}
	return keys, fields
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
