package proxy

// Calls that are no message and that a limit on `service.request` counts: they
// are let through, held or refused like messages, but their body streams.

import (
	"errors"

	"quotagate/rules"
)

// maxCallBody is how much of a call's body is read to find whose call it is,
// where the rest of it does not say.
const maxCallBody = 64 << 10

// call finds out whether a limit counts a call that is no message. The error
// is the client's.
func (r *reading) call(body []byte) error {
	if !r.sight.Requests() {
		return nil
	}
	if body == nil && r.sight.CallNeedsBody() {
		if r.portion == nil {
			r.portion = &portion{e: r.e}
		}
		var err error
		body, err = readBody(r.req, maxCallBody, r.portion.grow)
		switch {
		case errors.Is(err, errTooLarge):
			r.req, body = withRest(r.req, body), nil
		case err != nil:
			return requestError{err}
		default:
			r.req = withBody(r.req, body)
		}
	}
	sending, err := callSending(r.sight, body)
	switch {
	case err != nil:
		r.barrier = unread(err)
	case sending != nil:
		r.govern(sending, nil)
	}
	return nil
}

// callSending is the call as what is counted, or nil if it is not. One that
// names nobody, such as the page of a login, is not.
func callSending(s *rules.Sighting, body []byte) (*rules.Sending, error) {
	sending, err := s.CallIn(body)
	if errors.Is(err, rules.ErrUnknownAccount) {
		return nil, nil
	}
	return sending, err
}
