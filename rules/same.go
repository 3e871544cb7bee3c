package rules

// Whether two requests send the same messages.

import (
	"strconv"
	"strings"
)

// Same names what the request sends, if its client gave every message of it an
// id: a second request of the same name is the first one again. It is a keyed
// hash over who sends, the ids, the recipients and the texts; "" where a
// message has no id.
//
// dedupes tells that nothing is charged for the second send, since the service
// itself drops it. That holds for one message alone: of a batch some may have
// been given back, and go the second time; and where a limit counts calls, the
// second is a call as the first was.
//
// Who sends is the listed account, or the identity that names one best: what
// else a request shows may have been renewed between the first time and the
// second.
func (s *Sending) Same() (name string, dedupes bool) {
	if s.hash == nil {
		return "", false
	}
	for i := range s.Messages {
		if m := &s.Messages[i]; m.ID == "" && m.Kind != requestKind {
			return "", false
		}
	}
	var b strings.Builder
	part := func(text string) {
		// With its length, so that no text can be read as two parts.
		b.WriteString(strconv.Itoa(len(text)))
		b.WriteByte(':')
		b.WriteString(text)
	}
	who := s.Account
	if who == "" && len(s.Identities) > 0 {
		who = s.Identities[0]
	}
	part(who)
	messages := 0
	dedupes = true
	for i := range s.Messages {
		m := &s.Messages[i]
		if m.Kind == requestKind {
			dedupes = false
			continue
		}
		messages++
		part(m.Name())
		part(m.ID)
		part(m.words)
		part(strconv.Itoa(len(m.Recipients)))
		for _, to := range m.Recipients {
			part(to)
		}
		dedupes = dedupes && m.def != nil && m.def.Dedupes
	}
	if messages == 0 {
		return "", false
	}
	return s.hash("same", b.String()), dedupes && messages == 1
}
