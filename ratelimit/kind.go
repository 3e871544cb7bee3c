package ratelimit

// A kind is what a measure does with its counter: one file for each. Its
// methods are pure: what they look at is in the demand and the records that it
// gives, what they change is its counter and the records it asked for.
//
// A new measure is a file with a type that embeds plain, and a line in kinds.
// What it counts is kept in fields of counter (record.go: the struct and
// clone); how that looks in an export is in portable.go.
type kind interface {
	// earliest returns the first time, not before at, at which the demand has
	// room by itself, as far as is known at that time; or never. Asked again
	// for the time it returned, it returns that time, or a later one.
	earliest(m *demand, at int64) int64
	// keeps reports whether a charge at a time could be remembered; where not,
	// nothing is booked for that time.
	keeps(m *demand, at int64) bool
	// fits returns how many units of a demand that never has room would have
	// it now; -1 where that says nothing.
	fits(m *demand, at int64) int64
	// use fills in Used, Allow and Resets at a slot.
	use(m *demand, at int64, u *Use)
	// charge takes a claim's cost at a slot and notes in ch what gives it back.
	// It reports false where nothing has to be given back.
	charge(m *demand, cl *Claim, at int64, ch *charge) bool
	// refund takes a charge back out of a counter. What has passed needs no
	// giving back. at loads, for changing, a record that other would give;
	// nil if there is none.
	refund(c *counter, ch *charge, at func(key string) *record)
	// merge adds what another counter of the same identity has counted.
	merge(c, o *counter)
	// same lets what a counter counted for one recipient count for another:
	// a thread has turned out to be theirs.
	same(c *counter, from, to string)
	// over reports whether all that the counter counted had ended at a time,
	// so that it says nothing any more.
	over(c *counter, at int64) bool
	// bringBack moves what lies after now to where it was counted; see
	// wrongclock.go.
	bringBack(c *counter, high, now int64)
	// encode and decode are the counter's form on disk.
	encode(b []byte, c *counter) []byte
	decode(d *decoder, c *counter)
}

// plain is what most kinds have to say about the rarer questions.
type plain struct{}

func (plain) keeps(*demand, int64) bool        { return true }
func (plain) fits(*demand, int64) int64        { return -1 }
func (plain) same(*counter, string, string)    {}
func (plain) bringBack(*counter, int64, int64) {}

// kinds has the kind of every measure that there is.
var kinds = [64]kind{
	Calendar: calendarKind{},
	Rolling:  rollingKind{},
	Lifetime: lifetimeKind{},
	Pace:     paceKind{},

	Credits:    creditsKind{},
	Concurrent: concurrentKind{},
	Hours:      hoursKind{},

	Unanswered: unansweredKind{},
	Settling:   settlingKind{},
	Similar:    similarKind{},
	Ratio:      ratioKind{},

	Calendar | distinctBit: distinctCalendar{},
	Rolling | distinctBit:  distinctRolling{},
	Lifetime | distinctBit: distinctLifetime{},
}

// distinctBit makes the measure of a claim that counts recipients another one:
// its counter shares nothing with one of messages.
const distinctBit Measure = 0x20

func (cl *Claim) measure() Measure {
	if cl.Distinct {
		return cl.Measure | distinctBit
	}
	return cl.Measure
}

// unit is the civil unit where it is part of the counter's identity.
func (cl *Claim) unit() string {
	if cl.Measure == Calendar {
		return cl.Unit
	}
	return ""
}

// kindOf returns a measure's kind; nil if there is none.
func kindOf(m Measure) kind {
	if int(m) >= len(kinds) {
		return nil
	}
	return kinds[m]
}
