package rules

// A call itself as what is counted, whatever it does: service.request.

// requestKind is the kind of message that every call to a service is.
const requestKind = "request"

// owners are the services that own the host and whose calls a limit counts.
func (s *Sighting) owners(f func(*serviceRule)) {
	if s.set == nil {
		return
	}
	for i := -1; i < len(s.others); i++ {
		r := s.service
		if i >= 0 {
			r = s.others[i]
		}
		if r != nil && s.set.counts(r.name) {
			f(r)
		}
	}
}

// counts reports whether some limit or rate counts the calls of a service.
func (s *Set) counts(service string) bool { return len(s.byName[service+"."+requestKind]) > 0 }

// Requests reports whether a limit or a rate counts every call of the service.
func (s *Sighting) Requests() bool {
	found := false
	s.owners(func(*serviceRule) { found = true })
	return found
}

// Calls are what the call itself counts as: a message of the kind request for
// each service of the host whose calls some limit counts. They say nothing of
// whose call it is.
func (s *Sighting) Calls() []Message {
	var out []Message
	s.owners(func(r *serviceRule) {
		out = append(out, Message{Service: r.name, Kind: requestKind, Cost: 1, Segments: 1, service: r})
	})
	return out
}

// Call is the call itself, without its body, as a Sending of such messages, of
// whom the service's own account sources name; nil where no limit counts it.
// The error is an *AccountError. One of ErrUnknownAccount refuses nothing: a
// call that names nobody, such as the page of a login, is not counted, unless
// the rules say that all of nobody are one account.
func (s *Sighting) Call() (*Sending, error) { return s.CallIn(nil) }

// CallNeedsBody reports whether a body could name the account of a call, and
// nothing else of it does.
func (s *Sighting) CallNeedsBody() bool {
	needs, named := false, false
	s.owners(func(r *serviceRule) {
		in := input{call: s.call, body: new(content)}
		for i := range r.account {
			v := &r.account[i]
			if v.needsBody() {
				needs = true
			} else if found, _ := v.values(&in, true); len(found) > 0 && v.place != inProxyUser {
				named = true
			}
		}
	})
	return needs && !named
}

// CallIn is Call with the body at hand. One that cannot be read names nobody.
func (s *Sighting) CallIn(body []byte) (*Sending, error) {
	out := Sending{Messages: s.Calls()}
	if len(out.Messages) == 0 {
		return nil, nil
	}
	out.Service, out.hash = out.Messages[0].Service, s.set.o.Hash
	var read content
	if len(body) > 0 && !tooLong(s.call.Query) {
		if c, err := readBody(s.call.Header, body, s.call.MaxBody); err == nil {
			read = c
		}
	}
	var all []identity
	for _, m := range out.Messages {
		ids, err := identitiesOf(m.service.account, &input{call: s.call, body: &read})
		if err != nil {
			return nil, out.accountError(err)
		}
		all = append(all, ids...)
	}
	var err error
	out.Account, out.Class, out.Identities, err = s.set.who(all, s.call.ProxyUser, s.call.Authenticated)
	if err != nil {
		return nil, out.accountError(err)
	}
	return &out, nil
}
