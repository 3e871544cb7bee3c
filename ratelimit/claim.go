package ratelimit

// What a limit is asked for: a claim, and what it is made of.

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
	// Shadow counts without ever deciding.
	Shadow bool
	// Good is what makes a message good to a Ratio: Replied when its recipient
	// answered it, Connected when its recipient was a connection.
	Good EventKind
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
	// so that no change of the time zone opens a window twice. Claims may
	// share them: they are not to be changed.
	Windows *[3]Window
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
}
