package admin

import (
	"bytes"
	"slices"
	"sync"

	"quotagate/proxy"
)

// Recent keeps the latest decisions as the lines of the decision log, and
// passes new ones to whoever follows. The zero value is ready.
type Recent struct {
	mu        sync.Mutex
	tail      []byte // the latest lines, oldest first
	followers map[chan []byte]struct{}
	totals    map[string]int64
}

// keepBytes is how much is kept at least, once it was there, for those who come
// later: about 1,000 decisions of 500 bytes. Twice as much is kept at most,
// beside one record that is larger.
const keepBytes = 512 << 10

// followerQueue is how many lines a follower may lag behind before it loses
// some: a slow reader must never slow a message down.
const followerQueue = 256

// Add takes one record and its lines, of which it keeps a copy.
func (r *Recent) Add(rec *proxy.Record, lines []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.totals == nil {
		r.totals = map[string]int64{}
	}
	r.totals[rec.Decision] += int64(len(rec.Messages))
	if len(r.tail) > 2*keepBytes-len(lines) && len(r.tail) > keepBytes {
		old := len(r.tail) - keepBytes
		old += bytes.IndexByte(r.tail[old:], '\n') + 1
		r.tail = append(r.tail[:0], r.tail[old:]...)
	}
	r.tail = append(r.tail, lines...)
	if len(r.followers) == 0 {
		return
	}
	line := bytes.Clone(lines)
	for f := range r.followers {
		select {
		case f <- line:
		default:
		}
	}
}

// Lines returns what is kept, oldest first.
func (r *Recent) Lines() [][]byte {
	r.mu.Lock()
	tail := bytes.Clone(r.tail)
	r.mu.Unlock()
	return slices.Collect(bytes.Lines(tail))
}

// Totals counts the messages by decision since the start.
func (r *Recent) Totals() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]int64, len(r.totals))
	for k, v := range r.totals {
		out[k] = v
	}
	return out
}

// Follow returns a channel of new lines, and a function that ends it.
func (r *Recent) Follow() (<-chan []byte, func()) {
	ch := make(chan []byte, followerQueue)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.followers == nil {
		r.followers = map[chan []byte]struct{}{}
	}
	r.followers[ch] = struct{}{}
	return ch, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.followers, ch)
	}
}
