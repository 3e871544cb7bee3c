package ratelimit

// Version 1 of the format, as it was until 2026-11-21: one hold, and the four
// measures that there were. Its records are read as they are met and written
// in the present format when they change.

func (d *decoder) recordV1(r *record) {
	r.aliasOf = d.string()
	if d.bool() {
		r.holds = []hold{{Hold: Hold{Until: d.int(), Why: d.string()}}}
	}
	r.counters = make([]counter, d.count())
	for i := range r.counters {
		d.counterV1(&r.counters[i])
	}
}

// spanBitV1 in a pace's measure says that its span follows.
const spanBitV1 = 0x80

func (d *decoder) counterV1(c *counter) {
	m := d.byte()
	spanned := m == byte(Pace)|spanBitV1
	if c.measure = Measure(m); spanned {
		c.measure = Pace
	}
	c.limit, c.unit = d.string(), d.string()
	switch c.measure {
	case Calendar:
		for i := range c.wins {
			d.tally(&c.wins[i])
		}
	case Rolling:
		c.span, c.warned = d.int(), d.int()
		c.log, c.total = d.log()
	case Lifetime:
		c.used, c.warned = d.int(), d.int()
	case Pace:
		if spanned {
			c.span = max(d.int(), 0)
		}
		c.slots = d.slots()
	default:
		d.b, d.bad = nil, true
	}
}

// warnedBitV1 in a charge's measure says that it warned.
const warnedBitV1 = 0x80

func (d *decoder) bookingV1() []charge {
	charges := make([]charge, d.count())
	for i := range charges {
		m := d.byte()
		charges[i] = charge{
			measure: Measure(m &^ warnedBitV1), warned: m&warnedBitV1 != 0, key: d.string(), limit: d.string(), unit: d.string(),
			cost: d.int(), label: d.string(), at: d.int(),
		}
	}
	return charges
}
