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
	scope, limit, key, unit string
	measure                 Measure
}

func nameOf(cl *Claim) counterName {
	return counterName{scope: cl.Scope, limit: cl.Limit, key: cl.Key, measure: cl.measure(), unit: cl.unit()}
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
		ds = append(ds, demand{claim: cl, kind: kindOf(cl.measure()), first: i, cost: cl.Cost, wait: cl.Wait})
	}
	return ds, owner
}

func sameCounter(a, b *Claim) bool {
	return a.Measure == b.Measure && a.Limit == b.Limit && a.Key == b.Key && a.Distinct == b.Distinct &&
		a.Scope == b.Scope && (a.Measure != Calendar || a.Unit == b.Unit)
}

// allot gives every demand its claims, in slab, whose length is theirs.
func allot(ds []demand, owner []int32, claims []Claim, slab []*Claim) {
	for i := range ds {
		ds[i].claims = nil
	}
	if len(ds) == len(claims) {
		for i := range claims {
			slab[i] = &claims[i]
			ds[i].claims = slab[i : i+1 : i+1]
		}
		return
	}
	counts := make([]int, len(ds))
	for _, j := range owner {
		counts[j]++
	}
	from := 0
	for j := range ds {
		ds[j].claims = slab[from : from : from+counts[j]]
		from += counts[j]
	}
	for i, j := range owner {
		ds[j].claims = append(ds[j].claims, &claims[i])
	}
}

func (m *demand) add(cl *Claim) {
	m.cost += cl.Cost
	m.wait = min(m.wait, cl.Wait)
}

// check finds what a caller may not ask. now must lie in a window of every
// Calendar claim.
func (r *Request) check(now int64) error {
	if err := r.valid(); err != nil {
		return err
	}
	for i := range r.Claims {
		cl := &r.Claims[i]
		if cl.Measure == Calendar && (now < cl.Windows[0].Start || now >= cl.Windows[2].End) {
			return fmt.Errorf("reserve %s: limit %q: %w", r.ID, cl.Limit, ErrSkew)
		}
	}
	return nil
}

// valid is check without the clock, for those who do not know the store's.
func (r *Request) valid() error {
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
	if kindOf(cl.measure()) == nil {
		return "its measure is unknown"
	}
	switch cl.Measure {
	case Calendar:
		w := cl.Windows
		if w == nil {
			return "it has no windows"
		}
		for i := range w {
			// A civil day that a country skipped has length 0.
			if w[i].Label == "" || w[i].Start > w[i].End || i > 0 && w[i].Start != w[i-1].End {
				return "its windows do not follow each other"
			}
		}
	case Rolling, Ratio:
		if cl.Span == 0 {
			return "its span is 0"
		}
	case Hours:
		for i := 1; i < len(cl.Open); i++ {
			if cl.Open[i].Start < cl.Open[i-1].End {
				return "its open times are not in order"
			}
		}
	}
	return cl.wrongParts()
}

// wrongParts is wrong for what several measures have in common.
func (cl *Claim) wrongParts() string {
	switch {
	case len(cl.Scope) > maxName || len(cl.Recipient) > maxName:
		return "its scope or recipient is too long"
	case cl.Allow > maxCost || cl.Allow < -maxCost:
		return "its allowance is out of range"
	case cl.Ramp.From < 0 || cl.Ramp.Over < 0 || cl.Ramp.Over > maxSpan:
		return "its ramp is out of range"
	case min(cl.Returned, cl.Gap, cl.Sample, cl.Rate) < 0 || max(cl.Returned, cl.Gap) > maxSpan ||
		cl.Rate > 1_000_000 || cl.Sample > maxCost:
		return "a time or share is out of range"
	case len(cl.Pots) > 0 && cl.Distinct:
		return "it counts recipients, for which there are no pots"
	}
	for i := range cl.Pots {
		if p := &cl.Pots[i]; p.Label == "" || len(p.Label) > maxName || p.Units < 0 || p.Units > maxCost || p.Start < 0 || p.End < 0 {
			return "one of its pots is not valid"
		}
	}
	return ""
}
