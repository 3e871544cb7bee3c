package admin

import (
	"slices"
	"sync"

	"quotagate/proxy"
)

// Recent keeps the latest decisions as the lines of the decision log, and
// passes new ones to whoever follows. The zero value is ready.
type Recent struct {
	mu        sync.Mutex
	lines     [][]byte // oldest first
	bytes     int      // of all lines
	followers map[chan []byte]struct{}
	totals    map[string]int64
}

// keepLines and keepBytes bound what is kept for those who come later. A
// decision is about 500 bytes.
const (
	keepLines = 1000
	keepBytes = 4 << 20
)

// followerQueue is how many lines a follower may lag behind before it loses
// some: a slow reader must never slow a message down.
const followerQueue = 256

// Add takes one record's lines; decision is its Decision.
func (r *Recent) Add(rec *proxy.Record, lines []byte) {
	line := append([]byte(nil), lines...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.totals == nil {
		r.totals = map[string]int64{}
	}
	r.totals[rec.Decision] += int64(len(rec.Messages))
	r.lines = append(r.lines, line)
	r.bytes += len(line)
	for len(r.lines) > keepLines || r.bytes > keepBytes && len(r.lines) > 0 {
		r.bytes -= len(r.lines[0])
		r.lines[0] = nil
		r.lines = r.lines[1:]
	}
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
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
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
