package proxy

// This file keeps clients from hosts that no rule names, where the rules or the
// operator say `egress: governed-only`.

import "fmt"

// An EgressError says that no rule names a host, and that others may not be
// reached.
type EgressError struct{ Host string }

func (e *EgressError) Error() string {
	return fmt.Sprintf("no rule names %s, and other hosts may not be reached (egress: governed-only); "+
		"name it among the hosts of a service, or open the egress in the rules or in QUOTAGATE_EGRESS", e.Host)
}

// countRefused counts what the dialer refused.
func (s *Server) countRefused(err error) {
	if as[*AddressError](err) {
		s.Counts.AddressRefused.Add(1)
	}
}

// egress returns why a client may not reach host, or nil.
func (s *Server) egress(host string) error {
	set := s.cfg.Rules()
	if host == InternalHost || !set.GovernedOnly() || set.Names(host) {
		return nil
	}
	s.Counts.EgressRefused.Add(1)
	return &EgressError{host}
}
