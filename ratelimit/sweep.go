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

// forget drops what has been over for long enough and reports whether the
// record is another now, or good for nothing. That somebody is a connection is
// never forgotten: it happened once.
func (r *record) forget(now int64) bool {
	before := r.weighs()
	at := now - lingers
	r.counters = slices.DeleteFunc(r.counters, func(c counter) bool { return kindOf(c.measure).over(&c, at) })
	r.owed = slices.DeleteFunc(r.owed, func(o debt) bool { return o.until <= at })
	r.holds = slices.DeleteFunc(r.holds, func(h hold) bool { return h.over(at) })
	if r.replied <= at {
		r.replied = 0
	}
	if r.mark.at+day24 <= now {
		r.mark = mark{}
	}
	after := r.weighs()
	return after < before || after == 0
}

// weighs is how much the record knows; 0 is nothing.
func (r *record) weighs() int {
	n := len(r.counters) + len(r.owed) + len(r.holds) + len(r.gifts) + len(r.scopes)
	for _, has := range []bool{r.aliasOf != "", r.replied > 0, r.connected > 0, r.mark.at > 0} {
		if has {
			n++
		}
	}
	return n
}

// sweepAtOnce is how many keyed records the memory store looks at after what it
// has charged, for each that was made: more than one, to be faster.
const sweepAtOnce = 2

// sweep looks at the next few keyed records.
func (s *memoryShelf) sweep(now int64) {
	n := sweepAtOnce * max(s.made, 1)
	s.made = 0
	for range min(n, len(s.keyed)) {
		rec := s.keyed[0]
		s.keyed[0] = nil
		s.keyed = s.keyed[1:]
		if a := s.accounts[rec.account]; a == nil || a.keyed[rec.key] != rec {
			continue // it was merged into another account's
		}
		if rec.forget(now); rec.weighs() == 0 {
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
		if err != nil || !rec.forget(now) {
			return err
		}
		if cached, ok := s.cache.Peek(recordName{account, key}); ok {
			if !cached.dirty { // else it is in use
				cached.become(rec)
				cached.absent = rec.weighs() == 0
				s.touch(cached)
			}
			return nil
		}
		im := image{key: slices.Clone(k)}
		if rec.weighs() > 0 {
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
