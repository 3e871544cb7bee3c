package rules

// The shapes of the files, as they are decoded. What a user may write is
// exactly what these structs have: the decoder, the JSON schema and the
// "did you mean" all read the same tags. Fields named pos are filled in with
// the place of the node.

// pos is a place in a file; line and column count from 1.
type pos struct {
	File      string
	Line, Col int
}

// file is one rules file: a user's own, a pack or a regime.
type file struct {
	Version  int                 `yaml:"version"`
	Use      []use               `yaml:"use"`
	Defaults *defaults           `yaml:"defaults"`
	Accounts map[string]*account `yaml:"accounts"`
	Limits   []*limit            `yaml:"limits"`
	Override []*override         `yaml:"override"`
	Services map[string]*service `yaml:"services"`
	Messages []*message          `yaml:"messages"`
	Refusals map[string]*refusal `yaml:"refusals"`
}

// service says which hosts belong to a service and how its calls name an
// account when a message does not name one itself.
type service struct {
	pos        pos
	Hosts      []string `yaml:"hosts"`
	Account    []source `yaml:"account"`
	Unmatched  string   `yaml:"unmatched"`  // pass | report | reject
	WebSockets string   `yaml:"websockets"` // pass | reject
	Source     string   `yaml:"source"`
}

// message says what one kind of message looks like on the wire.
type message struct {
	pos        pos
	Name       string   `yaml:"name"`  // service.kind
	Match      []match  `yaml:"match"` // one or a list: any of them
	Account    []source `yaml:"account"`
	Recipients []source `yaml:"recipients"`
	Text       []source `yaml:"text"`
	ID         []source `yaml:"id"`
	Cost       cost     `yaml:"cost"` // a number, recipients or segments
	Each       string   `yaml:"each"` // JSONPath: one message per item
	Dedupes    bool     `yaml:"dedupes"`
	Outcome    *outcome `yaml:"outcome"`
	Refuse     string   `yaml:"refuse"` // a name in refusals
	Source     string   `yaml:"source"`
}

// match is what a request must look like; every field must hold.
type match struct {
	pos    pos
	Host   []string          `yaml:"host"`   // one or a list
	Method []string          `yaml:"method"` // one or a list
	Path   []string          `yaml:"path"`   // one or a list; * ** {name}
	Query  map[string]values `yaml:"query"`
	Header map[string]values `yaml:"header"`
	Form   map[string]values `yaml:"form"`
	JSON   map[string]values `yaml:"json"` // by JSONPath
	When   string            `yaml:"when"` // expr
}

// values: a scalar or a list of scalars; true means present, false absent.
type values struct {
	pos     pos
	Any     []string
	Present *bool
}

// cost is how many units a message takes.
type cost struct {
	Fixed int64  // when By is ""
	By    string // "", recipients or segments
}

// source says where a value comes from. Exactly one of the first group is set.
type source struct {
	pos       pos
	JSON      string `yaml:"json"`
	Form      string `yaml:"form"`
	Query     string `yaml:"query"`
	Path      string `yaml:"path"`
	Header    string `yaml:"header"`
	Cookie    string `yaml:"cookie"`
	Bearer    bool   `yaml:"bearer"`
	BasicUser bool   `yaml:"basic_user"`
	ProxyUser bool   `yaml:"proxy_user"`
	Const     string `yaml:"const"`

	As     string `yaml:"as"` // the kind of identity: linkedin.mailbox
	Regexp string `yaml:"regexp"`
	Split  string `yaml:"split"`
	Before string `yaml:"before"`
	After  string `yaml:"after"`
	Decode string `yaml:"decode"` // json | base64 | base64url | mime
	Secret bool   `yaml:"secret"`
}

// outcome says how to read the service's answer. Items, a JSONPath into the
// answer, tells the messages of a batch apart: the n-th item is about the
// n-th message, and json conditions then look at the item.
type outcome struct {
	pos        pos
	Items      string     `yaml:"items"`
	Sent       *condition `yaml:"sent"`
	NotSent    *condition `yaml:"not_sent"`
	Throttled  *condition `yaml:"throttled"`
	Restricted *condition `yaml:"restricted"`
	Challenged *condition `yaml:"challenged"`
}

// condition holds when all its fields hold.
type condition struct {
	pos    pos
	Status []string          `yaml:"status"` // 200, 2xx, or a list
	JSON   map[string]values `yaml:"json"`   // a value, or a regular expression's match
	Header map[string]values `yaml:"header"`
	Any    []condition       `yaml:"any"`
}

// refusal is a service's own way of saying no.
type refusal struct {
	pos   pos
	Short *answer `yaml:"short"` // retry_after up to 60 s
	Long  *answer `yaml:"long"`  // longer, or never
}

// answer is a template: ${reason}, ${limit}, ${retry_after}, ${retry_at},
// ${used}, ${allow}, ${id}; "${retry_after:int}" alone becomes a number.
type answer struct {
	pos    pos
	Status int               `yaml:"status"`
	Header map[string]string `yaml:"header"`
	JSON   any               `yaml:"json"`
	Text   string            `yaml:"text"`
}

// use names a pack, a regime or files; a pack may take parameters.
type use struct {
	pos    pos
	Name   string
	Params map[string]string
}

// defaults hold where an account or a limit says nothing.
type defaults struct {
	pos            pos
	Timezone       string    `yaml:"timezone"`
	Plan           string    `yaml:"plan"`
	Wait           *duration `yaml:"wait"`
	UnknownAccount string    `yaml:"unknown_account"` // reject | shared
	OnStoreError   string    `yaml:"on_store_error"`  // reject | forward
	Mode           string    `yaml:"mode"`            // enforce | shadow
}

// account is a listed account.
type account struct {
	pos      pos
	Identity []map[string]string `yaml:"identity"`
	Plan     string              `yaml:"plan"`
	Use      []use               `yaml:"use"`
	Timezone string              `yaml:"timezone"`
	Class    map[string]string   `yaml:"class"` // proxy user: manual | automated
	Facts    map[string]any      `yaml:"facts"` // read by when
}

// limit is one limit.
type limit struct {
	pos          pos
	Name         string    `yaml:"name"`
	On           []string  `yaml:"on"` // one or a list
	Plans        []string  `yaml:"plans"`
	Allow        *allow    `yaml:"allow"`
	Per          string    `yaml:"per"` // minute hour day week month year lifetime, or a duration
	Pace         *duration `yaml:"pace"`
	Jitter       float64   `yaml:"jitter"`
	By           string    `yaml:"by"` // recipient, or nothing
	Wait         *duration `yaml:"wait"`
	WarnAt       string    `yaml:"warn_at"` // 80% or a number
	Mode         string    `yaml:"mode"`
	Count        string    `yaml:"count"` // messages | recipients | segments
	When         string    `yaml:"when"`  // expr over class, plan, account, service, kind, facts
	OnStoreError string    `yaml:"on_store_error"`
	Source       string    `yaml:"source"`
}

// allow is one number, or one per plan.
type allow struct {
	pos   pos
	All   int64
	Plans map[string]int64
}

// override changes a limit that a pack or regime brought.
type override struct {
	pos    pos
	Limit  string    `yaml:"limit"`
	Allow  *allow    `yaml:"allow"`
	Wait   *duration `yaml:"wait"`
	WarnAt string    `yaml:"warn_at"`
	Mode   string    `yaml:"mode"`
}

// duration is written 4s, 10m, 24h, 7d or 4w.
type duration struct {
	pos pos
	Ms  int64
}
