package ratelimit

// What the script needs to decide a plain request the quick way; see
// script/01_quick.lua.

import "strconv"

// quickest bounds numbers so that the script may write them as they are: what
// has more than 14 digits it would write as a fraction.
const quickest = 1e13

// enduring bounds what is added to a time, so that the sum has 13 digits.
const enduring = 1e12

// A listing is texts that lie in one.
type listing struct {
	all  []byte
	ends []int
}

func (l *listing) text(parts ...string) {
	for _, p := range parts {
		l.all = append(l.all, p...)
	}
	l.ends = append(l.ends, len(l.all))
}

func (l *listing) number(n int64) {
	l.all = strconv.AppendInt(l.all, n, 10)
	l.ends = append(l.ends, len(l.all))
}

func (l *listing) texts() []string {
	list, all, from := make([]string, len(l.ends)), string(l.all), 0
	for i, to := range l.ends {
		list[i], from = all[from:to], to
	}
	return list
}

// quick writes the arguments of the quick way for a request of this account
// alone; nil where only the whole script can decide it. The keys are those that
// may stand for others. They are: how its record begins, its fraction, between
// which times the calendars are known, how many demands and keys, the fields of
// both, and of each demand how its charge begins, its cost, allowance (of a
// pace, the most it may take) and mark, and what its measure needs.
func quick(r *Request, g *grouped, token string, keys []string) []string {
	if r.Dry || r.Replace || r.Same != "" || len(r.Services)+len(r.Recipients) > 0 || len(g.fields) == 0 || len(g.fields) > manyClaims {
		return nil
	}
	from, until := int64(0), int64(quickest)-1
	for _, claims := range g.claims {
		cl := claims[0]
		if !cl.quick(len(claims)) {
			return nil
		}
		if cl.Measure == Calendar {
			from, until = max(from, cl.Windows[0].Start), min(until, cl.Windows[2].End)
		}
	}
	l := listing{all: make([]byte, 0, 96+64*len(g.fields)), ends: make([]int, 0, 6+7*len(g.fields)+len(keys))}
	l.text("G,", token, ",")
	l.number(int64(fraction(r.ID)))
	l.number(max(from, 1e12))
	l.number(until)
	l.number(int64(len(g.fields)))
	l.number(int64(len(keys)))
	for _, f := range g.fields {
		l.text(f)
	}
	for _, k := range keys {
		l.text("k|", k)
	}
	for i, claims := range g.claims {
		cl := claims[0]
		l.all = strconv.AppendInt(l.all, int64(i+1), 10)
		l.all = appendInts(l.all, int64(cl.Item), cl.Cost)
		l.text(",0,")
		l.number(cl.Cost)
		if cl.Measure == Pace {
			l.number(cl.Span + cl.Jitter)
			l.number(0)
			l.number(cl.Span)
			l.number(cl.Jitter)
			continue
		}
		l.number(max(cl.Allow, 0))
		l.number(max(cl.WarnAt, 0))
		if cl.Measure == Rolling {
			l.number(cl.Span)
		}
	}
	return l.texts()
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
		return cl.Allow <= exactEntries && cl.Span < enduring
	case Pace:
		return cl.Span+cl.Jitter < 1<<32 && cl.Cost < 1<<8
	}
	return false
}
