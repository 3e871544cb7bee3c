package rules

import (
	"slices"
	"strings"

	"quotagate/ratelimit"
)

// How a limit counts: one key says it, and others go with some of these.

// leads are the keys of which a limit has exactly one.
func leads() []string {
	return []string{
		"allow", "pace", "rate", "credits", "unanswered", "after_connecting", "similar", "reply_rate", "degree_share",
		"concurrent", "hours", "content",
	}
}

// company is a key with the leads that it goes with.
type company struct {
	key   string
	leads []string
}

// companies are the keys that do not go with every lead. scope and by are
// among them where they say more than account.
func companies() []company {
	counted := []string{"allow", "pace", "rate", "credits", "unanswered", "after_connecting", "similar", "reply_rate", "degree_share", "concurrent", "hours"}
	return []company{
		{"per", []string{"allow", "rate", "reply_rate", "degree_share"}},
		{"distinct", []string{"allow"}},
		{"returned_on_reply", []string{"allow", "credits"}},
		{"ramp", []string{"allow"}},
		{"scale", []string{"allow"}},
		{"jitter", []string{"pace"}},
		{"burst", []string{"rate"}},
		{"gap", []string{"unanswered", "similar"}},
		{"recipients", []string{"similar"}},
		{"sample", []string{"reply_rate", "degree_share"}},
		{"by", []string{"allow", "pace", "unanswered", "after_connecting"}},
		{"scope", []string{"allow", "pace", "rate", "concurrent"}},
		{"count", []string{"allow", "credits"}},
		{"warn_at", []string{"allow"}},
		{"wait", counted},
		{"on_store_error", counted},
	}
}

// has reports whether a limit has a key, and says more with it than without.
func (l *limit) has(key string) bool {
	switch key {
	case "allow":
		return l.Allow != nil
	case "pace":
		return l.Pace != nil
	case "rate":
		return l.Rate != nil
	case "unanswered":
		return l.Unanswered != nil
	case "after_connecting":
		return l.AfterConnecting != nil
	case "similar":
		return l.Similar != nil
	case "reply_rate":
		return l.ReplyRate != nil
	case "degree_share":
		return l.DegreeShare != nil
	case "concurrent":
		return l.Concurrent != nil
	case "hours":
		return len(l.Hours) > 0
	case "content":
		return l.Content != nil
	case "ramp":
		return l.Ramp != nil
	case "by":
		return l.By.S == "recipient"
	case "scope":
		return l.Scope.S == "service"
	}
	_, ok := l.keys[key]
	return ok
}

// measure finds out how a limit counts and checks what stands beside it.
func (c *compiler) measure(r *rule, lacks reporter) {
	l := r.limit
	for _, key := range []string{"ramp", "hours", "content", "after_connecting"} {
		if p, ok := l.keys[key]; ok && !l.has(key) {
			c.at(p, "%s: is empty", key)
			return
		}
	}
	for _, key := range leads() {
		switch {
		case !l.has(key):
		case r.lead == "":
			r.lead = key
		default:
			c.at(l.keys[key], "the limit %q has both %s and %s\nwrite two limits", r.name, r.lead, key)
			lacks = func(pos, string, ...any) {}
		}
	}
	if r.lead == "" {
		lacks(l.Name.pos, "the limit %q says neither how many nor how fast\nwrite allow: and per:, or pace:; others are %s", r.name, strings.Join(leads()[2:], ", "))
		c.window(l, r)
		return
	}
	for _, one := range companies() {
		if l.has(one.key) && !slices.Contains(one.leads, r.lead) {
			lacks(l.keys[one.key], "%s: does not go with %s\n%s", one.key, r.lead, goesWith(one))
		}
	}
	c.lead(r, lacks)
	if r.service && r.number != nil && r.number.Plans != nil {
		c.at(r.number.pos, "the limit %q is one counter for all accounts, and has a number for each plan\nwrite one number, or leave scope: out", r.name)
	}
}

func goesWith(one company) string {
	if len(one.leads) > 6 {
		return "leave it out"
	}
	if last := len(one.leads) - 1; last > 0 {
		return "it goes with " + strings.Join(one.leads[:last], ", ") + " and " + one.leads[last]
	}
	return "it goes with " + one.leads[0]
}

// lead reads what the leading key and its company say.
func (c *compiler) lead(r *rule, lacks reporter) {
	l := r.limit
	switch r.lead {
	case "allow":
		r.number = l.Allow
		c.quota(l, r, lacks)
	case "pace":
		c.pace(l, r)
	case "rate":
		r.number = l.Rate
		c.smooth(l, r, lacks)
	case "credits":
		r.measure = ratelimit.Credits
		c.spends(l, r)
	case "unanswered":
		r.measure, r.number = ratelimit.Unanswered, l.Unanswered
		c.eachRecipient(r, lacks)
		c.positive(r)
		if l.Gap != nil {
			r.gap = l.Gap.Ms
		}
	case "after_connecting":
		r.measure = ratelimit.Settling
		c.eachRecipient(r, lacks)
		c.settling(l, r)
	case "similar":
		r.measure, r.people = ratelimit.Similar, true
		c.broadcast(l, r, lacks)
	case "reply_rate":
		r.measure, r.people, r.good = ratelimit.Ratio, true, ratelimit.Replied
		c.ratio(l, r, l.ReplyRate, lacks)
	case "degree_share":
		r.measure, r.people, r.good = ratelimit.Ratio, true, ratelimit.Connected
		c.ratio(l, r, l.DegreeShare, lacks)
	case "concurrent":
		r.measure, r.number, r.once = ratelimit.Concurrent, l.Concurrent, true
	case "hours":
		r.measure, r.once = ratelimit.Hours, true
		r.open = c.hours(l)
	case "content":
		r.says = c.wording(l)
	}
}
