package ratelimit

// What the script needs to decide a plain request the quick way; see
// script/06_quick.lua.

import "strconv"

// quickest bounds numbers so that the script may write them as they are: what
// has more than 14 digits it would write as a fraction.
const quickest = 1e13

// quick writes the list of the quick way for a request of this account alone;
// nil where only the whole script can decide it. The keys are those that may
// stand for others.
func quick(r *Request, g *grouped, token string, keys []string) []byte {
	if r.Dry || r.Replace || r.Same != "" || len(r.Services)+len(r.Recipients) > 0 || len(g.fields) == 0 || len(g.fields) > manyClaims {
		return nil
	}
	b := appendText([]byte{'['}, token)
	b = appendInts(b, int64(fraction(r.ID)), int64(len(g.fields)))
	b = append(b, ",["...)
	for i, f := range g.fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, f)
	}
	b = append(b, `,"n","x","h","l","t","g"`...)
	for _, k := range keys {
		b = appendText(append(b, ','), "k|"+k)
	}
	b = append(b, "],["...)
	for i, claims := range g.claims {
		cl := claims[0]
		if !cl.quick(len(claims)) {
			return nil
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = strconv.AppendInt(b, int64(i+1), 10)
		b = appendInts(b, int64(cl.Item), cl.Cost, 0)
		b = append(b, `,"`...)
	}
	b = append(b, "],["...)
	for i, claims := range g.claims {
		cl := claims[0]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"', letters[cl.Measure], '"')
		b = appendInts(b, cl.Cost, max(cl.Allow, 0), max(cl.WarnAt, 0))
		switch cl.Measure {
		case Calendar:
			b = appendInts(b, cl.Windows[0].Start, cl.Windows[2].End)
		case Rolling:
			b = appendInts(b, cl.Span)
		case Pace:
			b = appendInts(b, cl.Span, cl.Jitter)
		}
	}
	return append(b, "]]"...)
}

// quick reports whether a counter's only claim, of so many, may go the quick
// way.
func (cl *Claim) quick(of int) bool {
	if of != 1 || cl.Cost <= 0 || cl.Cost >= quickest || cl.Scope != "" || cl.Distinct || cl.Shadow ||
		cl.Ramp.Over > 0 || len(cl.Pots) > 0 || cl.Returned > 0 || cl.Allow >= quickest {
		return false
	}
	switch cl.Measure {
	case Calendar, Lifetime:
		return true
	case Rolling:
		return cl.Allow <= exactEntries
	case Pace:
		return cl.Span+cl.Jitter < 1<<32 && cl.Cost < 1<<8
	}
	return false
}
