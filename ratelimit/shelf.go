package ratelimit

// The embedded store's shelf: decoded records in front of the disk. What an
// operation changes is written with its group; if the group fails, the
// changed records are dropped and read again, as they were.

import (
	"maps"
	"math"
	"slices"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

type recordName struct{ account, key string }

type diskShelf struct {
	disk   *disk
	cache  *simplelru.LRU[recordName, *record]
	weight int // of all records in the cache
	budget int

	// The group's changes.
	dirty    []*record
	bookings []image
	swept    []image
	images   []image // scratch
	key      []byte  // scratch

	cursor []byte // the key of the record that the sweep looks at next
	sweeps int
}

func newDiskShelf(d *disk, budget int) *diskShelf {
	s := &diskShelf{disk: d, budget: budget}
	// Its size is bounded by weight, in trim; a record never leaves in
	// the middle of a group.
	s.cache, _ = simplelru.NewLRU(math.MaxInt, func(_ recordName, r *record) { s.weight -= r.weight })
	return s
}

// fixedWeight is about what a record costs beyond what it encodes to, and
// growth about how much larger it is decoded: estimates. With a million
// accounts of four limits and a budget of 64 MiB the process had 150 MiB of
// memory of its own (million_test.go, 2026-11-21).
const (
	fixedWeight = 500
	growth      = 6
)

func (s *diskShelf) find(account, key string) (*record, error) {
	if rec, ok := s.cache.Get(recordName{account, key}); ok {
		return rec, nil
	}
	s.key = appendKey(s.key[:0], kindRecord, account, key)
	v, err := s.disk.get(s.key)
	if err != nil {
		return nil, err
	}
	rec := &record{account: account, key: key, absent: v == nil}
	if v != nil {
		if rec, err = decodeRecord(account, key, v); err != nil {
			return nil, err
		}
	}
	rec.weight = fixedWeight + growth*len(v)
	s.weight += rec.weight
	s.cache.Add(recordName{account, key}, rec)
	return rec, nil
}

func (s *diskShelf) load(account, key string) (*record, error) {
	rec, err := s.find(account, key)
	if err != nil || rec.absent {
		return nil, err
	}
	return rec, nil
}

// create is called for what load did not find: the cache remembers that.
func (s *diskShelf) create(account, key string) *record {
	rec, ok := s.cache.Get(recordName{account, key})
	if !ok {
		rec = &record{account: account, key: key, weight: fixedWeight}
		s.weight += rec.weight
		s.cache.Add(recordName{account, key}, rec)
	}
	rec.absent = false
	return rec
}

func (s *diskShelf) touch(rec *record) {
	if !rec.dirty {
		rec.dirty = true
		s.dirty = append(s.dirty, rec)
	}
}

func (s *diskShelf) remove(rec *record) {
	rec.empty()
	rec.aliasOf, rec.absent = "", true
	s.touch(rec)
}

func (s *diskShelf) keys(account string) ([]string, error) {
	found := map[string]bool{}
	s.key = appendKey(s.key[:0], kindRecord, account, "")
	err := s.disk.each(s.key, func(k, _ []byte) error {
		if _, key, ok := splitKey(k); ok && key != "" {
			found[key] = true
		}
		return nil
	})
	for _, rec := range s.dirty {
		if rec.account == account && rec.key != "" {
			found[rec.key] = true
		}
	}
	maps.DeleteFunc(found, func(key string, _ bool) bool {
		rec, ok := s.cache.Get(recordName{account, key})
		return ok && rec.absent
	})
	return slices.Sorted(maps.Keys(found)), err
}

func (s *diskShelf) book(res *reservation) {
	s.bookings = append(s.bookings, image{
		key:   appendKey(nil, kindBooking, res.home, res.id),
		value: appendBooking(nil, res.same, res.charges),
	})
}

func (s *diskShelf) unbook(res *reservation) {
	s.bookings = append(s.bookings, image{key: appendKey(nil, kindBooking, res.home, res.id)})
}

// changed reports whether the group has anything to write.
func (s *diskShelf) changed() bool { return len(s.dirty) > 0 || len(s.bookings) > 0 }

// write commits the group's changes. After an error they are gone.
func (s *diskShelf) write(now int64) error {
	s.images = s.images[:0]
	for _, rec := range s.dirty {
		key := appendKey(make([]byte, 0, len(rec.account)+len(rec.key)+4), kindRecord, rec.account, rec.key)
		im := image{key: key}
		if !rec.absent {
			s.key = appendRecord(s.key[:0], rec)
			im.value = slices.Clone(s.key)
		}
		s.images = append(s.images, im)
	}
	s.images = append(append(s.images, s.bookings...), s.swept...)
	if err := s.disk.write(s.images, now); err != nil {
		s.discard()
		return err
	}
	for i, rec := range s.dirty {
		rec.dirty = false
		s.weight -= rec.weight
		rec.weight = fixedWeight + growth*len(s.images[i].value)
		s.weight += rec.weight
	}
	s.settled()
	return nil
}

// discard drops what the group changed.
func (s *diskShelf) discard() {
	for _, rec := range s.dirty {
		s.cache.Remove(recordName{rec.account, rec.key})
	}
	s.settled()
}

func (s *diskShelf) settled() {
	clear(s.dirty)
	clear(s.bookings)
	clear(s.swept)
	clear(s.images)
	s.dirty, s.bookings, s.swept, s.images = s.dirty[:0], s.bookings[:0], s.swept[:0], s.images[:0]
	s.trim()
}

// trim keeps the cache within its budget, between groups.
func (s *diskShelf) trim() {
	for s.weight > s.budget && s.cache.Len() > 0 {
		s.cache.RemoveOldest()
	}
}
