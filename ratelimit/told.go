package ratelimit

// What a ledger is told beside requests: holds, what a service's answer asks for,
// what recipients did, and gifts.

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
