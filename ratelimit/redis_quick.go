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

func (l *listing) end() { l.ends = append(l.ends, len(l.all)) }

func (l *listing) texts(texts ...string) {
	for _, s := range texts {
		l.all = append(l.all, s...)
		l.end()
	}
}

func (l *listing) numbers(numbers ...int64) {
	for _, n := range numbers {
		l.all = strconv.AppendInt(l.all, n, 10)
		l.end()
	}
}

func (l *listing) list() []string {
	list, all, from := make([]string, len(l.ends)), string(l.all), 0
	for i, to := range l.ends {
		list[i], from = all[from:to], to
	}
	return list
}

// literally writes a text so that a format has it as it is.
func (l *listing) literally(s string) {
	for i := range len(s) {
		if s[i] == '%' {
			l.all = append(l.all, '%')
		}
		l.all = append(l.all, s[i])
	}
}

// record writes how the reservation is remembered (see script/60_reservation.lua)
// as a format, which lacks the slot, the decision, and what each charge took.
func (l *listing) record(r *Request, g *grouped, token string) {
	l.all = append(append(l.all, "G,"...), token...)
	l.all = appendInts(append(l.all, ",%s,0,0"...), int64(fraction(r.ID)))
	l.all = append(l.all, ",0\n"...)
	l.literally(escape(r.Same))
	l.all = append(l.all, "\n%s\n"...)
	for i, f := range g.fields {
		if i > 0 {
			l.all = append(l.all, '\t')
		}
		l.literally(f)
	}
	for i, claims := range g.claims {
		l.all = append(l.all, "\n;"[min(i, 1)])
		l.all = strconv.AppendInt(l.all, int64(i+1), 10)
		l.all = append(appendInts(l.all, int64(claims[0].Item), claims[0].Cost, 0), ",%s"...)
	}
	l.all = append(l.all, "\n\n\n"...)
	l.end()
}

// quick writes the arguments of the quick way for a request of this account
// alone; nil where only the whole script can decide it. The keys are those that
// may stand for others. They are: its record, its fraction, between which times
// the calendars are known, how many demands and keys, the usual cost, how what is
// known of the message's number begins, the fields of both (and the number's),
// and of each demand its allowance (of a pace, the most it may take), with a +
// before it and cost and mark behind it where these are not the usual ones, and
// what its measure needs.
func quick(r *Request, g *grouped, token string, keys []string) []string {
	if r.Dry || r.Replace || len(r.Services)+len(r.Recipients) > 0 || len(g.fields) == 0 || len(g.fields) > manyClaims {
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
	cost := g.claims[0][0].Cost
	l := listing{all: make([]byte, 0, 192+80*len(g.fields)), ends: make([]int, 0, 7+4*len(g.fields)+len(keys))}
	l.record(r, g, token)
	l.numbers(int64(fraction(r.ID)), max(from, 1e12), until, int64(len(g.fields)), int64(len(keys))+min(int64(len(r.Same)), 1), cost)
	if r.Same != "" {
		l.all = append(append(append(l.all, `["`...), escape(r.ID)...), `",`...)
	}
	l.end()
	l.texts(g.fields...)
	for _, k := range keys {
		l.all = append(l.all, "k|"...)
		l.texts(k)
	}
	if r.Same != "" {
		l.all = append(l.all, "m|"...)
		l.texts(escape(r.Same))
	}
	for _, claims := range g.claims {
		cl := claims[0]
		mark, allow := max(cl.WarnAt, 0), max(cl.Allow, 0)
		if cl.Measure == Pace {
			mark, allow = 0, cl.Span+cl.Jitter
		}
		if mark == 0 && cl.Cost == cost {
			l.numbers(allow)
		} else {
			l.texts("+")
			l.numbers(allow, cl.Cost, mark)
		}
		switch cl.Measure {
		case Rolling:
			l.numbers(cl.Span)
		case Pace:
			l.numbers(cl.Span, cl.Jitter)
		}
	}
	return l.list()
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
