package proxy

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// What became of a governed request.
const (
	DecisionForward = "forward" // it went to the service
	DecisionHold    = "hold"    // it waits; the last word comes in a second record
	DecisionReject  = "reject"  // it was refused and never left
	DecisionCancel  = "cancel"  // the client left before it was sent
	DecisionError   = "error"   // it could not be sent or answered
)

// A Record is what is kept of one governed request. It holds no secret: names
// of people and accounts are keyed hashes unless a rules file lists them, and
// paths are the patterns that matched.
type Record struct {
	Time     time.Time
	ID       string
	Decision string
	Mode     string // enforce or shadow
	Service  string
	Messages []RecordMessage // never empty
	Account  string
	Class    string // automated or manual

	// Limit, Used and Allow are of the limit that decided, or of the
	// tightest one where the request was let through.
	Limit       string
	Used, Allow int64
	RetryAt     time.Time // zero: not applicable, or never
	Held        time.Duration

	Method, Host string
	Status       int           // of the answer that the client got; 0: none
	Upstream     time.Duration // from sending to the answer's headers
	Client       string        // address of the client's socket
	ProxyUser    string
	Revision     string // of the rules in force
	Reason       string // one sentence, or ""
	// Warnings are the limits whose warning mark this request crossed.
	Warnings []RecordWarning
	// Shadowed names the shadow limits that would have refused it, and Warned
	// those that only warn.
	Shadowed, Warned []string
	// Coolings are the holds that the answer brought.
	Coolings []RecordCooling
}

// A RecordMessage is one message of a governed request.
type RecordMessage struct {
	Kind       string
	Recipients []string // keyed hashes
	Path       string   // the pattern that matched
	Outcome    string   // sent, not_sent, throttled, restricted, challenged; "" where not known
}

// A RecordWarning is a limit that is nearly used up.
type RecordWarning struct {
	Limit       string
	Used, Allow int64
}

// maxLogged is how many recipients of a message a line names; more are counted.
const maxLogged = 100

// AppendJSON appends the decision log's lines: one object and a newline for
// every message.
func (r *Record) AppendJSON(b []byte) []byte {
	for i := range r.Messages {
		m := &r.Messages[i]
		b = appendMoment(append(b, `{"time":`...), r.Time)
		b = appendString(b, "id", r.ID)
		b = appendString(b, "decision", r.Decision)
		b = appendString(b, "mode", r.Mode)
		b = appendString(b, "service", r.Service)
		b = appendString(b, "kind", m.Kind)
		b = appendString(b, "account", r.Account)
		b = appendString(b, "class", r.Class)
		b = appendString(b, "limit", r.Limit)
		b = appendInt(b, "used", r.Used)
		b = appendInt(b, "allow", r.Allow)
		b = appendTime(appendKey(b, "retry_at"), r.RetryAt)
		b = appendInt(b, "held_ms", r.Held.Milliseconds())
		b = appendStrings(b, "recipients", m.Recipients[:min(len(m.Recipients), maxLogged)])
		if len(m.Recipients) > maxLogged {
			b = appendInt(b, "recipients_total", int64(len(m.Recipients)))
		}
		b = appendString(b, "method", r.Method)
		b = appendString(b, "host", r.Host)
		b = appendString(b, "path", m.Path)
		b = appendInt(b, "status", int64(r.Status))
		b = appendInt(b, "upstream_ms", r.Upstream.Milliseconds())
		b = appendString(b, "client", r.Client)
		b = appendString(b, "proxy_user", r.ProxyUser)
		b = appendString(b, "rules_rev", r.Revision)
		b = appendString(b, "reason", r.Reason)
		if m.Outcome != "" {
			b = appendString(b, "outcome", m.Outcome)
		}
		if len(r.Messages) > 1 {
			b = appendInt(b, "item", int64(i))
		}
		if len(r.Warnings) > 0 {
			b = append(appendKey(b, "warnings"), '[')
			for j := range r.Warnings {
				if j > 0 {
					b = append(b, ',')
				}
				b = appendQuoted(b, r.Warnings[j].Limit)
			}
			b = append(b, ']')
		}
		if len(r.Shadowed) > 0 {
			b = appendStrings(b, "shadowed", r.Shadowed)
		}
		if len(r.Warned) > 0 {
			b = appendStrings(b, "warned", r.Warned)
		}
		b = appendCoolings(b, r.Coolings)
		b = append(b, '}', '\n')
	}
	return b
}

// appendCoolings appends the holds that an answer brought; until null is until
// someone resumes the account.
func appendCoolings(b []byte, coolings []RecordCooling) []byte {
	if len(coolings) == 0 {
		return b
	}
	b = append(appendKey(b, "cooldowns"), '[')
	for i := range coolings {
		c := &coolings[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(append(b, `{"name":`...), c.Name)
		b = appendString(b, "account", c.Account)
		if c.Recipient != "" {
			b = appendString(b, "recipient", c.Recipient)
		}
		b = appendTime(appendKey(b, "until"), c.Until)
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendTime writes a time as a JSON string, and the zero time as null.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	return appendMoment(b, t)
}

// appendMoment writes a time to the millisecond. Of the layouts that package
// time knows, RFC3339 alone is quick.
func appendMoment(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(append(b, '"'), time.RFC3339)
	b = b[:len(b)-1] // the Z
	ms := t.Nanosecond() / 1e6
	return append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z', '"')
}

func appendKey(b []byte, key string) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	return append(b, '"', ':')
}

func appendString(b []byte, key, v string) []byte {
	return appendQuoted(appendKey(b, key), v)
}

func appendInt(b []byte, key string, v int64) []byte {
	return strconv.AppendInt(appendKey(b, key), v, 10)
}

func appendStrings(b []byte, key string, vs []string) []byte {
	b = append(appendKey(b, key), '[')
	for i, v := range vs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, v)
	}
	return append(b, ']')
}

// appendQuoted writes v as a JSON string. AppendQuote escapes control
// characters; where v is not UTF-8 it writes replacement characters and an
// error that says so, which is what a log wants.
func appendQuoted(b []byte, v string) []byte {
	b, _ = jsontext.AppendQuote(b, v)
	return b
}
