package ratelimit

// A kind is what a measure does with its counter: one file for each. Its
// methods are pure: what they look at is in the demand, what they change is
// its counter and the records it asked for.
type kind interface {
	// needs names the keys of further records of the account that the demand
	// looks at; it is asked again, with those loaded, until it names nothing
	// new.
	needs(m *demand) []string
	// earliest returns the first time, not before at, at which the demand has
	// room by itself, as far as is known at that time; or never. Asked again
	// for the time it returned, it returns that time, or a later one.
	earliest(m *demand, at int64) int64
	// use fills in Used, Allow and Resets at a slot.
	use(m *demand, at, now int64, u *Use)
	// charge takes a claim's cost at a slot. It reports false where nothing
	// has to be given back.
	charge(m *demand, cl *Claim, at, now int64, id string) (charge, bool)
	// refund takes a charge back out of a counter. What has passed needs no
	// giving back.
	refund(c *counter, ch *charge)
	// merge adds what another counter of the same identity has counted.
	merge(c, o *counter)
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
