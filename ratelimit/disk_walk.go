package ratelimit

// Going through the tree of the embedded store's file: all of a kind, a few at
// a time, or to change them.

import (
	"bytes"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// each calls f with every key that starts with prefix, and its value, in no
// order. f must not keep them.
func (d *disk) each(prefix []byte, f func(key, value []byte) error) error {
	for k, v := range d.images.under(prefix) {
		if v != nil {
			if err := f([]byte(k), v); err != nil {
				return err
			}
		}
	}
	return d.eachInTree(prefix, func(k, v []byte) error {
		if _, ok := d.images.get(k); ok {
			return nil
		}
		return f(k, v)
	})
}

// eachInTree is each without what is still in the journal. Any goroutine may
// call it.
func (d *disk) eachInTree(prefix []byte, f func(key, value []byte) error) error {
	return d.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketTree).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if err := f(k, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// some calls f with the next n keys of a kind in the tree, from a key on, and
// their values, and returns where to go on; nil is the beginning. It leaves out
// what a journal has a newer image of. f must not keep them.
func (d *disk) some(kind byte, from []byte, n int, f func(key, value []byte) error) (next []byte, err error) {
	if len(from) == 0 {
		from = []byte{kind}
	}
	err = d.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketTree).Cursor()
		k, v := c.Seek(from)
		for ; n > 0 && len(k) > 0 && k[0] == kind; n-- {
			if _, ok := d.images.get(k); !ok {
				if err := f(k, v); err != nil {
					return err
				}
			}
			k, v = c.Next()
		}
		if len(k) > 0 && k[0] == kind {
			next = slices.Clone(k)
		}
		return nil
	})
	return next, err
}

// amend passes every value of a kind to f and puts what f makes of it in its
// place, then sets the clock. If it fails half-way, the clock is as it was.
func (d *disk) amend(kind byte, clock int64, f func(key, value []byte) ([]byte, error)) error {
	// The journal goes first: it would bring back old values, and the clock.
	if err := d.carryAll(nil, d.clock, &d.journal.journalNote); err != nil {
		return err
	}
	next := []byte{kind}
	for next != nil {
		err := d.update(func(tx *bolt.Tx) (err error) {
			if next, err = amendSome(tx.Bucket(bucketTree), kind, next, f); err == nil && next == nil {
				d.clock = clock
				err = putClock(tx, clock)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// amendAtOnce is how many values are amended in one transaction.
const amendAtOnce = 10_000

// amendSome amends the values from a key on and returns the key to go on with;
// nil when there are no more.
func amendSome(tree *bolt.Bucket, kind byte, from []byte, f func(key, value []byte) ([]byte, error)) ([]byte, error) {
	var changed []image
	c := tree.Cursor()
	k, v := c.Seek(from)
	for n := 0; n < amendAtOnce && len(k) > 0 && k[0] == kind; n++ {
		amended, err := f(k, v)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(amended, v) {
			changed = append(changed, image{slices.Clone(k), amended})
		}
		k, v = c.Next()
	}
	var next []byte
	if len(k) > 0 && k[0] == kind {
		next = slices.Clone(k)
	}
	for _, im := range changed {
		if err := tree.Put(im.key, im.value); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// A snapshot is the values as they were at one moment: the tree's, with the
// newer images over them. Any goroutine may read it, until close, which should be
// soon: meanwhile no page that is freed is used again, and the file cannot grow.
type snapshot struct {
	tx     *bolt.Tx
	recent map[string][]byte
}

func (d *disk) snapshot(recent map[string][]byte) (*snapshot, error) {
	tx, err := d.db.Begin(false)
	if err != nil {
		return nil, err
	}
	return &snapshot{tx, recent}, nil
}

func (s *snapshot) close() { _ = s.tx.Rollback() }

// each calls f with a key, all of its kind behind it, and their values, sorted,
// until f wants no more.
func (s *snapshot) each(from []byte, f func(key, value []byte) (more bool, err error)) error {
	left := slices.Sorted(maps.Keys(s.recent))
	c := s.tx.Bucket(bucketTree).Cursor()
	k, v := c.Seek(from)
	for {
		inTree := len(k) > 0 && k[0] == from[0]
		if !inTree && len(left) == 0 {
			return nil
		}
		key, value := k, v
		newer := len(left) > 0 && (!inTree || left[0] <= string(k))
		if newer {
			key, value = []byte(left[0]), s.recent[left[0]]
		}
		if value != nil {
			if more, err := f(key, value); err != nil || !more {
				return err
			}
		}
		if inTree && (!newer || left[0] == string(k)) {
			k, v = c.Next()
		}
		if newer {
			left = left[1:]
		}
	}
}
