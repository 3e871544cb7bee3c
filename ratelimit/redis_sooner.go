package ratelimit

// A booking that is decided anew only for the better, in Redis: see sooner.go and
// script/90_reserve.lua. On a Cluster its parts lie on several servers.

// replaces is 1 for Replace, 2 where that is only for the better.
func replaces(r *Request) int64 {
	if !r.Replace {
		return 0
	}
	return 1 + flag(r.Sooner)
}

func (s *Redis) knows(id, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.open[id]
	return t != nil && t.token == token
}
