package ratelimit

// The journal, and what of it is not yet in the tree.
//
// bbolt is a copy-on-write tree: to change a value costs rewriting the pages on
// the way to it and two syncs. Instead a group is appended to a journal
// (journalfile.go), which costs one write and one sync however many accounts it
// touches. The images of the changed values stay in memory and go to the tree
// later, many at a time, behind the callers' backs.
//
// There are two generations of images, each with a half of the journal. The
// young one grows; when its half is full, and the old one is in the tree, it
// becomes the old one, and the other half is written anew.

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// An image is the new value of a key; nil deletes it.
type image struct {
	key, value []byte
}

// appendGroup appends the ledger's time and a group's images to b.
func appendGroup(b []byte, images []image, now int64) []byte {
	b = appendInt(b, now)
	for _, im := range images {
		b = binary.AppendUvarint(b, uint64(len(im.key)))
		b = append(b, im.key...)
		b = appendBool(b, im.value != nil)
		if im.value != nil {
			b = binary.AppendUvarint(b, uint64(len(im.value)))
			b = append(b, im.value...)
		}
	}
	return b
}

// generations are the images that are in the journal and perhaps not in the tree.
type generations struct {
	young, old map[string][]byte
}

func newGenerations() generations { return generations{young: map[string][]byte{}} }

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

// from returns the newest images of a key and those of its kind behind it.
func (g *generations) from(key []byte) map[string][]byte {
	m := map[string][]byte{}
	for _, gen := range []map[string][]byte{g.old, g.young} {
		for k, v := range gen {
			if k >= string(key) && k[0] == key[0] {
				m[k] = v
			}
		}
	}
	return m
}

// add takes a committed group in.
func (g *generations) add(images []image) {
	for _, im := range images {
		g.young[string(im.key)] = im.value
	}
}

// turn makes the young generation the old one, which must be in the tree.
func (g *generations) turn() { g.old, g.young = g.young, map[string][]byte{} }

// replay takes a group that was read from the journal into the young generation
// and returns its time.
func (g *generations) replay(body []byte) (now int64, err error) {
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
