package ratelimit

// How records and bookings look on disk: a checksum (CRC-32C, 4 bytes), then
// varints and length-prefixed strings. Version 1 of the file's format.

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const formatVersion = "1"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kinds of keys in the tree: the first byte.
const (
	kindRecord  = 'r' // account, key → record
	kindBooking = 'b' // account, reservation id → booking
	kindCursor  = 's' // → the key of the record that the sweep looks at next
)

// appendKey makes a key: its kind, the account with its length, the rest. All
// keys of one account and kind lie together.
func appendKey(b []byte, kind byte, account, rest string) []byte {
	b = append(b, kind)
	b = appendString(b, account)
	return append(b, rest...)
}

func splitKey(k []byte) (account, rest string, ok bool) {
	if len(k) == 0 {
		return "", "", false
	}
	d := decoder{b: k[1:]}
	account = d.string()
	return account, string(d.b), !d.bad
}

// hasKey reports whether a record's key has a rest: it is a recipient's.
func hasKey(k []byte) bool {
	n, width := binary.Uvarint(k[1:])
	return width > 0 && uint64(len(k)-1-width) > n
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendInt(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// seal puts the checksum into the 4 bytes that b starts with.
func seal(b []byte) []byte {
	binary.BigEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return b
}

// unseal checks and removes the checksum.
func unseal(b []byte) ([]byte, bool) {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		return nil, false
	}
	return b[4:], true
}

func appendRecord(b []byte, r *record) []byte {
	b = append(b, 0, 0, 0, 0)
	b = appendString(b, r.aliasOf)
	b = appendBool(b, r.hold != nil)
	if r.hold != nil {
		b = appendInt(b, r.hold.Until)
		b = appendString(b, r.hold.Why)
	}
	b = binary.AppendUvarint(b, uint64(len(r.counters)))
	for i := range r.counters {
		b = appendCounter(b, &r.counters[i])
	}
	return seal(b)
}

// spanBit in a pace's measure says that its span follows.
const spanBit = 0x80

func appendCounter(b []byte, c *counter) []byte {
	m := byte(c.measure)
	if c.measure == Pace && c.span > 0 {
		m |= spanBit
	}
	b = append(b, m)
	b = appendString(b, c.limit)
	b = appendString(b, c.unit)
	switch c.measure {
	case Calendar:
		for i := range c.wins {
			w := &c.wins[i]
			b = appendString(b, w.label)
			if w.label != "" {
				b = appendInt(b, w.start)
				b = appendInt(b, w.end-w.start)
				b = appendInt(b, w.used)
				b = appendBool(b, w.warned)
			}
		}
	case Rolling:
		b = appendInt(b, c.span)
		b = appendInt(b, c.warned)
		b = binary.AppendUvarint(b, uint64(len(c.log)))
		last := int64(0)
		for _, e := range c.log {
			b = appendInt(b, e.at-last)
			b = appendInt(b, e.n)
			last = e.at
		}
	case Lifetime:
		b = appendInt(b, c.used)
		b = appendInt(b, c.warned)
	case Pace:
		if c.span > 0 {
			b = appendInt(b, c.span)
		}
		b = binary.AppendUvarint(b, uint64(len(c.slots)))
		last := int64(0)
		for _, s := range c.slots {
			b = appendInt(b, s.at-last)
			b = appendInt(b, s.n)
			b = binary.AppendUvarint(b, uint64(s.frac))
			last = s.at
		}
	}
	return b
}

func decodeRecord(account, key string, b []byte) (*record, error) {
	body, ok := unseal(b)
	if !ok {
		return nil, fmt.Errorf("read the counters of %q: wrong checksum: %w", account, ErrCorrupt)
	}
	d := decoder{b: body}
	r := &record{account: account, key: key, aliasOf: d.string()}
	if d.bool() {
		r.hold = &Hold{Until: d.int(), Why: d.string()}
	}
	n := d.count()
	r.counters = make([]counter, n)
	for i := range r.counters {
		d.counter(&r.counters[i])
	}
	if d.bad || len(d.b) > 0 {
		return nil, fmt.Errorf("read the counters of %q: %w", account, ErrCorrupt)
	}
	return r, nil
}

func (d *decoder) counter(c *counter) {
	m := d.byte()
	spanned := m == byte(Pace)|spanBit
	if c.measure = Measure(m); spanned {
		c.measure = Pace
	}
	c.limit, c.unit = d.string(), d.string()
	switch c.measure {
	case Calendar:
		for i := range c.wins {
			w := &c.wins[i]
			if w.label = d.string(); w.label != "" {
				w.start = d.int()
				w.end = w.start + d.int()
				w.used = d.int()
				w.warned = d.bool()
			}
		}
	case Rolling:
		c.span, c.warned = d.int(), d.int()
		c.log = make([]entry, d.count())
		last := int64(0)
		for i := range c.log {
			last += d.int()
			c.log[i] = entry{last, d.int()}
			c.total += c.log[i].n
		}
	case Lifetime:
		c.used, c.warned = d.int(), d.int()
	case Pace:
		if spanned {
			c.span = max(d.int(), 0)
		}
		c.slots = make([]slot, d.count())
		last := int64(0)
		for i := range c.slots {
			last += d.int()
			c.slots[i] = slot{at: last, n: d.int(), frac: uint16(d.uint())}
		}
	default:
		d.bad = true
	}
}

// warnedBit in a charge's measure says that it warned.
const warnedBit = 0x80

// appendBooking writes down what gives a booking back.
func appendBooking(b []byte, charges []charge) []byte {
	b = append(b, 0, 0, 0, 0)
	b = binary.AppendUvarint(b, uint64(len(charges)))
	for i := range charges {
		c := &charges[i]
		m := byte(c.measure)
		if c.warned {
			m |= warnedBit
		}
		b = append(b, m)
		b = appendString(b, c.key)
		b = appendString(b, c.limit)
		b = appendString(b, c.unit)
		b = appendInt(b, c.cost)
		b = appendString(b, c.label)
		b = appendInt(b, c.at)
	}
	return seal(b)
}

func decodeBooking(id string, b []byte) ([]charge, error) {
	body, ok := unseal(b)
	if !ok {
		return nil, fmt.Errorf("read the booking %q: wrong checksum: %w", id, ErrCorrupt)
	}
	d := decoder{b: body}
	charges := make([]charge, d.count())
	for i := range charges {
		m := d.byte()
		charges[i] = charge{
			measure: Measure(m &^ warnedBit), warned: m&warnedBit != 0, key: d.string(), limit: d.string(), unit: d.string(),
			cost: d.int(), label: d.string(), at: d.int(),
		}
	}
	if d.bad || len(d.b) > 0 {
		return nil, fmt.Errorf("read the booking %q: %w", id, ErrCorrupt)
	}
	return charges, nil
}

// A decoder reads from the front of b; once bad, it reads zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads the length of a list whose items take a byte or more each.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return 0
	}
	return int(n)
}

func (d *decoder) bytes() []byte {
	n := d.count()
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) string() string { return string(d.bytes()) }

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) bool() bool { return d.byte() == 1 }

// isAlias reports whether a record is an alias's, without decoding it.
func isAlias(b []byte) bool { return len(b) > 4 && b[4] != 0 }
