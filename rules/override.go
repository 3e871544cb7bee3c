package rules

import (
	"maps"
	"slices"
)

// override: what a file changes in a limit that another one brought. The
// structs of the limits are this set's own, and are changed in place.

func (g *gathered) override(o *override) {
	at := g.l.r.at
	lim := g.limits[o.Limit.S]
	if lim == nil {
		if o.Limit.S != "" {
			at(o.Limit.pos, "there is no limit %q to override\n%s", o.Limit.S, choose(o.Limit.S, slices.Collect(maps.Keys(g.limits))))
		}
		return
	}
	if lim.changed != nil {
		at(o.Limit.pos, "the limit %q is overridden twice\nthe first time in %s", lim.Name.S, lim.changed.pos)
		return
	}
	lim.changed = o
	c := changes{o: o, lim: lim, at: at}
	c.number("allow", &lim.Allow, o.Allow)
	c.number("rate", &lim.Rate, o.Rate)
	c.number("unanswered", &lim.Unanswered, o.Unanswered)
	c.number("concurrent", &lim.Concurrent, o.Concurrent)
	change(c, "pace", &lim.Pace, o.Pace)
	change(c, "burst", &lim.Burst, o.Burst)
	change(c, "after_connecting", &lim.AfterConnecting, o.AfterConnecting)
	change(c, "gap", &lim.Gap, o.Gap)
	change(c, "similar", &lim.Similar, o.Similar)
	change(c, "recipients", &lim.Recipients, o.Recipients)
	change(c, "reply_rate", &lim.ReplyRate, o.ReplyRate)
	change(c, "degree_share", &lim.DegreeShare, o.DegreeShare)
	change(c, "sample", &lim.Sample, o.Sample)
	change(c, "ramp", &lim.Ramp, o.Ramp)
	change(c, "wait", &lim.Wait, o.Wait)
	change(c, "warn_at", &lim.WarnAt, o.WarnAt)
	if len(o.Hours) > 0 && c.has("hours", len(lim.Hours) > 0, o.Hours[0].pos) {
		lim.Hours = o.Hours
	}
	c.word("scale", &lim.Scale, o.Scale)
	c.word("mode", &lim.Mode, o.Mode)
	c.word("action", &lim.Action, o.Action)
	c.word("on_store_error", &lim.OnStoreError, o.OnStoreError)
}

// changes are those of one override.
type changes struct {
	o   *override
	lim *limit
	at  reporter
}

// has reports whether a key may be changed: what says how a limit counts
// changes, and does not come anew; what goes with it may.
func (c changes) has(key string, had bool, p pos) bool {
	if !had && !slices.Contains([]string{"burst", "gap", "ramp", "scale", "wait", "warn_at", "mode", "action", "on_store_error"}, key) {
		c.at(p, "the limit %q has no %s that could be overridden", c.lim.Name.S, key)
		return false
	}
	if place, ok := c.o.keys[key]; ok && c.lim.keys != nil {
		c.lim.keys[key] = place
	}
	return true
}

// change puts a new value in the place of the old one.
func change[T any](c changes, key string, old **T, now *T) {
	if now == nil {
		return
	}
	var p pos
	if where, ok := any(now).(interface{ place() pos }); ok {
		p = where.place()
	}
	if c.has(key, *old != nil, p) {
		*old = now
	}
}

func (c changes) word(key string, old *text, now text) {
	if now.S != "" && c.has(key, old.S != "", now.pos) {
		*old = now
	}
}

// number is change for a number by plan: plans that the override does not
// name keep theirs.
func (c changes) number(key string, old **allow, now *allow) {
	if now == nil || !c.has(key, *old != nil, now.pos) {
		return
	}
	if now.Plans != nil && (*old).Plans != nil {
		merged, places := maps.Clone((*old).Plans), maps.Clone((*old).places)
		maps.Copy(merged, now.Plans)
		maps.Copy(places, now.places)
		now = &allow{pos: now.pos, Plans: merged, places: places}
	}
	*old = now
}
