package ratelimit

// The pieces that several kinds' counters have in common, on disk.

import "encoding/binary"

func appendTally(b []byte, w *tally) []byte {
	b = appendString(b, w.label)
	if w.label != "" {
		b = appendInt(b, w.start)
		b = appendInt(b, w.end-w.start)
		b = appendInt(b, w.used)
		b = appendBool(b, w.warned)
	}
	return b
}

func (d *decoder) tally(w *tally) {
	if w.label = d.string(); w.label != "" {
		w.start = d.int()
		w.end = w.start + d.int()
		w.used = d.int()
		w.warned = d.bool()
	}
}

// appendLog writes times as their differences.
func appendLog(b []byte, log []entry) []byte {
	b = binary.AppendUvarint(b, uint64(len(log)))
	last := int64(0)
	for _, e := range log {
		b = appendInt(b, e.at-last)
		b = appendInt(b, e.n)
		last = e.at
	}
	return b
}

func (d *decoder) log() (log []entry, total int64) {
	log = make([]entry, d.count())
	last := int64(0)
	for i := range log {
		last += d.int()
		log[i] = entry{at: last, n: d.int()}
		total += log[i].n
	}
	return log, total
}

func appendSlots(b []byte, slots []slot) []byte {
	b = binary.AppendUvarint(b, uint64(len(slots)))
	last := int64(0)
	for _, s := range slots {
		b = appendInt(b, s.at-last)
		b = appendInt(b, s.n)
		b = binary.AppendUvarint(b, uint64(s.frac))
		last = s.at
	}
	return b
}

func (d *decoder) slots() []slot {
	slots := make([]slot, d.count())
	last := int64(0)
	for i := range slots {
		last += d.int()
		slots[i] = slot{at: last, n: d.int(), frac: uint16(d.uint())}
	}
	return slots
}

func appendPots(b []byte, pots []potUse) []byte {
	b = binary.AppendUvarint(b, uint64(len(pots)))
	for _, p := range pots {
		b = appendString(b, p.label)
		b = appendInt(b, p.used)
		b = appendInt(b, p.end)
	}
	return b
}

func (d *decoder) pots() []potUse {
	n := d.count()
	if n == 0 {
		return nil
	}
	pots := make([]potUse, n)
	for i := range pots {
		pots[i] = potUse{d.string(), d.int(), d.int()}
	}
	return pots
}

func appendSights(b []byte, seen []sight) []byte {
	b = binary.AppendUvarint(b, uint64(len(seen)))
	for _, s := range seen {
		b = appendString(b, s.who)
		b = appendInt(b, s.at)
		b = appendInt(b, s.n)
	}
	return b
}

func (d *decoder) sights() []sight {
	n := d.count()
	if n == 0 {
		return nil
	}
	seen := make([]sight, n)
	for i := range seen {
		seen[i] = sight{d.string(), d.int(), d.int()}
	}
	return seen
}

func (d *decoder) strings() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.string()
	}
	return list
}
