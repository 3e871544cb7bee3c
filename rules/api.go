package rules

import (
	"net/http"
	"time"

	"quotagate/ratelimit"
)

// Options are what a Set needs besides its files.
type Options struct {
	// Hash is the keyed hash that names identities and recipients: short,
	// printable, the same for the same kind and value under one key. It must
	// be safe for concurrent use.
	Hash func(kind, value string) string
	// Shadow turns every limit into one that counts and never decides.
	Shadow bool
	// GovernedOnly keeps clients from all hosts that the rules do not name,
	// as `egress: governed-only` does.
	GovernedOnly bool
}

// A Call is a request as the rules see it before its body is read.
type Call struct {
	Method string
	Scheme string // http or https
	Host   string // as the client named it; may carry a port
	Path   string // escaped, as it came
	Query  string // raw, without the question mark
	Header http.Header
	// ProxyUser is the user that the client gave to the proxy, and
	// Authenticated tells whether its password was checked.
	ProxyUser     string
	Authenticated bool
	// MaxBody is the most bytes that a body may have once it is decoded; 0 is
	// 8 MiB.
	MaxBody int64
}

// A Message is one message that a request would send.
type Message struct {
	// Service and Kind: linkedin, message.
	Service, Kind string
	// Recipients are keyed hashes, each once; empty where the request names
	// none. Messages of one request may share the list: it is not to be
	// changed.
	Recipients []string
	// ID is the keyed hash of the message id that the client gave, or "".
	ID string
	// Cost is what the pack says the service counts.
	Cost int64
	// Segments is how many SMS segments the text takes; 1 where it has none,
	// and where neither the pack nor a limit counts segments.
	Segments int64
	// Likeness is what tells whether the text is like another, where some
	// limit asks: no text can be had from it. Messages may share it.
	Likeness *ratelimit.Likeness
	// Pattern is the path pattern that matched, which has no values in it.
	Pattern string

	def     *message
	rule    *messageRule
	service *serviceRule // of a request
	outcome *outcomeRule // how the answer is read
	text    string       // as it stands, where some limit looks at texts
	words   string       // its keyed hash, where the message has an id
	// thread is that of the one recipient, where the request shows both;
	// inThread tells that the recipient is a thread.
	thread   string
	inThread bool
}

// Name is service.kind, as `on:` writes it.
func (m *Message) Name() string { return m.Service + "." + m.Kind }

// A Sending is all that one request would send. It is one or more messages
// for one account.
type Sending struct {
	Messages []Message
	// Account is the listed account that the request names, or "".
	Account string
	// Identities are the keyed names of every identity found on the wire, in
	// the order of the sources; the first stands for an account that is not
	// listed. Empty when the request names nobody.
	Identities []string
	// Class is automated or manual.
	Class string
	// Service is that of the first message.
	Service string

	hash  func(kind, value string) string
	said  []Outcome // what the answer says besides of messages that were not sent
	least float64   // how long the answer's JSON asks to be left alone (s)
}

// An Outcome is what an answer says about a message.
type Outcome uint8

const (
	// Unclear: the answer matches nothing the pack knows. It counts as sent.
	Unclear Outcome = iota
	// Sent: the service took the message.
	Sent
	// NotSent: the pack says this answer proves that nothing was sent.
	NotSent
	// Throttled, Restricted and Challenged are what the service does to
	// accounts that send too much. They count as sent.
	Throttled
	Restricted
	Challenged
)

// A Refusal says why a message is not let through.
type Refusal struct {
	// Limit is the name of the limit that decided.
	Limit string
	// Reason is one sentence for a person.
	Reason      string
	Used, Allow int64
	// Now and RetryAt give the wait; a zero RetryAt means never.
	Now, RetryAt time.Time
	// ID is the request's, for the support of whoever asks.
	ID string
	// Account is the name the ledger uses.
	Account string
}

// An Answer is a complete HTTP answer. Header has its Content-Type and, from
// a Refusal, an integer Retry-After between 1 and 2147483.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}
