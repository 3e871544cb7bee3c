package ratelimit

// Forgetting recipients. A counter with a key (a recipient's) whose windows,
// log and slots have all ended says nothing any more, and without an end there
// would be one for everybody who was ever written to. They are dropped a few at
// a time, along with what is written anyway. The counters of an account itself,
// its hold and its aliases stay, and so does what a lifetime counted.

import "slices"

// lingers is how long a counter is kept after the end of all that it counted
// (ms): 32 days, so that a limit that is widened from a day or a week to a
// month finds what there was. It must be more than the 26 hours by which a
// civil window ends later in the west than in the east: until then a label that
// has ended may come again.
const lingers int64 = 32 * 24 * 60 * 60 * 1000

// over reports whether all that the counter counted had ended at a time.
func (c *counter) over(at int64) bool {
	switch c.measure {
	case Calendar:
		for i := range c.wins {
			if c.wins[i].label != "" && c.wins[i].end > at {
				return false
			}
		}
		return true
	case Rolling:
		last := c.warned
		if n := len(c.log); n > 0 {
			last = max(last, c.log[n-1].at)
		}
		return last == 0 || last+c.span <= at
	case Pace:
		if len(c.slots) == 0 {
			return true
		}
		_, end := c.lastEnd(&Claim{Span: c.span})
		return c.span > 0 && end <= at // without a span: from a file that did not note it
	default:
		return c.used == 0 && c.warned == 0
	}
}

// forget drops the counters that were over at a time and reports whether the
// record is another now, or good for nothing.
func (r *record) forget(at int64) bool {
	n := len(r.counters)
	r.counters = slices.DeleteFunc(r.counters, func(c counter) bool { return c.over(at) })
	return len(r.counters) < n || n == 0
}

// sweepAtOnce is how many keyed records the memory store looks at after what it
// has charged: more than one, to be faster than they are made.
const sweepAtOnce = 2

// sweep looks at the next few keyed records.
func (s *memoryShelf) sweep(now int64) {
	for range min(sweepAtOnce, len(s.keyed)) {
		rec := s.keyed[0]
		s.keyed[0] = nil
		s.keyed = s.keyed[1:]
		if a := s.accounts[rec.account]; a == nil || a.keyed[rec.key] != rec {
			continue // it was merged into another account's
		}
		if rec.forget(now - lingers); len(rec.counters) == 0 {
			s.remove(rec)
		} else {
			s.keyed = append(s.keyed, rec)
		}
	}
}

// cursorEvery is after how many groups the sweep's place is written down, so
// that it goes on there after a restart.
const cursorEvery = 100

// sweep looks at the next few records of the tree, as many as the group has
// changed, and adds what is to be forgotten to the group.
func (s *diskShelf) sweep(now int64) error {
	n := len(s.dirty) + 1
	next, err := s.disk.some(kindRecord, s.cursor, n, func(k, v []byte) error {
		if !hasKey(k) {
			return nil
		}
		account, key, _ := splitKey(k)
		rec, err := decodeRecord(account, key, v)
		if err != nil || !rec.forget(now-lingers) {
			return err
		}
		if cached, ok := s.cache.Peek(recordName{account, key}); ok {
			if !cached.dirty { // else it is in use
				cached.counters = rec.counters
				if len(rec.counters) == 0 {
					cached.absent = true
				}
				s.touch(cached)
			}
			return nil
		}
		im := image{key: slices.Clone(k)}
		if len(rec.counters) > 0 {
			im.value = appendRecord(nil, rec)
		}
		s.swept = append(s.swept, im)
		return nil
	})
	if err != nil {
		return err
	}
	s.cursor = next
	if s.sweeps++; s.sweeps%cursorEvery == 0 {
		s.swept = append(s.swept, image{key: []byte{kindCursor}, value: seal(append(make([]byte, 4), next...))})
	}
	return nil
}

// resume finds the place where the last run's sweep was.
func (s *diskShelf) resume() error {
	v, err := s.disk.get([]byte{kindCursor})
	if body, ok := unseal(v); ok {
		s.cursor = slices.Clone(body)
	}
	return err
}
