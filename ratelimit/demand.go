package ratelimit

// A demand is what all the claims of a request on one counter ask of it, and
// what the evaluator found.

import "strings"

type demand struct {
	claim  *Claim   // the first of them
	claims []*Claim // all of them
	kind   kind
	first  int // the index of claim in the request

	id      string // the reservation's
	now     int64
	account string  // the sender
	home    string  // the account that has the counter: the sender, or the scope
	wide    *record // home's record; nil when nothing is known of it
	record  *record // the counter's; nil when nothing was counted
	ctr     *counter
	queue   *queue // home's bookings
	eng     *engine
	placed  bool // it has a place in the queue: a gap before those behind it will do

	cost int64
	wait int64 // the shortest of theirs

	// at is the time at which this demand has room by itself, as far as it
	// was asked for; 0 when it always had.
	at    int64
	short bool
	warn  bool
}

// place returns the account that has the record of a key: those that begin
// with "~" are a kind's own and lie beside the counter, those of recipients
// are the sender's.
func place(account, scope, key string) string {
	if scope != "" && strings.HasPrefix(key, "~") {
		return scope
	}
	return account
}

// other returns another record of the account; nil when nothing is known. One
// that cannot be read fails the operation.
func (m *demand) other(key string) *record {
	return m.eng.other(place(m.account, m.claim.Scope, key), key)
}

// ensure is other for charging: it makes the record where it is missing, and
// marks it as changed.
func (m *demand) ensure(key string) *record {
	account := place(m.account, m.claim.Scope, key)
	rec := m.eng.other(account, key)
	if rec == nil {
		rec = m.eng.create(account, key)
	}
	m.eng.shelf.touch(rec)
	return rec
}

// recipients returns whom the claims name that cost anything, each once, in
// the order of the claims.
func (m *demand) recipients() []string {
	if len(m.claims) == 1 {
		if m.cost == 0 {
			return nil
		}
		return []string{m.claim.Recipient}
	}
	list := make([]string, 0, len(m.claims))
	var seen map[string]bool
	if len(m.claims) > manyClaims {
		seen = make(map[string]bool, len(m.claims))
	}
next:
	for _, cl := range m.claims {
		if cl.Cost == 0 {
			continue
		}
		if seen != nil {
			if seen[cl.Recipient] {
				continue
			}
			seen[cl.Recipient] = true
		} else {
			for _, r := range list {
				if r == cl.Recipient {
					continue next
				}
			}
		}
		list = append(list, cl.Recipient)
	}
	return list
}
