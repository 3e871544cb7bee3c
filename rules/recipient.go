package rules

// Recipient is what the messages of a service call whoever the service calls
// value: the keyed hash that the ledger and the log know.
func (s *Set) Recipient(service, value string) string {
	return s.o.Hash(service+".recipient", s.matcher.foldAs(service, value))
}
