package rules

// From what a request may be to the messages that it is: each match that still
// holds is held against the body, and every way to read the request has to come
// to the same.

import (
	"reflect"
	"slices"
)

// gather makes the messages that the candidates come to, and returns the
// identities that they show.
func (s *Sighting) gather(k *making, body []byte) ([]identity, error) {
	if len(s.candidates) == 0 {
		return nil, nil
	}
	if tooLong(s.call.Query) {
		return nil, errFields
	}
	var read content
	if s.NeedsBody() {
		var err error
		if read, err = readBody(s.call.Header, body, s.call.MaxBody); err != nil {
			return nil, err
		}
	}
	before, again := len(k.out.Messages), *k
	ids, nearly, err := s.attempt(k, &read, false)
	if err != nil || !nearly && !s.nearly(&read) {
		return ids, err
	}
	loose := read
	loose.fields = s.set.matcher.names.loosenedFields(read.fields)
	if loose.json, err = s.set.matcher.names.loosened(read.json); err != nil {
		return nil, err
	}
	again.out = &Sending{hash: k.out.hash}
	others, _, err := s.attempt(&again, &loose, true)
	if err != nil {
		return nil, err
	}
	made := k.out.Messages[before:]
	if !slices.Equal(ids, others) || len(made) != len(again.out.Messages) || len(made) > 0 && !reflect.DeepEqual(made, again.out.Messages) {
		return nil, errNames
	}
	return ids, nil
}

// nearly reports whether the request has a name that is nearly an asked one.
func (s *Sighting) nearly(read *content) bool {
	names := &s.set.matcher.names
	if slices.ContainsFunc(s.candidates, func(c candidate) bool { return c.nearly }) ||
		names.nearIn(read.json) || names.nearFields(read.fields) {
		return true
	}
	if s.call.Query == "" {
		return false
	}
	query, err := readForm(s.call.Query)
	return err != nil || names.nearFields(query)
}

// attempt is gather in one reading of the names. nearly tells that a text that
// was opened has a name that is nearly an asked one.
func (s *Sighting) attempt(k *making, read *content, loose bool) (all []identity, nearly bool, err error) {
	held := make([]candidate, 0, 4)
	for _, c := range s.candidates {
		if slices.ContainsFunc(held, c.again) {
			continue
		}
		in := input{call: s.call, body: read, pattern: c.pattern, path: c.path, names: &s.set.matcher.names, loose: loose}
		if !c.holds(&in) {
			continue
		}
		if slices.ContainsFunc(held, c.contradicts) {
			return nil, false, unreadable("its path can be read in two ways")
		}
		known := slices.ContainsFunc(held, c.sameMessage)
		held = append(held, c)
		if known {
			continue
		}
		var ids []identity
		if r := c.match.message; r.inner != nil {
			ids, err = k.carry(s, r, &in)
		} else {
			ids, err = k.messages(r, &in)
		}
		if err != nil {
			return nil, false, err
		}
		nearly = nearly || in.nearly
		all = append(all, ids...)
	}
	return all, nearly, nil
}
