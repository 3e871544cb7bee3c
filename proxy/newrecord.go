package proxy

import (
	"slices"
	"time"
)

// A singleRecord is a record and the one message that nearly every request is.
type singleRecord struct {
	Record
	message [1]RecordMessage
}

// newRecord is the record of this transit as it stands.
func (t *transit) newRecord(decision string) *Record {
	single := &singleRecord{Record: Record{
		Time:      t.e.clock().Now(),
		ID:        t.id,
		Decision:  decision,
		Mode:      t.set.Mode(),
		Account:   t.account,
		Held:      t.held,
		Method:    t.req.Method,
		Host:      t.req.Host,
		Client:    t.client.Addr,
		ProxyUser: t.client.User,
		Revision:  t.set.Revision(),
	}}
	r := &single.Record
	if r.Host == "" {
		r.Host = t.req.URL.Host
	}
	r.Messages = single.message[:]
	if t.sending == nil {
		return r
	}
	r.Service, r.Class, r.Reason = t.sending.Service, t.sending.Class, t.onItsOwn()
	if n := t.sends(); n > 1 {
		r.Messages = make([]RecordMessage, n)
	}
	for i := range r.Messages {
		m := &t.sending.Messages[i]
		r.Messages[i] = RecordMessage{Kind: m.Kind, Recipients: m.Recipients, Path: m.Pattern}
	}
	d := &t.decision
	if d.Limit != "" {
		r.Limit = d.Limit
		if u := decider(d); u != nil {
			r.Used, r.Allow = u.Used, u.Allow
		}
	} else if u := tightest(d, t.claims); u != nil {
		r.Limit, r.Used, r.Allow = u.Limit, u.Used, u.Allow
	}
	if decision == DecisionHold && d.At > 0 {
		r.RetryAt = time.UnixMilli(d.At)
	}
	r.Warned, r.Shadowed = slices.Clone(t.warned), slices.Clone(t.shadowed)
	r.Coolings = t.coolings
	for i := range d.Uses {
		u := &d.Uses[i]
		if u.Warn {
			r.Warnings = append(r.Warnings, RecordWarning{u.Limit, u.Used, u.Allow})
		}
		if u.Shadow && u.Short {
			if t.set.Warns(u.Limit) {
				r.Warned = append(r.Warned, u.Limit)
			} else {
				r.Shadowed = append(r.Shadowed, u.Limit)
			}
		}
	}
	return r
}

// record notes a decision that needs no more than a status and a reason.
func (t *transit) record(decision string, status int, reason string) {
	r := t.newRecord(decision)
	r.Status, r.Reason = status, reason
	t.emit(r)
}

// report writes the last record of a request that was let through. A mere call
// to which nothing happened has none: there are too many.
func (t *transit) report(r *Record) {
	if !t.mere() || r.Decision != DecisionForward || t.noted || len(r.Warnings)+len(r.Warned)+len(r.Shadowed)+len(r.Coolings) > 0 {
		t.emit(r)
	}
}

func (t *transit) emit(r *Record) {
	if t.e.Record != nil {
		t.e.Record(r)
	}
}
