package ratelimit

// Carrying what is in the journal over into the tree: by a goroutine while the
// other half fills, or all at once where there is no other way.

import (
	"errors"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// room sees to it that a record fits into the journal; it reports false if the
// journal is too small for it, ever.
func (d *disk) room(record []byte) (bool, error) {
	behind := false
	if d.carried != nil {
		select {
		case err := <-d.carried:
			if err := d.heard(err); err != nil && !errors.Is(err, ErrStorage) {
				return false, err
			}
		default:
			behind = true
		}
	}
	now, ever := d.journal.fits(record)
	if now {
		return true, nil
	}
	if err := d.carryOld(); err != nil {
		return false, err
	}
	if behind || !ever {
		grown, err := d.grow()
		if err != nil {
			return false, err
		}
		if grown {
			return d.room(record)
		}
	}
	if ever {
		d.turn()
	}
	return ever, nil
}

// grow makes the journal larger, where it may and the disk has room.
func (d *disk) grow() (grown bool, err error) {
	note := d.journal.journalNote
	if note.half = 4 * note.half; note.half > largestHalf {
		return false, nil
	}
	if err = d.journal.extend(note.half); err == nil {
		err = d.carryAll(nil, d.clock, &note)
	}
	if err != nil && (isFull(err) || errors.Is(err, ErrStorage)) {
		return false, nil
	}
	return err == nil, err
}

// turn makes the young generation the old one and has it carried over.
func (d *disk) turn() {
	d.images.turn()
	d.journal.turn()
	old, clock, note := d.images.old, d.clock, d.journal.journalNote
	note.first = d.journal.began
	carried := make(chan error, 1)
	d.carried = carried
	go func() { carried <- d.carry(old, carryAtOnce, clock, &note) }()
}

// carry puts images into the tree, so many in a transaction. The last one
// writes down the clock and what is known of the journal from then on.
func (d *disk) carry(images map[string][]byte, atOnce int, clock int64, note *journalNote) error {
	keys := slices.Sorted(maps.Keys(images))
	for last := false; !last; {
		n := min(len(keys), atOnce)
		last = n == len(keys)
		err := d.update(func(tx *bolt.Tx) error {
			err := putImages(tx, images, keys[:n])
			if last {
				err = errors.Join(err, putClock(tx, clock), putNote(tx, note))
			}
			return err
		})
		if err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// heard takes in how it went with the old generation, which after ErrStorage
// is where it was.
func (d *disk) heard(err error) error {
	d.carried = nil
	if err == nil {
		d.images.old, d.journal.first = nil, d.journal.began
	}
	return err
}

func (d *disk) waitForCarrier() error {
	if d.carried == nil {
		return nil
	}
	return d.heard(<-d.carried)
}

// carryOld returns when the old generation is in the tree. If the disk was full
// before, this is where it is tried again.
func (d *disk) carryOld() error {
	if err := d.waitForCarrier(); err != nil && !errors.Is(err, ErrStorage) {
		return err
	}
	if d.images.old == nil {
		return nil
	}
	note := d.journal.journalNote
	note.first = d.journal.began
	return d.heard(d.carry(d.images.old, carryAtOnce, d.clock, &note))
}

// carryAll brings everything into the tree, and a group with it, whole or not at
// all. The journal begins anew, as note says; with none it has come to its end.
func (d *disk) carryAll(group []image, now int64, note *journalNote) error {
	if err := d.carryOld(); err != nil {
		return err
	}
	all := generations{young: maps.Clone(d.images.young)}
	all.add(group)
	if note != nil {
		n := *note
		n.first = d.journal.next
		note = &n
	}
	if err := d.carry(all.young, len(all.young), now, note); err != nil {
		return err
	}
	d.clock, d.images = now, newGenerations()
	if note != nil {
		d.journal.restart(*note)
	}
	return nil
}
