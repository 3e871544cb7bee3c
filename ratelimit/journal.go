package ratelimit

// The journal, and what of it is not yet in the tree.
//
// bbolt is a copy-on-write tree: to change a value costs rewriting the pages
// on the way to it, so a group of messages of many accounts would rewrite
// many. Instead a group is appended to a journal, a small tree of its own
// inside the same file, which costs a page or two however many accounts the
// group touches. The images of the changed values stay in memory and go to
// the tree by and by, in the commits of later groups. What is changed again
// before its turn goes there once.
//
// There are two generations of images, each with its journal. The young one
// grows; when it is large enough and the old one has been carried over, it
// becomes the old one. The journal of a generation is dropped in the
// transaction that carries its last image over.

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// chunkBytes is about the size of a piece of the journal: it fits a page.
const chunkBytes = 3500

// An image is the new value of a key; nil deletes it.
type image struct {
	key, value []byte
}

// appendChunks writes images as chunks of the journal into b and passes each
// to put. A chunk is a checksum, the ledger's time, and whole images.
func appendChunks(b []byte, images []image, now int64, put func(chunk []byte) error) ([]byte, error) {
	start := len(b)
	for i, im := range images {
		if len(b) == start {
			b = appendInt(append(b, 0, 0, 0, 0), now)
		}
		b = binary.AppendUvarint(b, uint64(len(im.key)))
		b = append(b, im.key...)
		b = appendBool(b, im.value != nil)
		if im.value != nil {
			b = binary.AppendUvarint(b, uint64(len(im.value)))
			b = append(b, im.value...)
		}
		if len(b)-start >= chunkBytes || i == len(images)-1 {
			if err := put(seal(b[start:len(b):len(b)])); err != nil {
				return b, err
			}
			start = len(b)
		}
	}
	return b, nil
}

// generations are the images that are in a journal and not yet in the tree.
type generations struct {
	young, old map[string][]byte
	carry      []string // keys of old that are still to be carried over, sorted
}

func newGenerations() generations {
	return generations{young: map[string][]byte{}, old: map[string][]byte{}}
}

// get returns the newest image of a key; nil, true for one that is deleted.
func (g *generations) get(key []byte) (value []byte, ok bool) {
	if v, ok := g.young[string(key)]; ok {
		return v, true
	}
	v, ok := g.old[string(key)]
	return v, ok
}

// under returns the newest images whose keys start with prefix.
func (g *generations) under(prefix []byte) map[string][]byte {
	m := map[string][]byte{}
	for _, gen := range []map[string][]byte{g.old, g.young} {
		for k, v := range gen {
			if strings.HasPrefix(k, string(prefix)) {
				m[k] = v
			}
		}
	}
	return m
}

// add takes a committed group in, which also carried over so many images of
// the old generation.
func (g *generations) add(images []image, carried int) {
	for _, im := range images {
		g.young[string(im.key)] = im.value
	}
	if g.carry = g.carry[carried:]; len(g.carry) == 0 && len(g.old) > 0 {
		g.old = map[string][]byte{}
	}
}

// turn makes the young generation the old one, which must have been carried
// over.
func (g *generations) turn() {
	g.old, g.young = g.young, map[string][]byte{}
	g.carry = make([]string, 0, len(g.old))
	for k := range g.old {
		g.carry = append(g.carry, k)
	}
	slices.Sort(g.carry)
}

// replay takes a chunk of a journal into the young generation and returns its
// time.
func (g *generations) replay(chunk []byte) (now int64, err error) {
	body, ok := unseal(chunk)
	if !ok {
		return 0, fmt.Errorf("read the journal: wrong checksum: %w", ErrCorrupt)
	}
	d := decoder{b: body}
	now = d.int()
	for len(d.b) > 0 {
		key := d.string()
		if d.bool() {
			g.young[key] = slices.Clone(d.bytes())
		} else {
			g.young[key] = nil
		}
	}
	if d.bad {
		return 0, fmt.Errorf("read the journal: %w", ErrCorrupt)
	}
	return now, nil
}
