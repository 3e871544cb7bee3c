package proxy

// How much of all bodies that are read to find messages lies in memory at once.

import (
	"cmp"
	"errors"
	"sync"
)

// defaultMaxBuffered bounds the bodies in memory: eight of the largest, or
// thousands of the usual.
const defaultMaxBuffered = 512 << 20

// smallBody is as much of each body as counts as small. Large ones, in what is
// beyond it, share three quarters of the room, so that however many of them
// come there is some left for messages of the usual size.
const smallBody = 64 << 10

// errCrowded refuses a body that there is no room for.
var errCrowded = errors.New("too many bodies are in memory")

// A bodyRoom counts the bytes of bodies that are in memory.
type bodyRoom struct {
	mu         sync.Mutex
	all, large int64
}

// A portion is what one body has of the room. It grows as the body arrives: an
// announced length takes nothing.
type portion struct {
	e    *Enforcer
	size int64
}

// grow takes room for n bytes more. It does not wait for room: each of those
// that waited would hold what it has against the others.
func (p *portion) grow(n int) error {
	room, most := &p.e.bodies, cmp.Or(p.e.MaxBuffered, defaultMaxBuffered)
	size := p.size + int64(n)
	more := max(size-smallBody, 0) - max(p.size-smallBody, 0)
	room.mu.Lock()
	defer room.mu.Unlock()
	if room.all+int64(n) > most || more > 0 && room.large+more > most*3/4 {
		p.e.crowded.Add(1)
		return errCrowded
	}
	room.all += int64(n)
	room.large += more
	p.size = size
	return nil
}

// release gives all of it back.
func (p *portion) release() {
	if p.size == 0 {
		return
	}
	room := &p.e.bodies
	room.mu.Lock()
	defer room.mu.Unlock()
	room.all -= p.size
	room.large -= max(p.size-smallBody, 0)
	p.size = 0
}

// Buffered is how many bytes of bodies are in memory now.
func (e *Enforcer) Buffered() int64 {
	e.bodies.mu.Lock()
	defer e.bodies.mu.Unlock()
	return e.bodies.all
}

// Crowded is how many bodies there was no room for, and TooLarge how many were
// too large to be read, since the start.
func (e *Enforcer) Crowded() int64  { return e.crowded.Load() }
func (e *Enforcer) TooLarge() int64 { return e.tooLarge.Load() }
