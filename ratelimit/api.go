package ratelimit

// A request to a ledger, what is decided, and the store that decides.

import "context"

// A Request asks for room in all its claims together.
type Request struct {
	// ID names the reservation. Asking again with the id of a reservation
	// that is still open returns its decision and changes nothing.
	ID string
	// Account is the key of the account that is charged.
	Account string
	// Aliases are other identities that this request showed for the same
	// account. Where there is room for it with what they had counted added
	// to Account's counters, they are added, and from then on the aliases
	// stand for Account. A request that is not charged, or dry, merges
	// nothing.
	Aliases []string
	Claims  []Claim
	// Services are the scopes, and Recipients the keys of the account, that
	// may be cooling down: a hold on one of them holds this request too.
	Services, Recipients []string
	// Same names the message that this is, if its client gave it an id: asked
	// for again within a day, it is the same one. While the first is open the
	// answer is Twin; after that it is charged again, unless Dedupes.
	Same string
	// Dedupes tells that the service drops a second send: it is Go and free.
	Dedupes bool
	// Arrived is when the message first asked (ms); every Wait counts from
	// then. 0 means now, and with Replace the time of the replaced booking.
	Arrived int64
	// Replace gives the open reservation of the same ID back before this one
	// is decided, in the same step: the rules changed while it was held. A
	// booking keeps its place: those that came after it step back, and are
	// booked again behind it, none before the slot it had. (One of them that
	// cannot wait any longer is given back; its Fire is Refused.) If the
	// request is now refused, the old one stays given back.
	Replace bool
	// Sooner, with Replace, replaces a booking only if that lets it go at once
	// or gives it an earlier slot, and none of its account's other bookings has
	// to step back for it; all in one step. Else nothing changes: it keeps its
	// slot, its place and its claims, and the answer is the one that it has,
	// Repeated. So it is for whoever wants to know before a booking is due
	// whether it may go by now, and cannot lose by it. What is on its way stays
	// so, too.
	//
	// It is refused, and given back, only where no later message can be the
	// reason: a limit allows less than the request costs; or the one that it
	// waits for has a shorter wait than the booking's, and will have room by its
	// slot, but not so soon. On a Cluster see docs/ledger.md.
	Sooner bool
	// Dry decides and writes nothing. With Replace and Sooner it decides as they
	// would.
	Dry bool
}

// A Verdict is the ledger's answer.
type Verdict uint8

const (
	// Go: room in every limit, charged. Send it now.
	Go Verdict = iota + 1
	// Booked: there will be room at Decision.At, and that place is charged
	// and kept. Call Fire at that time.
	Booked
	// Later: there will be room at Decision.At within every limit's wait,
	// but nothing was charged, because a limit with a Key binds (or that
	// time lies beyond the windows a Calendar claim gave). Ask again then,
	// with the same Arrived.
	Later
	// Refused: no room within the wait. Nothing was charged.
	Refused
	// Gone is Fire's answer for an id under which nothing is reserved (any
	// more): a booking that nobody fired in time, as on a computer that
	// slept, was given back. It says nothing about room: ask again with
	// Reserve, with the same Arrived.
	Gone
	// Twin: another request with the same Same is held, and goes at
	// Decision.At, or is on its way (At is 0). Nothing was charged. Ask again
	// when it is through.
	Twin
)

func (v Verdict) String() string {
	return [...]string{"none", "go", "booked", "later", "refused", "gone", "twin"}[v]
}

// A Decision is the answer to a Request.
type Decision struct {
	Verdict Verdict
	// Now is the store's clock at the decision, in milliseconds.
	Now int64
	// At is the slot (Go, Booked), or the earliest time at which every limit
	// has room (Later, Refused). 0 with Refused means never. With Gone it is
	// Now.
	At int64
	// Limit is the limit that decided; "" for Go. PausedLimit when the
	// account is paused.
	Limit string
	// Key is the Claim.Key of the claim that decided, or the recipient whose
	// hold did.
	Key string
	// Why says in words what a hold said; otherwise "".
	Why string
	// Holds are those in force on the account, its scopes and recipients, for
	// a dry request only.
	Holds []Hold
	// Fits is, when one claim's total cost can never fit, how many units
	// would; -1 otherwise.
	Fits int64
	// Account is the account that was charged: Request.Account, or the
	// account it is an alias of.
	Account string
	// Uses has one entry for every distinct counter among the claims, in the
	// order of the claims.
	Uses []Use
	// Repeated tells that the id was known and this is its first answer.
	Repeated bool
	// Again tells that a message with the same Same went within the last day:
	// this one is another, or free where the service drops duplicates.
	Again bool
}

// Never reports whether no passing of time would let the request through.
func (d *Decision) Never() bool { return d.Verdict == Refused && d.At == 0 }

// A Use is the state of one counter after the decision.
type Use struct {
	Limit, Key string
	// Used counts this request where it was charged. For a Pace it is 0. For
	// a booking it is the use of the slot's window, else that of now's.
	Used, Allow int64
	// Resets is when the counter next falls (ms): the end of the civil
	// window, the oldest entry's leaving of a rolling one, the next free
	// slot of a pace; where so many are on their way already, the first time at
	// which one of them is given up if nobody is heard of it. 0 means never
	// (lifetime), or that nothing is counted (rolling), nobody is kept back
	// (pace) or there is room (on their way).
	Resets int64
	// Short reports that the counter had no room.
	Short bool
	// Warn reports that this request was the one that crossed WarnAt, once
	// per window. If what it took is given back, the next to cross warns.
	Warn bool
	// Shadow limits count and never decide.
	Shadow bool
}

// A Store keeps the counters and decides. All methods may be called from any
// number of goroutines.
//
// Guarantees, of every store:
//
//   - A request takes from all its claims or from none; one that is not
//     admitted changes nothing (except that Replace gives back).
//   - No window of a claim that is not Shadow ever holds more than Allow,
//     counting what is on its way, booked and spent.
//   - An answer is given after what it charged is as durable as the store can
//     make it. After a crash every message that was let go is counted, and
//     every booking that was not fired is given back.
//   - A later arrival never overtakes a booking on an account-wide limit for
//     which that booking waits.
//   - Time never goes back: now is the later of the wall clock and the latest
//     time the store has seen, also across restarts.
//   - Every method may be repeated with the same arguments and changes
//     nothing the second time.
//
// A method that returns an error has changed nothing that a later call could
// see, or wraps ErrStopped: then every later call fails. A context that ends
// before the call is queued ends it with ctx.Err(); after that the call is
// carried out and answered.
type Store interface {
	// Reserve decides a request. The claims must not be changed while the
	// reservation is open.
	Reserve(ctx context.Context, r Request) (Decision, error)
	// Fire checks a booked reservation again at its time (the account may
	// have been paused) and marks it as on its way: from then on a crash
	// counts it. The answer is Go; or Booked, with a later slot, or with the
	// same if it was fired too early; or Refused and given back. For an id
	// that is not open it is Gone, with At = Now: do not send, ask again.
	Fire(ctx context.Context, id string) (Decision, error)
	// Keep closes a reservation as spent. It does nothing for an id that is
	// not open.
	Keep(ctx context.Context, id string) error
	// Cancel gives back all that the reservation charged. It does nothing for
	// an id that is not open.
	Cancel(ctx context.Context, id string) error
	// CancelItems gives back what these items of the reservation charged; no
	// items are nothing. The rest of it, if any, stays open. It does nothing
	// for an id that is not open.
	CancelItems(ctx context.Context, id string, items []int) error
	// Resolve returns the account that the first known of these identities
	// stands for, or the first identity itself if none is known.
	Resolve(ctx context.Context, identities []string) (string, error)
	// Pause puts an account on hold; nil lifts all its holds, whoever put
	// them, and those of its recipients.
	Pause(ctx context.Context, account string, h *Hold) error
	// Cool puts on hold what a service's answer named, and returns the hold
	// as it now is.
	Cool(ctx context.Context, c Cooling) (Hold, error)
	// Observe takes note of an event. One that is not newer than what is known
	// changes nothing.
	Observe(ctx context.Context, e Event) error
	// Give adds a pot to a limit of an account.
	Give(ctx context.Context, account string, g Gift) error
	// Accounts lists the accounts that have counted anything or were ever
	// paused, sorted, without aliases.
	Accounts(ctx context.Context) ([]string, error)
	// Close lets what is under way finish. Every later call fails with
	// ErrClosed.
	Close() error
}
