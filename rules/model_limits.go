package rules

// The shapes of limits and of what stands around them: defaults, accounts,
// credits, overrides. How tags work is said in model.go.

// defaults hold where an account or a limit says nothing.
type defaults struct {
	pos
	Timezone       text      `yaml:"timezone" doc:"Where days, weeks and months begin: a name such as Europe/Berlin. UTC without it."`
	Plan           text      `yaml:"plan" doc:"The plan of accounts that name none; free without it."`
	Wait           *duration `yaml:"wait" doc:"How long a message may be held; 4s without it, 5m at most."`
	UnknownAccount text      `yaml:"unknown_account" enum:"reject,shared" doc:"No identity found: reject, or all of them are one account."`
	OnStoreError   text      `yaml:"on_store_error" enum:"reject,forward,local" doc:"The ledger does not answer: reject, forward, or local, which is this replica's share."`
	Mode           text      `yaml:"mode" enum:"enforce,shadow" doc:"shadow counts and logs, and never holds or refuses."`
}

// account is a listed account.
type account struct {
	pos
	Identity []listed        `yaml:"identity" doc:"What names this account on the wire, such as {linkedin.mailbox: urn:li:…} or {proxy_user: anna}."`
	Plan     text            `yaml:"plan" doc:"Its plan, as limits name it."`
	Use      []use           `yaml:"use" doc:"Regimes for this account alone."`
	Timezone text            `yaml:"timezone" doc:"Where its days begin."`
	Class    map[string]text `yaml:"class" enum:"manual,automated" doc:"Proxy users whose messages a person writes: manual. All else is automated."`
	AddOns   []addOn         `yaml:"add_ons" doc:"What it has besides its plan, until it is used or ends."`
	Facts    map[string]any  `yaml:"facts" doc:"What when and scale may ask, such as connections: 1200."`

	name string
}

// addOn is a number of units that an account has of a limit, once.
type addOn struct {
	pos
	Limit text   `yaml:"limit" need:"true" doc:"The limit's name."`
	Extra *whole `yaml:"extra" need:"true" doc:"How many units, once."`
	Until text   `yaml:"until" doc:"The last day on which they can be used, or a time; without it they never end."`
	Name  text   `yaml:"name" doc:"What was used is counted under this name; without it, under the end."`
}

// limit is one limit. The first group of keys says how it counts: exactly one
// of them is there, and the second group goes with some of them.
type limit struct {
	pos
	Name            text      `yaml:"name" need:"true" doc:"Names the counter: keep it when the limit moves to another file."`
	On              []text    `yaml:"on" need:"true" doc:"The messages it counts: names, service.*, or *; or service.request, every call to a service."`
	Plans           []text    `yaml:"plans" doc:"The plans it binds; every plan without it."`
	Allow           *allow    `yaml:"allow" doc:"The most in one window: a number, or one for each plan."`
	Pace            *duration `yaml:"pace" doc:"At least this long between two messages."`
	Rate            *allow    `yaml:"rate" doc:"So many requests per time, smoothed: not a quota."`
	Credits         text      `yaml:"credits" doc:"Spends these credits."`
	Unanswered      *allow    `yaml:"unanswered" doc:"The most that a recipient gets before it replies."`
	AfterConnecting *settling `yaml:"after_connecting" doc:"The most that a new connection gets until it replies."`
	Similar         *fraction `yaml:"similar" doc:"Texts at least this much alike (0.5 to 1) are one broadcast."`
	ReplyRate       *fraction `yaml:"reply_rate" doc:"The least share of messages that are answered (0 to 1)."`
	DegreeShare     *fraction `yaml:"degree_share" doc:"The least share of messages that go to connections (0 to 1)."`
	Concurrent      *allow    `yaml:"concurrent" doc:"The most that are on their way at once."`
	Hours           []hours   `yaml:"hours" doc:"When messages may go, by the account's clock."`
	Content         *wording  `yaml:"content" doc:"What a text must not say."`

	Per             text      `yaml:"per" doc:"minute, hour, day, week, month or year by the account's clock; lifetime; or a duration (24h, 7d), which is the time just passed."`
	Distinct        text      `yaml:"distinct" enum:"recipient" doc:"Counts recipients, each once in a window."`
	ReturnedOnReply *duration `yaml:"returned_on_reply" doc:"A reply within this time gives back what the message took."`
	Ramp            *ramp     `yaml:"ramp" doc:"Allow grows to its full number."`
	Scale           text      `yaml:"scale" doc:"An expression over plan, account and facts; what it gives multiplies allow."`
	Jitter          float64   `yaml:"jitter" doc:"Add at random up to this share of the pace (0 to 1)."`
	Burst           *whole    `yaml:"burst" doc:"How many requests of a rate may go at once; as many as rate without it."`
	Gap             *duration `yaml:"gap" doc:"Between two unanswered messages, or after a broadcast's last one."`
	Recipients      *whole    `yaml:"recipients" doc:"So many recipients of similar texts are a broadcast."`
	Sample          *whole    `yaml:"sample" doc:"How many messages a share needs before it says anything."`
	By              text      `yaml:"by" enum:"account,recipient" doc:"A counter for every recipient, or for the account as without it."`
	Scope           text      `yaml:"scope" enum:"account,service" doc:"service is one counter for all accounts of a service."`
	Count           text      `yaml:"count" enum:"messages,recipients,segments" doc:"What it counts, where that differs from how the service counts."`
	WarnAt          *share    `yaml:"warn_at" doc:"Say so when this many are used: 80% or a number."`
	Wait            *duration `yaml:"wait" doc:"How long a message may be held for this limit."`
	Mode            text      `yaml:"mode" enum:"enforce,shadow" doc:"shadow counts and never decides."`
	Action          text      `yaml:"action" enum:"reject,warn" doc:"warn lets through and says so."`
	When            text      `yaml:"when" doc:"An expression over class, plan, account, service, kind, recipients and facts."`
	OnStoreError    text      `yaml:"on_store_error" enum:"reject,forward,local" doc:"The ledger does not answer: reject, forward, or local, which is this replica's share."`
	Source          string    `yaml:"source" doc:"Where this was read, and when."`

	changed *override
	strange bool           // it has a key that is not known
	keys    map[string]pos // that it has
}

func (l *limit) done(d *decoder, n *node, strange bool) {
	l.strange, l.keys = strange, d.keys(n)
}

// keys are the places of a mapping's keys.
func (d *decoder) keys(n *node) map[string]pos {
	keys := map[string]pos{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		keys[n.Content[i].Value] = d.pos(n.Content[i])
	}
	return keys
}

// settling is what a new connection gets.
type settling struct {
	pos
	Allow *whole    `yaml:"allow" need:"true" doc:"The most that it gets."`
	Until text      `yaml:"until" enum:"reply" doc:"What ends it: reply."`
	Or    *duration `yaml:"or" need:"true" doc:"Or this time has passed."`
}

// ramp is an allowance that grows.
type ramp struct {
	pos
	From *whole    `yaml:"from" need:"true" doc:"What is allowed at first."`
	Over *duration `yaml:"over" need:"true" doc:"How long it takes from the first message to the full allowance."`
}

// hours are open times of some days.
type hours struct {
	pos
	Days []text `yaml:"days" doc:"mon-fri, or a list of days; every day without it."`
	From text   `yaml:"from" need:"true" doc:"When they begin: 09:00."`
	To   text   `yaml:"to" need:"true" doc:"When they end: 18:00; not later than from is on the next day."`
}

// wording is what a text must not say.
type wording struct {
	pos
	Forbid       []text `yaml:"forbid" doc:"Regular expressions that the text must not match."`
	Placeholders text   `yaml:"placeholders" enum:"reject,warn" doc:"What becomes of a text with a placeholder that nobody filled in, such as {{first_name}}."`
}

// credit is a stock of units.
type credit struct {
	pos
	Accrue *allow    `yaml:"accrue" doc:"How many come with each window: a number, or one for each plan."`
	Per    text      `yaml:"per" enum:"minute,hour,day,week,month,year" doc:"The window of the calendar that they come with."`
	Carry  *duration `yaml:"carry" doc:"How long they last from the beginning of their window, if that is longer."`
	TopUp  string    `yaml:"top_up" doc:"What more of them cost, for people."`

	used bool // a limit spends it
}

// allow is one number, or one per plan, each with its place.
type allow struct {
	pos
	All    int64
	Plans  map[string]int64
	places map[string]pos
}

// fraction is a number with its place, and whole one without a part.
type (
	fraction struct {
		pos
		N float64
	}
	whole struct {
		pos
		N int64
	}
)

// override changes a limit that a pack or regime brought.
type override struct {
	pos
	Limit           text      `yaml:"limit" need:"true" doc:"The limit's name."`
	Allow           *allow    `yaml:"allow" doc:"The new number."`
	Pace            *duration `yaml:"pace" doc:"The new spacing."`
	Rate            *allow    `yaml:"rate" doc:"The new rate."`
	Burst           *whole    `yaml:"burst" doc:"The new burst."`
	Unanswered      *allow    `yaml:"unanswered" doc:"The new number of unanswered messages."`
	AfterConnecting *settling `yaml:"after_connecting" doc:"What a new connection now gets."`
	Gap             *duration `yaml:"gap" doc:"The new gap."`
	Similar         *fraction `yaml:"similar" doc:"The new likeness."`
	Recipients      *whole    `yaml:"recipients" doc:"The new number of recipients."`
	ReplyRate       *fraction `yaml:"reply_rate" doc:"The new share of answered messages."`
	DegreeShare     *fraction `yaml:"degree_share" doc:"The new share of connections."`
	Sample          *whole    `yaml:"sample" doc:"The new sample."`
	Concurrent      *allow    `yaml:"concurrent" doc:"The new number on their way."`
	Hours           []hours   `yaml:"hours" doc:"The new hours."`
	Ramp            *ramp     `yaml:"ramp" doc:"How the number grows."`
	Scale           text      `yaml:"scale" doc:"What multiplies the number."`
	Wait            *duration `yaml:"wait" doc:"The new longest hold."`
	WarnAt          *share    `yaml:"warn_at" doc:"The new warning."`
	Mode            text      `yaml:"mode" enum:"enforce,shadow" doc:"The new mode."`
	Action          text      `yaml:"action" enum:"reject,warn" doc:"The new action."`
	OnStoreError    text      `yaml:"on_store_error" enum:"reject,forward,local" doc:"What now holds where the ledger does not answer."`

	keys map[string]pos
}

func (o *override) done(d *decoder, n *node, _ bool) { o.keys = d.keys(n) }
