package rules

import (
	"io/fs"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rule tests, as people write them in *.test.yaml. Package ruletest plays
// them; here they are read, as strictly as rules are.

// A TestFile is one file of rule tests.
type TestFile struct {
	Pos
	// Rules are packs, regimes, paths and patterns, as `use:` takes them.
	// Paths are relative to the test file.
	Rules []string `yaml:"rules" doc:"What is tested: rules files by path or pattern from here, shipped packs by name."`
	// Set is a whole rules file written in place.
	Set   *Inline `yaml:"set" doc:"Rules written in place, besides or instead of files."`
	Tests []*Test `yaml:"tests" need:"true" doc:"The tests. Each begins with an empty ledger."`

	from files
	text []byte
}

// Inline is a rules file within a test file.
type Inline struct {
	Pos
	file file
}

func (i *Inline) decode(d *decoder, n *node) {
	d.value(n, reflect.ValueOf(&i.file).Elem(), "")
}

// A Test is played from the top, on an empty ledger.
type Test struct {
	Pos
	Name string `yaml:"name" need:"true" doc:"What must hold, in a sentence."`
	// Start is when the first step happens; zero leaves it to the player.
	Start time.Time `yaml:"start" doc:"When the test begins: 2026-03-28T09:00:00+01:00."`
	Given Setting   `yaml:"given" doc:"What holds for every account of the test."`
	Steps []*Step   `yaml:"steps" need:"true" doc:"What happens, one after the other."`
}

// A Setting is what a test says of all accounts.
type Setting struct {
	Pos
	Plan     string         `yaml:"plan" doc:"Their plan."`
	Timezone string         `yaml:"timezone" doc:"Where their days begin."`
	Facts    map[string]any `yaml:"facts" doc:"What when may ask."`
}

// A Step lets time pass, then sends, then expects.
type Step struct {
	Pos
	// After passes before the first send.
	After time.Duration `yaml:"after" doc:"Let this much time pass first."`
	// Until, if not zero, is the time of the first send.
	Until time.Time `yaml:"until" doc:"Or let time pass until then."`
	Send  *Send     `yaml:"send" doc:"What is sent."`
	// Times is at least 1.
	Times int `yaml:"times" doc:"Send it so many times; ${n} in it is the number of the time, from 1."`
	// Every passes between one send and the next.
	Every time.Duration `yaml:"every" doc:"Let this much time pass between one time and the next."`
	// Pause puts an account on hold before the first send, and Resume lifts
	// all its holds.
	Pause    *Pause    `yaml:"pause" doc:"A person puts an account on hold first."`
	Resume   *Resume   `yaml:"resume" doc:"A person resumes an account first: all its holds end."`
	Upstream *Upstream `yaml:"upstream" doc:"What the service answers in this step; 200 without it."`
	Expect   *Expect   `yaml:"expect" doc:"What must become of every send of the step."`
}

// A Pause is a person's hold on an account.
type Pause struct {
	Pos
	// Account is "" for that of the latest send.
	Account string         `yaml:"account" doc:"As expect: shows it; that of the latest send without it."`
	For     *time.Duration `yaml:"for" doc:"For so long; until it is resumed without it."`
	Why     string         `yaml:"why" doc:"What whoever is refused is told."`
}

// A Resume lifts all holds of an account.
type Resume struct {
	Pos
	// Account is "" for that of the latest send.
	Account string `yaml:"account" doc:"As expect: shows it, or service:NAME; that of the latest send without it."`
}

// A Send is one request.
type Send struct {
	Pos
	// Repeat is "last" for the request of the step before, once more; all
	// other fields are then empty.
	Repeat string `yaml:"repeat" enum:"last" doc:"last sends the request of the step before once more."`
	// Request is a method and an absolute URL.
	Request   string            `yaml:"request" doc:"The method and the whole URL: POST https://slack.com/api/chat.postMessage."`
	Header    map[string]string `yaml:"header" doc:"Headers."`
	Cookie    map[string]string `yaml:"cookie" doc:"Cookies."`
	Bearer    string            `yaml:"bearer" doc:"A bearer token."`
	JSON      any               `yaml:"json" doc:"The body, sent as JSON."`
	Form      map[string]string `yaml:"form" doc:"The body, sent as a form."`
	Body      string            `yaml:"body" doc:"The body as it is."`
	ProxyUser string            `yaml:"proxy_user" doc:"The user that the client gives to the proxy."`
	// Unverified: the proxy did not check the user's password.
	Unverified bool `yaml:"unverified" doc:"The proxy has not checked that user's password."`
}

// Method and URL are the parts of Request.
func (s *Send) Method() string { m, _, _ := strings.Cut(s.Request, " "); return m }

// URL is the absolute URL of Request.
func (s *Send) URL() string { _, u, _ := strings.Cut(s.Request, " "); return strings.TrimSpace(u) }

// Upstream is what the service answers.
type Upstream struct {
	Pos
	Status int               `yaml:"status" doc:"The HTTP status; 200 without it."`
	Header map[string]string `yaml:"header" doc:"Headers."`
	JSON   any               `yaml:"json" doc:"The body, as JSON."`
	Body   string            `yaml:"body" doc:"The body as it is."`
	// Fails: no answer comes, and whether it was sent is not known.
	Fails bool `yaml:"fails" doc:"The connection breaks before an answer comes."`
}

// Expect is what must have happened. Fields that are not given are not
// looked at.
type Expect struct {
	Pos
	// Decision: pass is a request that is no message at all; hold is one
	// that was held and then sent.
	Decision   string            `yaml:"decision" enum:"forward,reject,hold,cancel,error,pass" doc:"What became of it; pass is no message at all, hold was held and then sent."`
	Limit      string            `yaml:"limit" doc:"The limit that decided."`
	RetryAt    time.Time         `yaml:"retry_at" doc:"When there will be room."`
	RetryAfter *time.Duration    `yaml:"retry_after" doc:"How long until then."`
	Never      *bool             `yaml:"never" doc:"Whether there never will be."`
	HeldFor    *time.Duration    `yaml:"held_for" doc:"How long it was held."`
	Status     int               `yaml:"status" doc:"The status that the client sees."`
	Header     map[string]string `yaml:"header" doc:"Headers that the client sees."`
	JSON       any               `yaml:"json" doc:"What the JSON that the client sees has at least."`
	Body       string            `yaml:"body" doc:"A part of the answer that the client sees."`
	Reason     string            `yaml:"reason" doc:"A part of the reason that is given."`
	Account    string            `yaml:"account" doc:"The account that is charged."`
	Class      string            `yaml:"class" enum:"manual,automated" doc:"The class of the message."`
	Message    string            `yaml:"message" doc:"The name of the message."`
	Messages   *int              `yaml:"messages" doc:"How many messages the request carries."`
	Recipients *int              `yaml:"recipients" doc:"How many recipients they have."`
	Used       map[string]int64  `yaml:"used" doc:"What is used of limits afterwards."`
	// These are lists of names, each complete and in any order; nil is not
	// looked at.
	Cooldowns []string `yaml:"cooldowns" doc:"The cool-downs that the answer brought: throttled, restricted, challenged; [] is none."`
	Outcome   string   `yaml:"outcome" enum:"sent,not_sent,throttled,restricted,challenged" doc:"What the answer says of the first message."`
	Warnings  []string `yaml:"warnings" doc:"The limits of which warn_at was reached; [] is none."`
	Warned    []string `yaml:"warned" doc:"The limits with action: warn that have no room for it; [] is none."`
	Shadowed  []string `yaml:"shadowed" doc:"The shadow limits that would have refused it; [] is none."`
}

// LoadTests reads a file of rule tests. The error is Errors, with everything
// that is wrong.
func LoadTests(path string) (*TestFile, error) { return loadTests(disk{}, path) }

// LoadTestsFS is LoadTests for a file of another file system.
func LoadTestsFS(fsys fs.FS, path string) (*TestFile, error) { return loadTests(tree{fsys}, path) }

func loadTests(from files, path string) (*TestFile, error) {
	r := newReports()
	f := &TestFile{from: from}
	text, err := from.read(path)
	if err != nil {
		r.unread(Pos{File: path}, err)
		return nil, r.err()
	}
	f.text = text
	if decode(r, path, text, nil, f) {
		f.check(r)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return f, nil
}

// Load loads the rules that the file tests.
func (f *TestFile) Load(o Options) (*Set, error) {
	r := newReports()
	r.source(f.File, f.text)
	l := newLoader(f.from, r)
	var roots []*loaded
	for _, name := range f.Rules {
		roots = append(roots, l.use(f.File, use{pos: f.Pos, Name: name})...)
	}
	if f.Set != nil {
		roots = append(roots, l.take(&loaded{name: f.File, text: f.text, file: f.Set.file}))
	}
	l.bind(roots)
	return l.finish(o)
}

// check finds what the shape alone does not say.
func (f *TestFile) check(r *reports) {
	if len(f.Rules) == 0 && f.Set == nil {
		r.at(f.Pos, "the tests name no rules\nwrite rules: [quotagate.yaml], or set: with rules in place")
	}
	names := map[string]Pos{}
	for _, t := range f.Tests {
		if other, twice := names[t.Name]; twice && t.Name != "" {
			r.at(t.Pos, "two tests are named %q\nthe other is in line %d", t.Name, other.Line)
		}
		names[t.Name] = t.Pos
		if len(t.Steps) == 0 {
			r.at(t.Pos, "the test %q has no steps", t.Name)
		}
		if t.Given.Timezone != "" {
			if _, err := zone(t.Given.Timezone); err != nil {
				r.at(t.Given.Pos, "unknown time zone %q\n%s", t.Given.Timezone, zoneHint(t.Given.Timezone))
			}
		}
		sent := false
		for _, s := range t.Steps {
			s.check(r, sent)
			sent = sent || s.Send != nil
		}
	}
}

func (s *Step) check(r *reports, sent bool) {
	switch {
	case s.Times < 0 || s.Times > 1_000_000:
		r.at(s.Pos, "times: is 1 to 1000000")
	case s.Times == 0:
		s.Times = 1
	}
	if s.After != 0 && !s.Until.IsZero() {
		r.at(s.Pos, "a step waits after: a time or until: one, not both")
	}
	if s.Pause != nil && s.Resume != nil {
		r.at(s.Pos, "a step pauses an account or resumes one\nwrite two steps")
	}
	if (s.Pause != nil && s.Pause.Account == "" || s.Resume != nil && s.Resume.Account == "") && !sent {
		r.at(s.Pos, "nothing was sent before: it is not known whose account is meant\nadd account:")
	}
	if s.Send == nil {
		if s.Expect != nil || s.Upstream != nil || s.Times > 1 {
			r.at(s.Pos, "this step sends nothing\nadd send:, or send: {repeat: last}")
		}
		return
	}
	if s.Send.Repeat != "" {
		if !sent {
			r.at(s.Send.Pos, "there is no request before this one to repeat")
		}
		only := Send{Pos: s.Send.Pos, Repeat: s.Send.Repeat}
		if !reflect.DeepEqual(*s.Send, only) {
			r.at(s.Send.Pos, "repeat: last sends what was sent before, and takes nothing else")
		}
		return
	}
	s.Send.check(r)
}

func (s *Send) check(r *reports) {
	method, url := s.Method(), s.URL()
	if strings.ToUpper(method) != method || !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") || strings.ContainsAny(url, " \t") {
		r.at(s.Pos, "%q is not a request\nwrite the method and the whole URL: POST https://slack.com/api/chat.postMessage", s.Request)
	}
	bodies := 0
	for _, has := range []bool{s.JSON != nil, s.Form != nil, s.Body != ""} {
		if has {
			bodies++
		}
	}
	if bodies > 1 {
		r.at(s.Pos, "a request has one body: json:, form: or body:")
	}
}

// At is the request of the n-th time, from 1: ${n} in its texts is n.
func (s Send) At(n int) Send {
	fill := func(t string) string { return strings.ReplaceAll(t, "${n}", strconv.Itoa(n)) }
	fillAll := func(m map[string]string) map[string]string {
		if m == nil {
			return nil
		}
		c := make(map[string]string, len(m))
		for k, v := range m {
			c[fill(k)] = fill(v)
		}
		return c
	}
	s.Request, s.Body, s.Bearer, s.ProxyUser = fill(s.Request), fill(s.Body), fill(s.Bearer), fill(s.ProxyUser)
	s.Header, s.Cookie, s.Form = fillAll(s.Header), fillAll(s.Cookie), fillAll(s.Form)
	s.JSON = fillJSON(s.JSON, fill)
	return s
}

func fillJSON(v any, fill func(string) string) any {
	switch v := v.(type) {
	case string:
		return fill(v)
	case []any:
		c := slices.Clone(v)
		for i := range c {
			c[i] = fillJSON(c[i], fill)
		}
		return c
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, e := range v {
			c[fill(k)] = fillJSON(e, fill)
		}
		return c
	}
	return v
}
