package ratelimit

// How charges look on disk, and the bookings that are made of them.

import (
	"encoding/binary"
	"fmt"
)

// The parts of a charge that it may lack.
const (
	chargeWarned = 1 << iota
	chargeFirst
	chargeScope
	chargeRecipient
	chargeWhere
	chargeSplit
)

func appendCharge(b []byte, c *charge) []byte {
	parts := 0
	for i, has := range []bool{c.warned, c.first, c.scope != "", c.recipient != "", c.where != "", len(c.split) > 0} {
		if has {
			parts |= 1 << i
		}
	}
	b = append(b, byte(c.measure), byte(parts))
	b = appendString(b, c.key)
	b = appendString(b, c.limit)
	b = appendString(b, c.unit)
	b = appendInt(b, int64(c.item))
	b = appendInt(b, c.cost)
	b = appendString(b, c.label)
	b = appendInt(b, c.at)
	for i, s := range []string{c.scope, c.recipient, c.where} {
		if parts&(chargeScope<<i) != 0 {
			b = appendString(b, s)
		}
	}
	if parts&chargeSplit != 0 {
		b = binary.AppendUvarint(b, uint64(len(c.split)))
		for _, s := range c.split {
			b = appendString(b, s.label)
			b = appendInt(b, s.n)
		}
	}
	return b
}

func (d *decoder) charge() charge {
	c := charge{measure: Measure(d.byte())}
	parts := d.byte()
	c.warned, c.first = parts&chargeWarned != 0, parts&chargeFirst != 0
	c.key, c.limit, c.unit = d.string(), d.string(), d.string()
	c.item, c.cost, c.label, c.at = int(d.int()), d.int(), d.string(), d.int()
	for i, s := range []*string{&c.scope, &c.recipient, &c.where} {
		if parts&(chargeScope<<i) != 0 {
			*s = d.string()
		}
	}
	if parts&chargeSplit != 0 {
		c.split = make([]share, d.count())
		for i := range c.split {
			c.split[i] = share{d.string(), d.int()}
		}
	}
	return c
}

// appendBooking writes down what gives a booking back.
func appendBooking(b []byte, same string, charges []charge) []byte {
	b = append(b, 0, 0, 0, 0)
	b = append(b, formatMark...)
	b = appendString(b, same)
	b = binary.AppendUvarint(b, uint64(len(charges)))
	for i := range charges {
		b = appendCharge(b, &charges[i])
	}
	return seal(b)
}

func decodeBooking(id string, b []byte) (same string, charges []charge, err error) {
	body, ok := unseal(b)
	if !ok {
		return "", nil, fmt.Errorf("read the booking %q: wrong checksum: %w", id, ErrCorrupt)
	}
	d := decoder{b: body}
	if !d.marked() {
		charges = d.bookingV1()
	} else {
		same = d.string()
		charges = make([]charge, d.count())
		for i := range charges {
			charges[i] = d.charge()
		}
	}
	if d.bad || len(d.b) > 0 {
		return "", nil, fmt.Errorf("read the booking %q: %w", id, ErrCorrupt)
	}
	return same, charges, nil
}
