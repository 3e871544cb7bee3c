package ratelimit

// From a request's claims to demands: claims on one counter are summed.

import "fmt"

// The bounds keep every sum and product of the evaluator far from overflow,
// and every name within a key of the embedded store (bbolt: 32 KiB).
const (
	maxCost = 1 << 40
	maxSpan = 1 << 40 // 34 years in milliseconds
	maxName = 8 << 10
)

// manyClaims is where looking for a counter among the demands one by one
// becomes slower than a map.
const manyClaims = 32

type counterName struct {
	limit, key, unit string
	measure          Measure
}

func nameOf(cl *Claim) counterName {
	n := counterName{limit: cl.Limit, key: cl.Key, measure: cl.Measure}
	if cl.Measure == Calendar {
		n.unit = cl.Unit
	}
	return n
}

// gather appends the demands of the claims to ds, in the order of the claims,
// and to owner the index of every claim's demand. Their records and counters
// are not looked up yet.
func gather(ds []demand, owner []int32, claims []Claim) ([]demand, []int32) {
	var index map[counterName]int
	if len(claims) > manyClaims {
		index = make(map[counterName]int, len(claims))
	}
next:
	for i := range claims {
		cl := &claims[i]
		if index != nil {
			name := nameOf(cl)
			if j, ok := index[name]; ok {
				ds[j].add(cl)
				owner = append(owner, int32(j))
				continue
			}
			index[name] = len(ds)
		} else {
			for j := range ds {
				if sameCounter(ds[j].claim, cl) {
					ds[j].add(cl)
					owner = append(owner, int32(j))
					continue next
				}
			}
		}
		owner = append(owner, int32(len(ds)))
		ds = append(ds, demand{claim: cl, cost: cl.Cost, wait: cl.Wait})
	}
	return ds, owner
}

func sameCounter(a, b *Claim) bool {
	return a.Measure == b.Measure && a.Limit == b.Limit && a.Key == b.Key &&
		(a.Measure != Calendar || a.Unit == b.Unit)
}

func (m *demand) add(cl *Claim) {
	m.cost += cl.Cost
	m.wait = min(m.wait, cl.Wait)
}

// check finds what a caller may not ask. now must lie in a window of every
// Calendar claim.
func (r *Request) check(now int64) error {
	if r.ID == "" && !r.Dry {
		return fmt.Errorf("reserve: %w: it has no id", ErrInvalid)
	}
	if r.Account == "" {
		return fmt.Errorf("reserve %s: %w: it has no account", r.ID, ErrInvalid)
	}
	if len(r.ID) > maxName || len(r.Account) > maxName {
		return fmt.Errorf("reserve: %w: its id or account is too long", ErrInvalid)
	}
	for _, a := range r.Aliases {
		if len(a) > maxName {
			return fmt.Errorf("reserve %s: %w: an alias is too long", r.ID, ErrInvalid)
		}
	}
	for i := range r.Claims {
		cl := &r.Claims[i]
		if what := cl.wrong(); what != "" {
			return fmt.Errorf("reserve %s: limit %q: %w: %s", r.ID, cl.Limit, ErrInvalid, what)
		}
		if cl.Measure == Calendar && (now < cl.Windows[0].Start || now >= cl.Windows[2].End) {
			return fmt.Errorf("reserve %s: limit %q: %w", r.ID, cl.Limit, ErrSkew)
		}
	}
	return nil
}

func (cl *Claim) wrong() string {
	switch {
	case cl.Limit == "":
		return "it has no name"
	case len(cl.Limit) > maxName || len(cl.Key) > maxName:
		return "its name or key is too long"
	case cl.Cost < 0 || cl.Cost > maxCost:
		return "its cost is out of range"
	case cl.Wait < 0 || cl.Wait > maxSpan:
		return "its wait is out of range"
	case cl.Jitter < 0 || cl.Jitter > maxSpan:
		return "its jitter is out of range"
	case cl.Span < 0 || cl.Span > maxSpan:
		return "its span is out of range"
	}
	switch cl.Measure {
	case Calendar:
		w := &cl.Windows
		for i := range w {
			// A civil day that a country skipped has length 0.
			if w[i].Label == "" || w[i].Start > w[i].End || i > 0 && w[i].Start != w[i-1].End {
				return "its windows do not follow each other"
			}
		}
	case Rolling:
		if cl.Span == 0 {
			return "its span is 0"
		}
	case Lifetime, Pace:
	default:
		return "its measure is unknown"
	}
	return ""
}
