package ratelimit

// Similar: a text that went to many is a broadcast, open for a day from its
// first message; then none that is like it may go until the gap after its last.
//
// A group is a record of its own, of the key "~g" and its name, with the
// signature of its first text, its slots and its recipients. Each band of that
// text is a record of the key "~b" and the band, with the names of the groups
// that have it: what shares no band is not compared. A limit's groups and bands
// lie in counters of its name in these records, the bands' with the unit
// inBand; the limit's own counter stays empty.

import (
	"slices"
	"strconv"
)

const (
	inBand = "band"

	bandKey  = "~b"
	groupKey = "~g"

	// broadcastOpen is how long a broadcast may be sent (ms).
	broadcastOpen int64 = 24 * 60 * 60 * 1000
	// groupSlots is how many slots a group keeps apart, and groupSpare how
	// many recipients beyond those that make a broadcast, so that what is
	// given back soon is given back exactly.
	groupSlots = 64
	groupSpare = 32
)

type similarKind struct{ plain }

// alike is what Similar's counters have besides a log.
type alike struct {
	// until is, in a band, when the last of its groups ends, as far as it was
	// told; in a group, what it told its bands.
	until int64

	groups []string // of a band

	exact, signature string     // of a group
	people           []received // in the order of their first message, by the name of then
	others           int64      // messages to further recipients, whose names are not kept
}

// received is how many messages a recipient got.
type received struct {
	who string
	n   int64
}

func (a *alike) clone() *alike {
	if a == nil {
		return nil
	}
	c := *a
	c.groups, c.people = slices.Clone(a.groups), slices.Clone(a.people)
	return &c
}

// likenessOf returns how alike a text and a group are, in millionths: all of
// it where the normalised texts are the same, else what the signatures
// estimate, (256·e − n) / (255·n) with e of n bytes equal, which is less.
func (a *alike) likenessOf(l *Likeness) int64 {
	if a.exact == l.Exact {
		return 1_000_000
	}
	n := int64(len(a.signature))
	if n == 0 || len(l.Signature) != int(n) {
		return 0
	}
	equal := int64(0)
	for i := range len(l.Signature) {
		if l.Signature[i] == a.signature[i] {
			equal++
		}
	}
	return min(max((256*equal-n)*1_000_000/(255*n), 0), 999_999)
}

// ends returns when a group ends: the gap after its last message, but a day
// after its first at the earliest. c has messages.
func (c *counter) ends(gap int64) int64 {
	return max(c.log[0].at+broadcastOpen, c.log[len(c.log)-1].at+gap)
}

// A likeGroup is a group that a text belongs to.
type likeGroup struct {
	name     string
	ctr      *counter
	likeness int64
}

// groups are the names in a band.
func (c *counter) groups() []string {
	if c == nil || c.alike == nil {
		return nil
	}
	return c.alike.groups
}

// groupsOf returns the groups that a text belongs to at a time.
func (m *demand) groupsOf(l *Likeness, at int64) (groups []likeGroup) {
	if l == nil || l.Signature == "" {
		return nil
	}
	for _, band := range l.Bands {
		for _, name := range m.other(bandKey+band).find(m.claim.Limit, Similar, inBand).groups() {
			if slices.ContainsFunc(groups, func(g likeGroup) bool { return g.name == name }) {
				continue
			}
			g := m.other(groupKey+name).find(m.claim.Limit, Similar, "")
			if g == nil || g.alike == nil || len(g.log) == 0 || g.ends(m.claim.Gap) <= at {
				continue
			}
			if n := g.alike.likenessOf(l); n >= m.claim.Rate {
				groups = append(groups, likeGroup{name, g, n})
			}
		}
	}
	return groups
}

func (similarKind) earliest(m *demand, at int64) int64 {
	for {
		next := at
		for g, people := range m.joined(at) {
			next = max(next, g.roomAt(m.claim, people, at))
		}
		if next == at {
			return at
		}
		at = next
	}
}

// joined returns the groups that the demand's messages belong to at a time, and
// how many recipients each would have with those of the messages.
func (m *demand) joined(at int64) map[*counter]int64 {
	counts := map[*counter]int64{}
	names := map[*counter]map[string]bool{}
	var groups []likeGroup
	for i, cl := range m.claims {
		if i == 0 || cl.Likeness != m.claims[i-1].Likeness {
			groups = m.groupsOf(cl.Likeness, at)
		}
		if cl.Cost == 0 {
			continue
		}
		for _, g := range groups {
			known := names[g.ctr]
			if known == nil {
				known = make(map[string]bool, len(g.ctr.alike.people)+1)
				for _, p := range g.ctr.alike.people {
					known[p.who] = true
				}
				names[g.ctr] = known
				counts[g.ctr] = int64(len(known)) + g.ctr.alike.others
			}
			if !known[cl.Recipient] {
				known[cl.Recipient] = true
				counts[g.ctr]++
			}
		}
	}
	return counts
}

// roomAt returns the first time, not before at, at which a group that would
// have so many recipients takes another message or has ended.
func (c *counter) roomAt(cl *Claim, people, at int64) int64 {
	first, last := c.log[0].at, c.log[len(c.log)-1].at
	switch {
	case people < cl.Allow || max(last, at)-min(first, at) < broadcastOpen:
		return at
	case at < first && last-first < broadcastOpen:
		return last - broadcastOpen + 1 // before a booking of another group's day
	}
	return max(at, c.ends(cl.Gap))
}

// use tells of the group with the most recipients.
func (similarKind) use(m *demand, at int64, u *Use) {
	for i, cl := range m.claims {
		if i > 0 && cl.Likeness == m.claims[i-1].Likeness {
			continue
		}
		for _, g := range m.groupsOf(cl.Likeness, at) {
			n := int64(len(g.ctr.alike.people)) + g.ctr.alike.others
			if n > u.Used || n == u.Used && g.ctr.ends(cl.Gap) > u.Resets {
				u.Used, u.Resets = n, g.ctr.ends(cl.Gap)
			}
		}
	}
}

func (similarKind) charge(m *demand, cl *Claim, at int64, ch *charge) bool {
	if cl.Likeness == nil || cl.Likeness.Signature == "" {
		return false
	}
	var best *likeGroup
	for _, g := range m.groupsOf(cl.Likeness, at) {
		if best == nil || g.before(best) {
			best = &g
		}
	}
	var name string
	if best != nil {
		name = best.name
	} else {
		// Where two accounts turn out to be one, groups of one name are added.
		// A group lasts a day at least: one of the next that has the same text
		// has another name.
		name = cl.Likeness.Exact + "." + strconv.FormatInt(at/broadcastOpen, 10)
	}
	g := m.ensure(groupKey+name).ensure(cl.Limit, Similar, "")
	if best == nil && (g.alike == nil || len(g.log) == 0 || g.ends(cl.Gap) <= m.now) {
		g.log, g.total, g.warned = nil, 0, 0
		g.alike = &alike{exact: cl.Likeness.Exact, signature: cl.Likeness.Signature}
	}
	before := int64(len(g.alike.people)) + g.alike.others
	g.addEntry(entry{at: at, n: cl.Cost})
	for len(g.log) > groupSlots {
		g.log[2].n += g.log[1].n // never the first: it opened the broadcast
		g.log = slices.Delete(g.log, 1, 2)
	}
	g.alike.add(cl.Recipient, cl.Cost, min(cl.Allow, exactEntries)+groupSpare)
	if now := int64(len(g.alike.people)) + g.alike.others; crosses(cl.WarnAt, before, now-before) && g.warned == 0 {
		g.warned, ch.warned = 1, true
	}
	g.span = cl.Gap
	if until := g.ends(cl.Gap); best == nil || until-g.alike.until > lingers/2 {
		g.alike.until = until
		m.tellBands(cl, name, until)
	}
	ch.where, ch.label = groupKey+name, cl.Recipient
	return true
}

// before reports whether a text joins g rather than o: the more alike, then the
// older.
func (g *likeGroup) before(o *likeGroup) bool {
	switch {
	case g.likeness != o.likeness:
		return g.likeness > o.likeness
	case g.ctr.log[0].at != o.ctr.log[0].at:
		return g.ctr.log[0].at < o.ctr.log[0].at
	}
	return g.name < o.name
}

// tellBands names a group in the bands of a message that joined it, so that
// they are not forgotten before it, and lets go of those that are long over.
func (m *demand) tellBands(cl *Claim, name string, until int64) {
	for _, band := range cl.Likeness.Bands {
		c := m.ensure(bandKey+band).ensure(cl.Limit, Similar, inBand)
		if c.alike == nil {
			c.alike = &alike{}
		}
		c.alike.groups = slices.DeleteFunc(c.alike.groups, func(other string) bool {
			g := m.other(groupKey+other).find(cl.Limit, Similar, "")
			return g == nil || len(g.log) == 0 || g.ends(max(cl.Gap, g.span)) <= m.now-lingers
		})
		if !slices.Contains(c.alike.groups, name) {
			c.alike.groups = append(c.alike.groups, name)
		}
		c.alike.until = max(c.alike.until, until)
	}
}

func (a *alike) add(who string, n, most int64) {
	for i := range a.people {
		if a.people[i].who == who {
			a.people[i].n += n
			return
		}
	}
	if int64(len(a.people)) < most {
		a.people = append(a.people, received{who, n})
	} else {
		a.others += n
	}
}

// refund: what was sent at a time that is not kept apart any more was made one
// with what came next. Of others it takes one whose name is not kept: each of
// them counts as a recipient, which they are while there are as many names as
// are kept.
func (similarKind) refund(c *counter, ch *charge, _ func(string) *record) {
	i := slices.IndexFunc(c.log, func(e entry) bool { return e.at >= ch.at })
	if i < 0 || i == 0 && c.log[0].at != ch.at || c.alike == nil {
		return
	}
	took := min(ch.cost, c.log[i].n)
	c.total -= took
	if c.log[i].n -= took; c.log[i].n == 0 {
		c.log = slices.Delete(c.log, i, i+1)
	}
	if ch.warned {
		c.warned = 0
	}
	for j := range c.alike.people {
		if p := &c.alike.people[j]; p.who == ch.label {
			if p.n -= ch.cost; p.n <= 0 {
				c.alike.people = slices.Delete(c.alike.people, j, j+1)
			}
			return
		}
	}
	c.alike.others = max(c.alike.others-ch.cost, 0)
}
