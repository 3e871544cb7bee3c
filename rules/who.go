package rules

import (
	"errors"
	"strings"
)

// Whose message it is: every identity that a request shows is collected, and
// only a listed account, never a name that the client makes up, speaks for
// several of them.

var (
	// ErrAmbiguous: one request shows identities of two listed accounts.
	ErrAmbiguous = errors.New("the request names two accounts")
	// ErrUnknownAccount: the request names nobody, and the rules say that
	// such a message is not sent.
	ErrUnknownAccount = errors.New("the request names no account")
)

// shared is the account of everybody who cannot be told apart, where the
// rules say `unknown_account: shared`.
const shared = "shared"

// Classes of messages.
const (
	automated = "automated"
	manual    = "manual"
)

// proxyUser is the kind of identity that the client gives to the proxy, not
// to the service.
const proxyUser = "proxy_user"

// identity is one thing that names an account: what kind it is, which begins
// with the service's name and a dot (or is proxy_user), and its value.
type identity struct{ Kind, Value string }

// name is the identity in public: the service and a keyed hash.
func (o Options) name(id identity) string {
	service, _, _ := strings.Cut(id.Kind, ".")
	return service + "~" + o.Hash(id.Kind, id.Value)
}

// kind is what kind of identity a source yields: its own word for it, or one
// made of the service and the source.
func (s *source) kind(service string) string {
	switch {
	case s.As != "":
		return s.As
	case s.ProxyUser:
		return proxyUser
	case s.Cookie != "":
		return service + "." + s.Cookie
	case s.Header != "":
		return service + "." + strings.ToLower(s.Header)
	case s.Bearer:
		return service + ".token"
	case s.BasicUser:
		return service + ".user"
	case s.Query != "":
		return service + "." + s.Query
	case s.Form != "":
		return service + "." + s.Form
	case s.Path != "":
		return service + "." + s.Path
	}
	return service + ".account"
}

// people is the index of the listed accounts' identities.
type people struct {
	owner map[identity]string        // of every listed identity
	named map[string]string          // the same by public name, as logs show it
	kinds map[string]map[string]bool // account: the kinds that it lists
	class map[string]map[string]text // account: proxy user: class
}

// who says whose message it is, from the identities on the wire in the order
// of their sources, and from the proxy's user. The account is "" where no
// listed one is named; names are the public names of what the wire showed.
func (s *Set) who(ids []identity, user string, authenticated bool) (account, class string, names []string, err error) {
	wire := make([]identity, 0, len(ids))
	names = make([]string, 0, len(ids))
	for _, id := range ids {
		if id.Kind == proxyUser || id.Value == "" {
			continue // the proxy's user is not on the wire
		}
		name := s.o.name(id)
		if contains(names, name) {
			continue
		}
		wire, names = append(wire, id), append(names, name)
		owner := s.people.owner[id]
		if owner == "" {
			owner = s.people.named[name]
		}
		if owner == "" {
			continue
		}
		if account != "" && owner != account {
			return "", "", nil, ErrAmbiguous
		}
		account = owner
	}
	if account == "" {
		account = s.byProxyUser(wire, user)
	}
	if account == "" && len(names) == 0 {
		if s.unknown != shared {
			return "", "", nil, ErrUnknownAccount
		}
		account = shared
	}
	class = automated
	if authenticated && s.people.class[account][user].S == manual {
		class = manual
	}
	return account, class, names, nil
}

// byProxyUser is the account that lists the proxy's user, unless the wire
// shows something of a kind that this account lists: then it is another's.
func (s *Set) byProxyUser(wire []identity, user string) string {
	if user == "" {
		return ""
	}
	account := s.people.owner[identity{proxyUser, user}]
	for _, id := range wire {
		if s.people.kinds[account][id.Kind] {
			return ""
		}
	}
	return account
}

func contains(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}
