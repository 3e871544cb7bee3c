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
	if s.otherPath {
		return nil, errOtherPath
	}
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
	ids, nearly, err := s.attempt(k, &read, nil)
	if err != nil {
		return nil, err
	}
	made := k.out.Messages[before:]
	var few [4]*names
	done := few[:0]
	for i := range s.candidates {
		n := s.candidates[i].match.message.names
		if slices.Contains(done, n) {
			continue
		}
		done = append(done, n)
		if !nearly && !s.nearly(n, &read) {
			continue
		}
		if err := s.sameLoosely(again, &read, n, made, ids); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// sameLoosely makes the messages once more, with what is nearly an asked name
// as that, and fails where they are others.
func (s *Sighting) sameLoosely(k making, read *content, n *names, made []Message, ids []identity) error {
	loose, err := *read, error(nil)
	loose.fields = n.loosenedFields(read.fields)
	if loose.json, err = n.loosened(read.json); err != nil {
		return err
	}
	k.out = &Sending{hash: k.out.hash}
	others, _, err := s.attempt(&k, &loose, n)
	switch {
	case err != nil:
		return err
	case !slices.Equal(ids, others), len(made) != len(k.out.Messages), len(made) > 0 && !reflect.DeepEqual(made, k.out.Messages):
		return errNames
	}
	return nil
}

// nearly reports whether the request has a name that is nearly an asked one.
func (s *Sighting) nearly(n *names, read *content) bool {
	if slices.ContainsFunc(s.candidates, func(c candidate) bool { return c.nearly }) ||
		n.nearIn(read.json) || n.nearFields(read.fields) {
		return true
	}
	if s.call.Query == "" {
		return false
	}
	query, err := readForm(s.call.Query)
	return err != nil || n.nearFields(query)
}

// attempt is gather with the names as they stand, or with what is nearly one of
// some as that. nearly tells that a text that was opened has such a name.
func (s *Sighting) attempt(k *making, read *content, loosely *names) (all []identity, nearly bool, err error) {
	held := make([]candidate, 0, 4)
	for _, c := range s.candidates {
		if slices.ContainsFunc(held, c.again) {
			continue
		}
		in := input{call: s.call, body: read, pattern: c.pattern, path: c.path, names: c.match.message.names}
		if loosely != nil {
			in.names, in.loose = loosely, true
		}
		if !c.holds(&in) {
			continue
		}
		if g := c.match.graphql; g != nil {
			if in.sent, err = g.sends(&in); err != nil {
				return nil, false, err
			}
			if in.graphql = true; len(in.sent) == 0 {
				nearly = nearly || in.nearly
				continue
			}
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
		if all == nil {
			all = ids
		} else {
			all = append(all, ids...)
		}
	}
	return all, nearly, nil
}
