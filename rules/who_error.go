package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// An AccountError says why it is not clear whose message a request sends. It
// wraps ErrUnknownAccount, ErrAmbiguous or ErrMixedAccounts.
type AccountError struct {
	// Err is one of those, with more to it for a person. No value of the
	// request is in it.
	Err error
	// Message is the first message of the request, which can be refused as
	// its service would.
	Message Message
}

func (e *AccountError) Error() string { return e.Err.Error() }
func (e *AccountError) Unwrap() error { return e.Err }

// accountError adds what was being sent to an error about its account; other
// errors stay as they are.
func (s *Sending) accountError(err error) error {
	if len(s.Messages) == 0 {
		return err
	}
	m := s.Messages[0]
	switch {
	case errors.Is(err, ErrUnknownAccount):
		err = fmt.Errorf("%w: %s; with unknown_account: shared all such requests are one account", err, m.looks())
	case !errors.Is(err, ErrAmbiguous) && !errors.Is(err, ErrMixedAccounts):
		return err
	}
	return &AccountError{err, m}
}

// looks says by what kinds of identity a message is known to be someone's.
func (m *Message) looks() string {
	var kinds []string
	var sources []valueSource
	switch {
	case m.rule != nil:
		sources = m.rule.account
	case m.service != nil:
		sources = m.service.account
	}
	for i := range sources {
		if kind := sources[i].kind; !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	switch n := len(kinds); n {
	case 0:
		return "no account: says where " + m.Name() + " names one"
	case 1:
		return m.Name() + " looks for " + kinds[0]
	default:
		return m.Name() + " looks for " + strings.Join(kinds[:n-1], ", ") + " or " + kinds[n-1]
	}
}
