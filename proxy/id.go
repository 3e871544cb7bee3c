package proxy

import (
	"crypto/rand"
	"time"
)

// crockford is the alphabet of ULIDs: no I, L, O or U to misread.
// https://github.com/ulid/spec, read 2026-11-21.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newID makes a ULID: 48 bits of milliseconds, then 80 random bits, so that
// ids sort by time and cannot be guessed.
func newID(now time.Time) string {
	var b [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	rand.Read(b[6:])
	// 128 bits in 26 characters of 5 bits: the first one carries 3.
	var out [26]byte
	var acc, bits uint
	pos := 25
	for i := 15; i >= 0; i-- {
		acc |= uint(b[i]) << bits
		bits += 8
		for bits >= 5 {
			out[pos] = crockford[acc&31]
			acc >>= 5
			bits -= 5
			pos--
		}
	}
	out[0] = crockford[acc&31]
	return string(out[:])
}
