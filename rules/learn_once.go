package rules

import (
	"encoding/json"
	"strings"
	"sync"
)

// What has no time happened when it was first seen. Answers are read again and
// again: Telegram gives the same updates until the client says it has them, and
// each time would be a reply of now.

// mostSeen bounds what is remembered; then the oldest is forgotten.
const mostSeen = 1 << 16

// seen remembers names, of each of which it is told once that it is new.
type seen struct {
	mu    sync.Mutex
	names map[string]struct{}
	order []string // a ring, once it is full
	next  int
}

func (s *seen) first(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.names[name]; known {
		return false
	}
	if s.names == nil {
		s.names = map[string]struct{}{}
	}
	s.names[name] = struct{}{}
	if len(s.order) < mostSeen {
		s.order = append(s.order, name)
		return true
	}
	delete(s.names, s.order[s.next])
	s.order[s.next] = name
	s.next = (s.next + 1) % mostSeen
	return true
}

// news reports whether the owner's event was not read out of an item like this
// one before.
func (k *learning) news(r *eventRule, item any) bool {
	b, err := json.Marshal(item) // its keys are sorted
	if err != nil {
		return false
	}
	name := strings.Join(append([]string{Pos(r.def.pos).String(), k.whose.Account, string(b)}, k.whose.Identities...), "\n")
	return k.s.set.seen.first(k.s.set.o.Hash("event", name))
}
