package rules

import (
	"slices"
	"strings"
)

// Whom and what a limit can reach: a counter for each recipient needs
// messages that have any, and a text limit needs texts.

// requests ends the name of any call to a service, a message or not.
const requests = ".request"

func isRequest(name string) bool { return strings.HasSuffix(name, requests) }

func (c *compiler) reach(r *rule) {
	for _, name := range r.on {
		if isRequest(name) {
			c.calls(r, name)
		}
	}
	looks := r.each || r.people || r.lead == "credits" && r.ReturnedOnReply != nil
	texts := r.lead == "similar" || r.lead == "content"
	silent := 0
	var last string
	for _, name := range r.on {
		if c.shapes[name] == nil {
			continue
		}
		if looks {
			c.recipients(r, name)
		}
		if texts && !slices.ContainsFunc(c.shapes[name], func(m *message) bool { return len(m.Text) > 0 }) {
			silent, last = silent+1, name
			c.g.l.r.warn(r.keys[r.lead], "nothing says what the text of %s is: the limit %q does not look at it", name, r.name)
		}
	}
	if silent > 0 && silent == len(r.on) {
		c.at(r.keys[r.lead], "the limit %q looks at texts, and nothing says what the text of %s is\ngive the message text: (%s), or leave it out of on:", r.name, last, c.shapes[last][0].pos)
	}
}

// calls: a call has neither recipients nor a text, and counts as one.
func (c *compiler) calls(r *rule, name string) {
	service := strings.TrimSuffix(name, requests)
	if slices.ContainsFunc(r.on, func(other string) bool {
		owner, _ := split(other)
		return other != name && owner == service
	}) {
		c.at(r.On[0].pos, "%s is every call to %s, messages too: they would count twice\nleave the messages of %s out of on:", name, service, service)
	}
	for _, key := range []string{"by", "distinct", "returned_on_reply", "unanswered", "after_connecting", "similar", "reply_rate", "degree_share", "content", "count"} {
		if r.has(key) {
			c.at(r.keys[key], "%s is any call to %s: %s: asks for what only messages have\ncount messages: %s.*", name, service, key, service)
			return
		}
	}
}

// recipients: what looks at recipients needs messages that have any.
func (c *compiler) recipients(r *rule, name string) {
	can := 0
	for _, m := range c.shapes[name] {
		if len(m.Recipients) > 0 {
			can++
		}
	}
	at, what := r.By.pos, "is by recipient"
	if !r.each {
		at, what = r.keys[r.lead], "looks at recipients"
	}
	m := c.shapes[name][0]
	switch {
	case can == 0:
		c.at(at, "the limit %q %s, and nothing says who gets %s\ngive the message recipients: (%s), or leave it out of on:", r.name, what, name, m.pos)
	case can < len(c.shapes[name]) && r.each:
		c.g.l.r.warn(at, "one shape of %s has no recipients: all such messages share one counter of %q", name, r.name)
	case can < len(c.shapes[name]):
		c.g.l.r.warn(at, "one shape of %s has no recipients: to %q all such messages go to one", name, r.name)
	}
}
