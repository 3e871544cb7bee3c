package rules

// The shapes of what is learned from traffic: cool-downs, events, and requests
// that carry requests.

// cooldown is a hold that an answer of a service brings about.
type cooldown struct {
	pos
	On       []text    `yaml:"on" need:"true" enum:"throttled,restricted,challenged" doc:"What the service answered, as a message's outcome tells it."`
	For      *duration `yaml:"for" doc:"How long nothing is sent, or as long as the service itself asked for (Retry-After), if that is longer."`
	Grow     float64   `yaml:"grow" doc:"Each time that it comes again soon, so many times as long as the time before."`
	Max      *duration `yaml:"max" doc:"What it grows to, and how soon is soon."`
	Ramp     *duration `yaml:"ramp" doc:"How long afterwards the account's limits grow back from nothing."`
	Until    text      `yaml:"until" enum:"resumed" doc:"Until a person resumes the account."`
	Scope    text      `yaml:"scope" enum:"account,recipient,service" doc:"What is held: the account, the recipient of the message, or all accounts of the service."`
	Services []text    `yaml:"services" doc:"The services whose answers are meant; every service without it."`
	Source   string    `yaml:"source" doc:"Where this was read, and when."`

	strange bool // it has a key that is not known
}

func (c *cooldown) done(_ *decoder, _ *node, strange bool) { c.strange = strange }

// event is what else an exchange shows: a reply, a new connection, whose
// thread it is.
type event struct {
	pos
	Name      string   `yaml:"name" need:"true" doc:"service.word, such as telegram.reply. It may stand several times."`
	Match     []match  `yaml:"match" need:"true" doc:"What the request looks like: one, or a list of which any holds."`
	From      string   `yaml:"from" enum:"request,response" doc:"Where it is shown: in the request, or in an answer of 2xx; response without it."`
	Means     string   `yaml:"means" need:"true" enum:"reply,connected,thread" doc:"The recipient replied, or became a connection; or the thread is the recipient's."`
	Each      string   `yaml:"each" doc:"A JSONPath: one event for every item it finds."`
	Where     byPath   `yaml:"where" doc:"Values in the item, by JSONPath: equal, or matched by this regular expression."`
	Account   []source `yaml:"account" doc:"How the exchange names the account, where the service's calls say nothing better."`
	Recipient []source `yaml:"recipient" need:"true" doc:"Who it is about. JSON is that of the item."`
	Thread    []source `yaml:"thread" doc:"The thread that is the recipient's."`
	At        []source `yaml:"at" doc:"When it happened: seconds, milliseconds or microseconds since 1970, or a date; now without it."`
	Source    string   `yaml:"source" doc:"Where this was read, and when."`
}

// inner says where a request carries requests, each of which is looked at as
// if it came by itself.
type inner struct {
	pos
	Method []source `yaml:"method" doc:"Its method; GET without it, POST where it has a body."`
	URL    []source `yaml:"url" need:"true" doc:"Its URL: a whole one, or one relative to base."`
	Base   string   `yaml:"base" doc:"What a URL that is not whole comes after: a path, or a whole URL; {name} is what the path captured."`
	Header string   `yaml:"header" doc:"A JSONPath to an object of its headers; those of the request about it count as well."`
	Body   string   `yaml:"body" doc:"A JSONPath to its body: JSON, or a text."`
}
