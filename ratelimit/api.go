package ratelimit

import "context"

// A Measure is a way of counting. It decides what a Claim's fields mean and
// what its record remembers.
type Measure uint8

const (
	// Calendar counts within a civil window (a day, a week, a month) that
	// the caller computed in the account's time zone.
	Calendar Measure = iota + 1
	// Rolling counts within the last Span milliseconds.
	Rolling
	// Lifetime counts forever.
	Lifetime
	// Pace keeps at least Span milliseconds between one message and the next.
	Pace
	// Credits are spent from Pots only: those that accrue, those that were
	// bought or given.
	Credits
	// Unanswered counts what went to Key since Key last replied, and keeps Gap
	// between one and the next.
	Unanswered
	// Settling counts what went to Key since Key became a connection, until
	// Key replies or Span has passed.
	Settling
	// Similar groups texts that are alike, and stops a group that went to
	// Allow recipients for Gap after its last.
	Similar
	// Ratio keeps the share of good messages among those of the last Span at
	// Rate or above, once there are Sample of them.
	Ratio
	// Concurrent counts what is on its way.
	Concurrent
	// Hours lets through within Open and counts nothing.
	Hours
)

// A Window is one civil window: [Start, End) in milliseconds since the Unix
// epoch, and a label such as 2026-11-21, 2026-W47 or 2026-11 that names it in
// every time zone.
type Window struct {
	Label      string
	Start, End int64
}

// An Interval is [Start, End) in milliseconds since the Unix epoch.
type Interval struct{ Start, End int64 }

// A Pot is a number of units that may be used from Start until End, once.
// Where pots and a civil window can pay, what ends first pays first, and the
// window before a pot that ends with it. A rolling or lifetime count pays
// before any pot.
type Pot struct {
	// Label names the pot within its limit: what was used of it is counted
	// under this name.
	Label string
	// Start and End are when it may be used, in milliseconds; End 0 is never.
	Start, End int64
	Units      int64
	// Accrued pots come with the plan: one that ended, or was followed by
	// another, before the counter first charged anything was never there.
	Accrued bool
}

// A Ramp is an allowance that grows evenly from From to the full one within
// Over milliseconds of the counter's first charge. An Over of 0 is none.
type Ramp struct{ From, Over int64 }

// An EventKind is what somebody did.
type EventKind uint8

const (
	// Replied: the recipient answered the account.
	Replied EventKind = iota + 1
	// Connected: the recipient became a connection of the account.
	Connected
	// SameAs: the recipient, a thread, turned out to be the recipient Is. From
	// then on it stands for it, and what it had counted is added.
	SameAs
)

// A Likeness is what is kept of a text to tell whether another is alike: no
// text can be had from it.
type Likeness struct {
	// Exact names the normalised text.
	Exact string
	// Bands name parts of the signature: texts that are alike share at least
	// one of them with near certainty.
	Bands []string
	// Signature has one byte for each hash: the share of equal bytes
	// estimates how alike two texts are.
	Signature string
}

// A Claim asks one limit for room. Limits are named, never numbered: the name
// is the identity of the counter, so moving a limit to another file keeps
// what was counted.
type Claim struct {
	// Limit is the limit's name.
	Limit string
	// Key narrows the counter within the account (the keyed hash of a
	// recipient, for a limit `by: recipient`); "" is the whole account.
	Key string
	// Item numbers the message of the request that this claim belongs to, so
	// that one message of a batch can be given back by itself.
	Item int
	// Scope is "" for a counter of the account, or the name of what shares
	// the counter: all accounts of a service. It is an account of its own to
	// the ledger.
	Scope string
	// Recipient is who gets the message (a keyed hash), for a Distinct,
	// Similar or Ratio claim and one with Returned; those have one claim for
	// each recipient.
	Recipient string

	Measure Measure
	// Distinct makes a Calendar, Rolling or Lifetime claim count recipients
	// instead of messages: one that already counts within the window of the
	// slot costs nothing more, and counts from its latest message.
	Distinct bool
	// Cost is how much this message takes: at least 0. A claim of cost 0
	// reads the counter and always has room unless the account is paused.
	// For a Pace it is the number of spacings that the message occupies,
	// normally 1 whatever the message counts for elsewhere.
	Cost int64
	// Allow is the most that may be used within one window; the most that may
	// be unanswered, or sent while Settling, or on its way at once
	// (Concurrent); the recipients that make a broadcast (Similar). Unused by
	// Pace, Credits, Ratio and Hours.
	Allow int64
	// Ramp makes Allow grow. For Calendar and Rolling.
	Ramp Ramp
	// Pots pay for what Allow does not. For Calendar, Rolling, Lifetime and
	// Credits, not with Distinct.
	Pots []Pot
	// Returned gives the charge back if Recipient replies within so many
	// milliseconds of its slot; 0 never. For Calendar, Lifetime and Credits.
	Returned int64
	// Rate is the least share of good messages (Ratio), or how alike two
	// texts are that count as one (Similar), in millionths.
	Rate int64
	// Sample is how many messages a Ratio needs before it says anything.
	Sample int64
	// Good is what makes a message good to a Ratio: Replied when its recipient
	// answered it, Connected when its recipient was a connection.
	Good EventKind
	// Gap is between unanswered messages, or after a broadcast's last (ms).
	Gap int64
	// Likeness is the text's, for Similar; without a Signature the message is
	// not looked at.
	Likeness *Likeness
	// Open are the times at which Hours lets through, sorted, from around now
	// on. A time after the last of them is taken to be open: nobody asked yet.
	Open []Interval
	// Unit is the civil unit of a Calendar claim: minute, hour, day, week,
	// month or year. It is part of the counter's identity.
	Unit string
	// Windows are the civil windows before, around and after the caller's
	// now, for Calendar; each begins where the one before ends. The store's
	// clock chooses among them. Labels of one unit must sort in the order of
	// time: a label that is not newer than one already charged prolongs it,
	// so that no change of the time zone opens a window twice.
	Windows [3]Window
	// Span is the length of a Rolling or Ratio window, the spacing of a Pace,
	// or how long Settling takes, in milliseconds.
	Span int64
	// Jitter is the most, in milliseconds, that is added to a Pace's
	// spacing. How much is added after a message is a function of its
	// reservation's id, so the next free slot is the same for whoever asks.
	Jitter int64

	// Wait is how long a message may be held for this limit, in
	// milliseconds; 0 refuses at once. A pause of the account holds it for
	// the longest Wait among the claims that are not Shadow.
	Wait int64
	// WarnAt is the number of used units at which a warning is due; 0 never.
	WarnAt int64
	// Shadow counts without ever deciding.
	Shadow bool
}

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
	// Dry decides and writes nothing.
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

// PausedLimit is Decision.Limit when the account, a recipient or a service is
// on hold.
const PausedLimit = "paused"

// A Hold stops an account: nothing is sent until it ends.
type Hold struct {
	// Name tells holds of one account apart: "" is a person's pause, others
	// are cool-downs.
	Name string
	// Until is when it ends (ms); 0 means when someone resumes the account.
	Until int64
	// Why is shown to whoever is refused.
	Why string
	// Ramp is for how long after its end (ms) the account's Calendar and
	// Rolling allowances grow back from nothing, evenly; at least 1 is
	// allowed where something was.
	Ramp int64
}

// A Cooling is what a service's answer asks for: a hold on an account, on one
// of its recipients, or on a service.
type Cooling struct {
	// ID is that of the request which was answered: the same cooling with the
	// same id changes nothing.
	ID string
	// Account is the account, or the scope that stands for a service.
	Account string
	// Key is the recipient; "" is the whole account.
	Key  string
	Name string
	Why  string
	// For is how long it lasts (ms) the first time, and Least how long the
	// service itself asked for; the longer one holds. A hold never ends
	// earlier because of another.
	For, Least int64
	// Grow, in thousandths, multiplies For each time that it comes again
	// within Max of the end of the one before; Max (ms) bounds what it grows
	// to. A Grow of 0 does not grow.
	Grow, Max int64
	// Resumed makes it last until someone resumes the account.
	Resumed bool
	Ramp    int64
}

// An Event is what was learned of a recipient.
type Event struct {
	Account   string
	Recipient string
	Kind      EventKind
	Is        string // for SameAs
	At        int64  // ms; 0 is now. A time in the future counts as now.
}

// A Gift is a pot that a person gives to a limit of an account.
type Gift struct {
	// ID names the gift: giving it again changes nothing.
	ID, Limit string
	Units     int64
	// End is when what is left of it is lost (ms); 0 never.
	End int64
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
