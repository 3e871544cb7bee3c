package rules

// The shapes of the files, as they are decoded. What a user may write is
// exactly what these structs have: the decoder, the JSON schema and the
// "did you mean" all read the same tags. `enum` lists the words a field
// takes, `need` marks a field that must be there, `doc` is its description in
// the schema. An embedded pos is filled in with the place of the node.

// pos is a place in a file; line and column count from 1.
type pos = Pos

// file is one rules file: a user's own, a pack or a regime.
type file struct {
	pos
	Version  int                 `yaml:"version" need:"true" doc:"The version of the rules language: 1."`
	About    string              `yaml:"about" doc:"One sentence: what this file is for."`
	AsOf     text                `yaml:"as_of" doc:"When what this file says was last checked: 2026-11 or 2026-11-21."`
	Source   string              `yaml:"source" doc:"Where what this file says was read."`
	Params   map[string]string   `yaml:"params" doc:"What whoever uses this file must give, each with a description; ${name} stands for the value."`
	Egress   text                `yaml:"egress" enum:"open,governed-only" doc:"Which hosts a client may reach: any, or only those that the rules name. Of several files the stricter holds."`
	Use      []use               `yaml:"use" doc:"Shipped packs and regimes by name, own files by path or glob."`
	Defaults *defaults           `yaml:"defaults" doc:"What holds where an account or a limit says nothing."`
	Accounts map[string]*account `yaml:"accounts" doc:"Accounts that have a name; all others are named by a keyed hash."`
	Limits   []*limit            `yaml:"limits" doc:"How many messages, and how fast."`
	Credits  map[string]*credit  `yaml:"credits" doc:"Units that accrue and are spent: limits name them."`
	Override []*override         `yaml:"override" doc:"Changes to limits that a pack or regime brought."`
	Services map[string]*service `yaml:"services" doc:"Services: their hosts, and how their calls name an account."`
	Messages []*message          `yaml:"messages" doc:"What messages look like on the wire. A name may have several shapes."`
	Refusals map[string]*refusal `yaml:"refusals" doc:"How a service itself says no."`

	Cooldowns []*cooldown `yaml:"cooldowns" doc:"What a service's answer changes in what is let through."`
	Events    []*event    `yaml:"events" doc:"What else is learned from traffic."`
}

// service says which hosts belong to a service and how its calls name an
// account when a message does not name one itself.
type service struct {
	pos
	Hosts      []string `yaml:"hosts" need:"true" doc:"The hosts of the service: exact, or with * for one label."`
	Account    []source `yaml:"account" doc:"How a call names its account, where its message says nothing better."`
	Unmatched  string   `yaml:"unmatched" enum:"pass,report,reject" doc:"What becomes of a call that is no known message."`
	WebSockets string   `yaml:"websockets" enum:"pass,reject" doc:"What becomes of a WebSocket."`
	Source     string   `yaml:"source" doc:"Where this was read, and when."`
}

// message says what one kind of message looks like on the wire.
type message struct {
	pos
	Name       string   `yaml:"name" need:"true" doc:"service.kind, as limits write it."`
	Match      []match  `yaml:"match" need:"true" doc:"What the request looks like: one, or a list of which any holds."`
	Account    []source `yaml:"account" doc:"How the message names its account."`
	Recipients []source `yaml:"recipients" doc:"Who gets it."`
	Text       []source `yaml:"text" doc:"What it says."`
	ID         []source `yaml:"id" doc:"The id that the client gave it."`
	Cost       cost     `yaml:"cost" doc:"How the service itself counts it; 1 without it."`
	Each       string   `yaml:"each" doc:"A JSONPath: one message for every item it finds."`
	Dedupes    bool     `yaml:"dedupes" doc:"The service drops a second send with the same id."`
	Outcome    *outcome `yaml:"outcome" doc:"How to read the service's answer."`
	Inner      *inner   `yaml:"inner" doc:"It carries requests: this is no message itself, they may be."`
	Refuse     string   `yaml:"refuse" doc:"The name of a refusal: how this service says no."`
	Source     string   `yaml:"source" doc:"Where this was read, and when."`
}

// match is what a request must look like; every field must hold.
type match struct {
	pos
	Host   []string          `yaml:"host" doc:"Hosts: exact, or with * for one label."`
	Method []string          `yaml:"method" doc:"HTTP methods."`
	Path   []string          `yaml:"path" doc:"Paths: exact, * for one segment, ** for any number, {name} to capture."`
	Query  map[string]values `yaml:"query" doc:"Values in the query; true where the key must be present, false where it must not."`
	Header map[string]values `yaml:"header" doc:"Values of headers."`
	Form   map[string]values `yaml:"form" doc:"Values in a form body."`
	JSON   byPath            `yaml:"json" doc:"Values in a JSON body, by JSONPath."`
	When   string            `yaml:"when" doc:"An expression for the rare rest."`

	GraphQL *operation `yaml:"graphql" doc:"What its GraphQL operation does; each time that it would is a message."`
}

// operation says which operations of a GraphQL service send.
type operation struct {
	pos
	Mutation  []string `yaml:"mutation" doc:"Fields of a mutation that send: sendMessage, or messages.send below another."`
	Persisted []string `yaml:"persisted" doc:"Ids of stored operations that send, where a request names them without their text; * stands for anything."`
	Reads     []string `yaml:"reads" doc:"Ids of stored operations that send nothing. Those that stand in neither list are refused."`
}

// byPath is what is wanted of the values at JSONPaths.
type byPath map[string]values

// values: a scalar or a list of scalars; true means present, false absent.
type values struct {
	pos
	Any     []string
	Present *bool
}

// cost is how many units a message takes.
type cost struct {
	Fixed int64  // when By is ""; 0 where the file says nothing, which means 1
	By    string // "", recipients or segments
}

// source says where a value comes from. Exactly one of the first group is set.
type source struct {
	pos
	JSON      string `yaml:"json" doc:"A JSONPath (RFC 9535) into the body."`
	Form      string `yaml:"form" doc:"A field of a form body."`
	Query     string `yaml:"query" doc:"A key of the query."`
	Path      string `yaml:"path" doc:"The name of a {capture} of the path."`
	Header    string `yaml:"header" doc:"A header."`
	Cookie    string `yaml:"cookie" doc:"A cookie."`
	Bearer    bool   `yaml:"bearer" doc:"The bearer token."`
	BasicUser bool   `yaml:"basic_user" doc:"The user of Basic credentials."`
	ProxyUser bool   `yaml:"proxy_user" doc:"The user that the client gave to the proxy."`
	Const     string `yaml:"const" doc:"This very value."`

	As     string `yaml:"as" doc:"The kind of identity that this is, such as linkedin.mailbox."`
	Regexp string `yaml:"regexp" doc:"Keep what this matches: its first group, or all of it."`
	Split  string `yaml:"split" doc:"Cut at this into several values."`
	Before string `yaml:"before" doc:"Keep what stands before this."`
	After  string `yaml:"after" doc:"Keep what stands after this."`
	Decode string `yaml:"decode" enum:"json,base64,base64url,mime" doc:"Undo this encoding first."`
	Fold   string `yaml:"fold" enum:"case,phone,email" doc:"Which spellings are one value: those that differ in case, those of a phone number, those of an e-mail address."`
	Secret bool   `yaml:"secret" doc:"The value is a credential and is never shown."`
}

// outcome says how to read the service's answer. Items, a JSONPath into the
// answer, tells the messages of a batch apart: the n-th item is about the
// n-th message, and json conditions then look at the item.
type outcome struct {
	pos
	Items      string     `yaml:"items" doc:"A JSONPath into the answer: its n-th item is about the n-th message."`
	Sent       *condition `yaml:"sent" doc:"The service took the message."`
	NotSent    *condition `yaml:"not_sent" doc:"Proof that nothing was sent: the quota is given back."`
	Throttled  *condition `yaml:"throttled" doc:"The service says: slower."`
	Restricted *condition `yaml:"restricted" doc:"The service has restricted the account."`
	Challenged *condition `yaml:"challenged" doc:"The service asks for a person."`
	Thread     []source   `yaml:"thread" doc:"Where the answer says which thread the message went into: it stands for the recipient from then on."`
	RetryAfter []source   `yaml:"retry_after" doc:"Where the answer says, in seconds, how long to leave the service alone; Retry-After is read anyway."`
}

// condition holds when all its fields hold.
type condition struct {
	pos
	Status []string          `yaml:"status" doc:"200, 2xx, or a list."`
	JSON   byPath            `yaml:"json" doc:"Values in the answer by JSONPath: equal, or matched by this regular expression."`
	Header map[string]values `yaml:"header" doc:"Values of the answer's headers: equal, or matched by this regular expression."`
	Any    []condition       `yaml:"any" doc:"One of these holds."`
}

// refusal is a service's own way of saying no.
type refusal struct {
	pos
	Short *answer `yaml:"short" doc:"For blocks that end within 60 seconds."`
	Long  *answer `yaml:"long" doc:"For longer ones, or those that never end."`
}

// answer is a template: ${reason}, ${limit}, ${retry_after}, ${retry_at},
// ${used}, ${allow}, ${id}; "${retry_after:int}" alone becomes a number.
type answer struct {
	pos
	Status int               `yaml:"status" need:"true" doc:"The HTTP status."`
	Header map[string]string `yaml:"header" doc:"Headers."`
	JSON   any               `yaml:"json" doc:"The body, as JSON."`
	Text   string            `yaml:"text" doc:"The body, as plain text."`
}

// use names a pack, a regime or files; a pack may take parameters.
type use struct {
	pos
	Name   string
	Params map[string]string
}

// share is a number of units, or a percentage of what is allowed.
type share struct {
	pos
	Percent bool
	N       float64
}

// duration is written 4s, 10m, 24h, 7d or 4w.
type duration struct {
	pos
	Ms int64
}

// text is a string that remembers its place.
type text struct {
	pos
	S string
}

// listed is an identity as an account lists it.
type listed struct {
	pos
	identity
}
