package ratelimit

// How records and bookings look on disk: a checksum (CRC-32C, 4 bytes), then
// varints and length-prefixed strings. It is that of the file's versions 2 and 3;
// codec_v1.go reads the one before.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const formatVersion = "3"

// olderFormats are read, and written as the present one when they change: 1
// encoded records otherwise, 2 had its journal inside the database.
var olderFormats = []string{"1", "2"}

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

// formatMark begins what a record or booking of the present format says: no
// string and no list of version 1 is as long as it would be, read as a length.
const formatMark = "\xff\xff\x7f"

// The parts of a record that it may lack, one bit each.
const (
	hasHolds = 1 << iota
	hasEvents
	hasGifts
	hasOwed
	hasScopes
	hasMark
)

func appendRecord(b []byte, r *record) []byte {
	b = append(b, 0, 0, 0, 0)
	b = append(b, formatMark...)
	b = appendString(b, r.aliasOf)
	parts := 0
	for i, has := range []bool{len(r.holds) > 0, r.replied != 0 || r.connected != 0, len(r.gifts) > 0, len(r.owed) > 0, len(r.scopes) > 0, r.mark != (mark{})} {
		if has {
			parts |= 1 << i
		}
	}
	b = append(b, byte(parts))
	if parts&hasHolds != 0 {
		b = binary.AppendUvarint(b, uint64(len(r.holds)))
		for i := range r.holds {
			b = appendHold(b, &r.holds[i])
		}
	}
	if parts&hasEvents != 0 {
		b = appendInt(b, r.replied)
		b = appendInt(b, r.connected)
	}
	if parts&hasGifts != 0 {
		b = binary.AppendUvarint(b, uint64(len(r.gifts)))
		for _, g := range r.gifts {
			b = appendString(b, g.ID)
			b = appendString(b, g.Limit)
			b = appendInt(b, g.Units)
			b = appendInt(b, g.End)
		}
	}
	if parts&hasOwed != 0 {
		b = binary.AppendUvarint(b, uint64(len(r.owed)))
		for i := range r.owed {
			b = appendString(b, r.owed[i].id)
			b = appendInt(b, r.owed[i].slot)
			b = appendInt(b, r.owed[i].until)
			b = appendCharge(b, &r.owed[i].charge)
		}
	}
	if parts&hasScopes != 0 {
		b = appendStrings(b, r.scopes)
	}
	if parts&hasMark != 0 {
		b = appendString(b, r.mark.id)
		b = appendInt(b, r.mark.at)
	}
	b = binary.AppendUvarint(b, uint64(len(r.counters)))
	for i := range r.counters {
		c := &r.counters[i]
		b = append(b, byte(c.measure))
		b = appendString(b, c.limit)
		b = appendString(b, c.unit)
		b = appendInt(b, c.first)
		b = kindOf(c.measure).encode(b, c)
	}
	return seal(b)
}

func appendHold(b []byte, h *hold) []byte {
	b = appendString(b, h.Name)
	b = appendInt(b, h.Until)
	b = appendString(b, h.Why)
	b = appendInt(b, h.Ramp)
	b = appendInt(b, h.lasted)
	b = appendInt(b, h.within)
	return appendStrings(b, h.ids)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func decodeRecord(account, key string, b []byte) (*record, error) {
	body, ok := unseal(b)
	if !ok {
		return nil, fmt.Errorf("read the counters of %q: wrong checksum: %w", account, ErrCorrupt)
	}
	d := decoder{b: body}
	r := &record{account: account, key: key}
	if !d.marked() {
		d.recordV1(r)
	} else {
		d.record(r)
	}
	if d.bad || len(d.b) > 0 {
		return nil, fmt.Errorf("read the counters of %q: %w", account, ErrCorrupt)
	}
	return r, nil
}

// marked takes the mark of the present format off, if it is there.
func (d *decoder) marked() bool {
	rest, ok := bytes.CutPrefix(d.b, []byte(formatMark))
	d.b = rest
	return ok
}

func (d *decoder) record(r *record) {
	r.aliasOf = d.string()
	parts := int(d.byte())
	if parts&hasHolds != 0 {
		r.holds = make([]hold, d.count())
		for i := range r.holds {
			d.hold(&r.holds[i])
		}
	}
	if parts&hasEvents != 0 {
		r.replied, r.connected = d.int(), d.int()
	}
	if parts&hasGifts != 0 {
		r.gifts = make([]Gift, d.count())
		for i := range r.gifts {
			r.gifts[i] = Gift{ID: d.string(), Limit: d.string(), Units: d.int(), End: d.int()}
		}
	}
	if parts&hasOwed != 0 {
		r.owed = make([]debt, d.count())
		for i := range r.owed {
			r.owed[i] = debt{id: d.string(), slot: d.int(), until: d.int(), charge: d.charge()}
		}
	}
	if parts&hasScopes != 0 {
		r.scopes = d.strings()
	}
	if parts&hasMark != 0 {
		r.mark = mark{id: d.string(), at: d.int()}
	}
	r.counters = make([]counter, d.count())
	for i := range r.counters {
		c := &r.counters[i]
		c.measure, c.limit, c.unit, c.first = Measure(d.byte()), d.string(), d.string(), d.int()
		k := kindOf(c.measure)
		if k == nil {
			d.b, d.bad = nil, true
			return
		}
		k.decode(d, c)
	}
}

func (d *decoder) hold(h *hold) {
	h.Name, h.Until, h.Why, h.Ramp = d.string(), d.int(), d.string(), d.int()
	h.lasted, h.within, h.ids = d.int(), d.int(), d.strings()
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
func isAlias(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	d := decoder{b: b[4:]}
	d.marked()
	return d.uint() > 0
}
