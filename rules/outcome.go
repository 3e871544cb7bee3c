package rules

// What an answer says about the messages of its request. A value in a
// condition that is a number or a boolean must be equal; any other is equal
// or a regular expression that is found in the value.

import (
	"net/http"
	"slices"
	"strconv"
)

// outcomeRule is an outcome, compiled: what it tells, the first that holds
// decides.
type outcomeRule struct {
	items     *jsonPath
	tells     []tell
	needsBody bool
	members   []string // of the answer that are looked at; nil is all
	thread    []valueSource
	retry     []valueSource
}

type tell struct {
	outcome Outcome
	when    conditionRule
}

type conditionRule struct {
	status []string // three characters each: 200, 2xx
	json   []check
	header []check
	any    []conditionRule
}

func compileOutcome(def *outcome, report reporter) *outcomeRule {
	if def == nil {
		return nil
	}
	r := &outcomeRule{
		thread: answerSources(def.Thread, def.pos, report),
		retry:  answerSources(def.RetryAfter, def.pos, report),
	}
	if def.Items != "" {
		var err error
		if r.items, err = compileJSONPath(def.Items); err != nil {
			report(def.pos, "items: %q is not a JSONPath: %s", def.Items, err)
		}
	}
	// What gives quota back is asked first and what says all is well last.
	for _, t := range []struct {
		outcome Outcome
		def     *condition
	}{
		{NotSent, def.NotSent}, {Challenged, def.Challenged}, {Restricted, def.Restricted},
		{Throttled, def.Throttled}, {Sent, def.Sent},
	} {
		if t.def != nil {
			c := compileCondition(t.def, def.pos, report)
			r.needsBody = r.needsBody || c.needsBody()
			r.tells = append(r.tells, tell{t.outcome, c})
		}
	}
	r.needsBody = r.needsBody || len(r.retry) > 0
	if r.items == nil && len(r.retry) == 0 {
		r.members = []string{}
		for i := range r.tells {
			r.tells[i].when.addMembers(&r.members)
		}
	}
	return r
}

// answerSources are sources in an answer, of which its JSON is looked at.
func answerSources(list []source, at pos, report reporter) []valueSource {
	out := compileSources(list, "", at, report)
	withoutMail(out, at, report)
	for i := range out {
		if out[i].place != inJSON && out[i].place != inConst {
			report(at, "what an answer says stands in its JSON\nfor example {json: $.parameters.retry_after}")
		}
	}
	return out
}

func compileCondition(def *condition, at pos, report reporter) conditionRule {
	if def.Line > 0 {
		at = def.pos
	}
	c := conditionRule{
		json:   compileChecks(def.JSON, true, true, at, report),
		header: compileChecks(def.Header, false, true, at, report),
	}
	for i := range c.header {
		c.header[i].name = http.CanonicalHeaderKey(c.header[i].name)
	}
	for _, s := range def.Status {
		if !isStatus(s) {
			report(at, "%q is not a status\n429, or 4xx for all of 400 to 499", s)
			continue
		}
		c.status = append(c.status, s)
	}
	for i := range def.Any {
		c.any = append(c.any, compileCondition(&def.Any[i], at, report))
	}
	if len(def.Status)+len(def.JSON)+len(def.Header)+len(def.Any) == 0 {
		report(at, "a condition that asks nothing always holds\ngive it status, json, header or any")
	}
	return c
}

func isStatus(s string) bool {
	if len(s) != 3 || s[0] < '1' || s[0] > '9' {
		return false
	}
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	return s[1:] == "xx" || digit(s[1]) && digit(s[2])
}

func (c *conditionRule) needsBody() bool {
	return len(c.json) > 0 || slices.ContainsFunc(c.any, func(c conditionRule) bool { return c.needsBody() })
}

// addMembers adds the outermost members that the condition looks at, or makes
// it all of them where a path may look anywhere.
func (c *conditionRule) addMembers(members *[]string) {
	for i := range c.json {
		name, ok := c.json[i].path.member()
		if !ok || *members == nil {
			*members = nil
			return
		}
		*members = append(*members, name)
	}
	for i := range c.any {
		c.any[i].addMembers(members)
	}
}

// answered is an answer as conditions look at it.
type answered struct {
	status  string
	header  http.Header
	tree    any
	hasTree bool
}

func (c *conditionRule) holds(a *answered) bool {
	if len(c.status) > 0 && !slices.ContainsFunc(c.status, func(s string) bool {
		return s == a.status || len(a.status) == 3 && s[1:] == "xx" && s[0] == a.status[0]
	}) {
		return false
	}
	for i := range c.header {
		if !c.header[i].holds(a.header[c.header[i].name]) {
			return false
		}
	}
	for i := range c.json {
		// An answer that cannot be read tells nothing, not even absence.
		if !a.hasTree || !c.json[i].holdsJSON(a.tree, true) {
			return false
		}
	}
	for i := range c.any {
		if c.any[i].holds(a) {
			return true
		}
	}
	return len(c.any) == 0
}

// tell is what the answer tells, and what it asks for: what brings cool-downs.
// A message that was not sent because there were too many was one too many all
// the same.
func (r *outcomeRule) tell(a *answered) (told, asks Outcome) {
	for i := range r.tells {
		t := &r.tells[i]
		cools := coolingWord(t.outcome) != ""
		if told != Unclear && !cools || !t.when.holds(a) {
			continue
		}
		if told == Unclear {
			told = t.outcome
		}
		if cools {
			return told, t.outcome
		}
	}
	return told, Unclear
}

// OutcomeNeedsBody reports whether Outcomes looks at the answer's body.
func (m *Message) OutcomeNeedsBody() bool {
	return m.outcome != nil && m.outcome.needsBody
}

// Outcomes says what an answer means for the n messages that one request
// sent that are answered like this one. Where the answer lists items, the k-th is
// about the k-th message; a list of another length says nothing.
func (m *Message) Outcomes(n, status int, h http.Header, body []byte) []Outcome {
	out := make([]Outcome, n)
	m.outcomes(out, make([]Outcome, n), status, h, body)
	return out
}

// outcomes fills in what Outcomes says, and what the answer says besides to
// those that were not sent; it returns how long its JSON asks to be left alone.
func (m *Message) outcomes(out, said []Outcome, status int, h http.Header, body []byte) (least float64) {
	if m.outcome == nil {
		return 0
	}
	r := m.outcome
	a := answered{status: strconv.Itoa(status), header: h}
	if r.needsBody || r.items != nil {
		if b, err := decoded(h, body, 0); err == nil {
			if b, err = toUTF8(b); err == nil {
				a.tree, err = readJSONMembers(b, r.members)
				a.hasTree = err == nil
			}
		}
	}
	if a.hasTree && len(r.retry) > 0 {
		in := input{body: &content{json: a.tree, hasJSON: true}}
		if found, _ := firstPresent(r.retry, &in, true); len(found) > 0 {
			if seconds, err := strconv.ParseFloat(found[0], 64); err == nil && seconds > 0 {
				least = seconds
			}
		}
	}
	if r.items != nil && a.hasTree {
		if items := r.items.get(a.tree); len(items) == len(out) {
			for i := range items {
				a.tree = items[i]
				out[i], said[i] = r.tell(&a)
			}
			return least
		} else if len(items) > 0 {
			return least
		}
	}
	told, asks := r.tell(&a)
	for i := range out {
		out[i], said[i] = told, asks
	}
	return least
}

// OutcomeNeedsBody reports whether Outcomes looks at the answer's body.
func (s *Sending) OutcomeNeedsBody() bool {
	for i := range s.Messages {
		if s.Messages[i].OutcomeNeedsBody() {
			return true
		}
	}
	return false
}

// Outcomes says what the answer means for each message. What the answer asks
// for beside it is kept for Coolings.
func (s *Sending) Outcomes(status int, h http.Header, body []byte) []Outcome {
	n := len(s.Messages)
	both := make([]Outcome, 2*n)
	out, said := both[:n:n], both[n:]
	for i := 0; i < n; {
		// Messages that are answered alike stand together.
		to := i + 1
		for to < n && s.Messages[to].outcome == s.Messages[i].outcome {
			to++
		}
		s.least = max(s.least, s.Messages[i].outcomes(out[i:to], said[i:to], status, h, body))
		i = to
	}
	s.said = said
	return out
}
