package ratelimit

// Holds: a person's pause, and the cool-downs that a service asked for. A hold
// that has ended is remembered for as long as its ramp goes on, and for as long
// as the same one, if it came again, would last longer for it.

import (
	"fmt"
	"slices"
)

type hold struct {
	Hold
	// lasted is how long it lasted (ms), and within how long after its end it
	// grows if it comes again.
	lasted, within int64
	ids            []string // of the latest coolings
}

// keptCoolings is how many ids of coolings a hold remembers. Those of one time
// are as many as messages were on their way at once.
const keptCoolings = 16

func (h *hold) active(now int64) bool { return h.Until == 0 || h.Until > now }

// growsBack reports whether there are allowances that grow back after it.
func (h *hold) growsBack() bool { return h.Ramp > 0 && h.Until > 0 }

// over reports whether it says nothing any more at a time.
func (h *hold) over(at int64) bool {
	return !h.active(at) && h.Until+max(h.Ramp, h.within) <= at
}

// ends is when it ends; forever when someone must resume.
func (h *hold) ends() int64 {
	if h.Until == 0 {
		return forever
	}
	return h.Until
}

func (r *record) holdOf(name string) *hold {
	for i := range r.holds {
		if r.holds[i].Name == name {
			return &r.holds[i]
		}
	}
	return nil
}

// addHold takes in a hold of another record: of one name the later end stays.
func (r *record) addHold(o *hold) {
	h := r.holdOf(o.Name)
	switch {
	case h == nil:
		c := *o
		c.ids = slices.Clone(o.ids)
		r.holds = append(r.holds, c)
	case o.ends() > h.ends():
		ids := append(slices.Clone(h.ids), o.ids...)
		*h = *o
		h.ids = ids[max(len(ids)-keptCoolings, 0):]
	}
}

// tidyHolds forgets what is over.
func (r *record) tidyHolds(now int64) {
	r.holds = slices.DeleteFunc(r.holds, func(h hold) bool { return h.over(now) })
}

// lift ends all holds and reports whether there were any.
func (r *record) lift(now int64) (lifted bool) {
	for i := range r.holds {
		if h := &r.holds[i]; h.active(now) {
			h.Until, lifted = now, true
		}
	}
	if lifted {
		r.tidyHolds(now)
	}
	return lifted
}

// A halt is what all the holds on a request come to.
type halt struct {
	until    int64 // 0 none, forever until someone resumes
	why, key string
	keyed    bool // a recipient's hold is among them
	all      []Hold
}

// add takes a record's active holds in; list says whether each is wanted.
func (t *halt) add(r *record, key string, now int64, list bool) {
	if r == nil {
		return
	}
	for i := range r.holds {
		h := &r.holds[i]
		if !h.active(now) {
			continue
		}
		if t.keyed = t.keyed || key != ""; h.ends() > t.until {
			t.until, t.why, t.key = h.ends(), h.Why, key
		}
		if list {
			t.all = append(t.all, h.Hold)
		}
	}
}

// halted finds the holds on a request.
func (g *engine) halted(account string, wide *record, r *Request, now int64) (halt, error) {
	var t halt
	t.add(wide, "", now, r.Dry)
	for _, s := range r.Services {
		_, rec, err := g.canon(s)
		if err != nil {
			return t, err
		}
		t.add(rec, "", now, r.Dry)
	}
	for i, key := range r.Recipients {
		if key == "" || slices.Contains(r.Recipients[:i], key) {
			continue
		}
		_, rec, err := g.canonKey(account, key)
		if err != nil {
			return t, err
		}
		t.add(rec, key, now, r.Dry)
	}
	return t, nil
}

func (g *engine) pause(account string, h *Hold) error {
	if account == "" {
		return fmt.Errorf("pause: %w: it has no account", ErrInvalid)
	}
	account, wide, err := g.canon(account)
	if err != nil {
		return err
	}
	now := g.clock.read()
	if h == nil {
		return g.resume(account, wide, now)
	}
	if wide == nil {
		wide = g.create(account, "")
	}
	if old := wide.holdOf(h.Name); old != nil {
		old.Hold = *h
	} else {
		wide.holds = append(wide.holds, hold{Hold: *h})
	}
	g.shelf.touch(wide)
	return nil
}

// resume lifts the holds of an account and of its recipients.
func (g *engine) resume(account string, wide *record, now int64) error {
	if wide == nil {
		return nil
	}
	if wide.lift(now) {
		g.shelf.touch(wide)
	}
	keys, err := g.shelf.keys(account)
	if err != nil {
		return err
	}
	for _, key := range keys {
		rec, err := g.shelf.load(account, key)
		if err != nil {
			return err
		}
		if rec != nil && rec.lift(now) {
			g.shelf.touch(rec)
		}
	}
	return nil
}

func (c *Cooling) wrong() string {
	switch {
	case c.Account == "":
		return "it has no account"
	case len(c.Account) > maxName || len(c.Key) > maxName || len(c.Name) > maxName || len(c.ID) > maxName:
		return "a name is too long"
	case min(c.For, c.Least, c.Grow, c.Max, c.Ramp) < 0 || max(c.For, c.Least, c.Max, c.Ramp) > maxSpan || c.Grow > maxGrow:
		return "a time is out of range"
	}
	return ""
}

// maxGrow keeps the product of grown exact; see maxExact.
const maxGrow = 1_000_000

// grown is a time that is multiplied by so many thousandths.
func grown(ms, grow int64) int64 { return ms/1000*grow + ms%1000*grow/1000 }

func (g *engine) cool(c *Cooling) (Hold, error) {
	if what := c.wrong(); what != "" {
		return Hold{}, fmt.Errorf("cool down: %w: %s", ErrInvalid, what)
	}
	now := g.clock.read()
	account, wide, err := g.canon(c.Account)
	if err != nil {
		return Hold{}, err
	}
	if wide == nil {
		wide = g.create(account, "")
	}
	rec := wide
	if c.Key != "" {
		key, known, err := g.canonKey(account, c.Key)
		if err != nil {
			return Hold{}, err
		}
		if rec = known; rec == nil {
			rec = g.create(account, key)
		}
	}
	h := rec.holdOf(c.Name)
	if h == nil {
		rec.holds = append(rec.holds, hold{Hold: Hold{Name: c.Name, Until: -1}})
		h = &rec.holds[len(rec.holds)-1]
	} else if c.ID != "" && slices.Contains(h.ids, c.ID) {
		return h.Hold, nil
	}
	h.cool(c, now)
	g.shelf.touch(rec)
	return h.Hold, nil
}

// cool begins a hold, or prolongs it. What comes while it lasts is the answer
// to a message that was on its way when it began: it does not grow for that.
func (h *hold) cool(c *Cooling, now int64) {
	lasts := c.For
	switch {
	case h.Until >= 0 && h.active(now):
		lasts = max(lasts, h.lasted)
	case h.Until > 0 && c.Grow > 0 && now-h.Until <= c.Max:
		lasts = max(lasts, min(grown(h.lasted, c.Grow), c.Max))
	}
	lasts = max(lasts, c.Least)
	until := now + lasts
	switch {
	case c.Resumed || h.Until == 0:
		until = 0
	case h.Until > until:
		until = h.Until
	}
	h.Until, h.Why, h.Ramp = until, c.Why, c.Ramp
	h.lasted, h.within = lasts, c.Max
	if h.ids = append(h.ids, c.ID); len(h.ids) > keptCoolings {
		h.ids = h.ids[1:]
	}
}
