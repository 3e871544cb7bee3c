package rules

// What is kept of a text to tell whether another is alike: the signature of
// its words by b-bit minwise hashing.
//
// The share of equal minima of two sets of words under a random order
// estimates |A∩B| / |A∪B| (A. Broder, "On the resemblance and containment of
// documents", 1997). Of each minimum one byte is kept; two different ones have
// the same byte once in 256, which the estimate takes off again: with e of 96
// bytes equal it is (256·e − 96) / (255·96) (P. Li and A. C. König, "b-Bit
// Minwise Hashing", 2010). Its standard error at a likeness of p is
// √(p·(1−p)/96): 0.05 at 0.6, 0.04 at 0.8, 0.03 at 0.9. Only texts that share
// a band, three bytes of the first 48, are compared at all: two of a likeness
// of 0.5 do with 89 %, of 0.6 with 98 %, of 0.8 and more with over 99.99 %.
//
// Go's libraries for this (ekzhu/minhash-lsh, dgryski/go-minhash, both of 2017)
// keep eight bytes a minimum, not one, and hash without a key.

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"quotagate/ratelimit"
)

const (
	signatureBytes = 96
	likenessBands  = 16
	bandRows       = 3
	// fewWords is how many different words a text must have to be compared
	// by them. One that has fewer ("hi", "thank you") is only ever like
	// itself: a single other word would make it another text.
	fewWords = 4
)

// likeness returns what is kept of a text, or nil where there is nothing in it
// that could be alike. The same text has the same likeness on every replica
// with the same key, and without the key no word can be looked up in it.
func likeness(keyed func(kind, value string) string, text string) *ratelimit.Likeness {
	words, normal := wordsOf(text)
	if normal == "" {
		return nil
	}
	h := wordHash{key: keyed("likeness", "1") + keyed("likeness", "2")}
	hashes := make([]uint64, 0, len(words))
	for _, w := range words {
		hashes = append(hashes, h.sum(w))
	}
	slices.Sort(hashes)
	if hashes = slices.Compact(hashes); len(hashes) < fewWords {
		hashes = append(hashes[:0], h.sum(" "+normal)) // no word has a space
	}
	signature := minima(hashes)
	return &ratelimit.Likeness{
		Exact:     keyed("text", normal),
		Bands:     bandsOf(signature[:]),
		Signature: string(signature[:]),
	}
}

// A wordHash gives every word a number that nobody can tell without the key:
// the first eight bytes of SHA-256 over the key, which has a fixed length, and
// the word. What is cut off of the sum keeps it from being extended.
type wordHash struct {
	key string
	buf []byte
}

func (h *wordHash) sum(word string) uint64 {
	h.buf = append(append(h.buf[:0], h.key...), word...)
	s := sha256.Sum256(h.buf)
	return binary.BigEndian.Uint64(s[:])
}

// minima returns one byte of the least of the hashes under each of 96 orders.
// Order i is that of a·x + b: the hashes are random already, it only has to
// put them in another order than the others do.
func minima(hashes []uint64) (signature [signatureBytes]byte) {
	var least [signatureBytes]uint64
	for i := range least {
		least[i] = ^uint64(0)
	}
	for _, x := range hashes {
		for i := range least {
			least[i] = min(least[i], x*orders[i].a+orders[i].b)
		}
	}
	for i, v := range least {
		// The low bits of a·x + b depend on x's low bits alone.
		signature[i] = byte(scramble(v))
	}
	return signature
}

type order struct{ a, b uint64 }

// orders are the same everywhere and forever: signatures that are kept are
// compared with new ones.
var orders = func() (os [signatureBytes]order) {
	for i := range os {
		n := uint64(i)
		os[i] = order{a: scramble(2*n+1) | 1, b: scramble(2*n + 2)}
	}
	return os
}()

// scramble is a step of SplitMix64 (G. Steele, D. Lea and C. Flood, 2014).
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// bandsOf names the bands: the band's number and its bytes, in hex.
func bandsOf(signature []byte) []string {
	bands := make([]string, likenessBands)
	for i := range bands {
		rows := signature[i*bandRows : (i+1)*bandRows]
		bands[i] = "0123456789abcdef"[i:i+1] + hex.EncodeToString(rows)
	}
	return bands
}
