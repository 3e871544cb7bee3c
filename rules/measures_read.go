package rules

import (
	"slices"
	"strings"

	"quotagate/ratelimit"
)

// What each kind of limit says, read and checked: one function for each.

// quota reads allow and what goes with it.
func (c *compiler) quota(l *limit, r *rule, lacks reporter) {
	if w := l.WarnAt; w != nil && !w.Percent && l.Allow.Plans == nil && l.Scale.S == "" && int64(w.N) > l.Allow.All && !c.g.l.r.misread[l.Allow.pos] {
		c.at(w.pos, "the limit %q warns at %d and allows %d: the warning never comes", r.name, int64(w.N), l.Allow.All)
	}
	if l.Per.Line == 0 {
		lacks(l.Name.pos, "the limit %q does not say per what\nwrite per: day, or per: 24h for the last 24 hours; others are %s", r.name, strings.Join(windows(), ", "))
	}
	c.window(l, r)
	r.people = l.Distinct.S != "" || l.ReturnedOnReply != nil
	if l.Distinct.S != "" {
		switch {
		case r.each:
			c.at(l.Distinct.pos, "the limit %q counts distinct recipients and is by recipient: every counter would be 1\nleave by: out", r.name)
		case l.has("count"):
			c.at(l.Count.pos, "distinct: recipient says what is counted\nleave count: out")
		case l.ReturnedOnReply != nil:
			c.at(l.ReturnedOnReply.pos, "a recipient that was reached stays reached: distinct does not go with returned_on_reply\nwrite two limits")
		}
	}
	if d := l.ReturnedOnReply; d != nil {
		switch {
		case r.measure == ratelimit.Rolling:
			c.at(d.pos, "a duration looks back at what was sent, and gives nothing back\nreturned_on_reply goes with per: day, week, month, year or lifetime, and with credits")
		case r.service:
			c.at(d.pos, "a reply is to an account, and the limit %q is one counter for all accounts\nleave scope: out", r.name)
		case d.Ms == 0:
			c.at(d.pos, "no reply comes within 0")
		}
	}
	if p := l.Ramp; p != nil && p.From != nil && p.Over != nil {
		r.ramp = ratelimit.Ramp{From: p.From.N, Over: p.Over.Ms}
		switch {
		case r.measure == ratelimit.Lifetime:
			c.at(p.pos, "a number for a lifetime cannot grow\nramp goes with per: day or a duration")
		case p.Over.Ms == 0 && !c.g.l.r.misread[p.Over.pos]:
			c.at(p.Over.pos, "a ramp over 0 is none\nwrite over: 4w, or leave ramp: out")
		case l.Allow.Plans == nil && l.Scale.S == "" && p.From.N > l.Allow.All && !c.g.l.r.misread[l.Allow.pos]:
			c.at(p.From.pos, "the limit %q grows from %d and allows %d\nfrom: is the smaller number", r.name, p.From.N, l.Allow.All)
		}
	}
	if l.Scale.S != "" {
		r.scale = c.scaling(l)
		if r.service {
			c.at(l.Scale.pos, "scale asks about an account, and the limit %q is one counter for all accounts\nleave one of them out", r.name)
		}
	}
}

// pace reads pace and jitter.
func (c *compiler) pace(l *limit, r *rule) {
	r.measure, r.span = ratelimit.Pace, l.Pace.Ms
	r.jitter = int64(l.Jitter * float64(l.Pace.Ms))
	switch {
	case l.Pace.Ms == 0:
		c.at(l.Pace.pos, "a pace of 0 keeps nothing apart")
	case l.Jitter < 0 || l.Jitter > 1:
		c.at(l.keys["jitter"], "the jitter of %q is not between 0 and 1\n0.3 adds up to 30%% of the pace", r.name)
	}
}

// smooth reads rate, its per and burst.
func (c *compiler) smooth(l *limit, r *rule, lacks reporter) {
	words := []string{"second", "minute", "hour", "day"}
	ms := []int64{1000, 60 * 1000, 3600 * 1000, 24 * 3600 * 1000}
	per := l.Per.S
	if l.Per.Line == 0 {
		lacks(l.keys["rate"], "the rate of %q does not say per what\nwrite per: second, minute, hour, day, or a duration such as 10s", r.name)
		return
	}
	if i := slices.Index(words, per); i >= 0 {
		r.span = ms[i]
	} else if span, ok := parseSpan(per); ok {
		r.span = span
	} else if per != "" {
		hint := DidYouMean(per, words)
		if hint == "" || slices.Contains(windows(), per) {
			hint = "it is " + strings.Join(words, ", ") + ", or a duration such as 10s; allow: counts per " + strings.Join(windows(), ", ")
		}
		c.at(l.Per.pos, "%q is nothing a rate is smoothed over\n%s", per, hint)
		return
	}
	switch {
	case per == "":
	case r.span == 0:
		c.at(l.Per.pos, "a rate needs some time\nwrite per: second")
	case r.span > ms[3]:
		c.at(l.Per.pos, "a rate is smoothed over 24h at most\nallow: counts over longer times")
	}
	if r.burst = 0; l.Burst != nil {
		r.burst = l.Burst.N
	}
}

// eachRecipient is for measures that know nothing but recipients.
func (c *compiler) eachRecipient(r *rule, lacks reporter) {
	if !r.each {
		lacks(r.keys[r.lead], "%s counts for each recipient\nwrite by: recipient beside it", r.lead)
	}
}

// positive: a number of 0 would let nothing through, ever.
func (c *compiler) positive(r *rule) {
	if r.number.Plans == nil && r.number.All == 0 && !c.g.l.r.misread[r.number.pos] {
		c.at(r.number.pos, "%s of 0 lets nothing through, ever\nallow: 0 says so", r.lead)
	}
}

func (c *compiler) settling(l *limit, r *rule) {
	s := l.AfterConnecting
	if s.Allow != nil {
		r.fixed = s.Allow.N
	}
	if s.Or == nil {
		return
	}
	if r.span = s.Or.Ms; r.span == 0 && !c.g.l.r.misread[s.Or.pos] {
		c.at(s.Or.pos, "nothing settles in 0\nwrite or: 14d")
	}
}

// broadcast reads similar, recipients and gap.
func (c *compiler) broadcast(l *limit, r *rule, lacks reporter) {
	if n := l.Similar.N; !(n >= 0.5 && n <= 1) && !c.g.l.r.misread[l.Similar.pos] {
		c.at(l.Similar.pos, "similar is between 0.5 and 1, which is the same text\n0.8 is a text with some words changed")
	}
	r.rate = millionths(l.Similar.N)
	if l.Recipients == nil {
		lacks(l.keys["similar"], "similar does not say how many recipients make a broadcast\nwrite recipients: 3 beside it")
	} else if r.fixed = l.Recipients.N; r.fixed == 1 {
		c.at(l.Recipients.pos, "one recipient is no broadcast\n2 is the least")
	}
	switch {
	case l.Gap == nil:
		lacks(l.keys["similar"], "similar does not say how long a broadcast is followed by none\nwrite gap: 14d beside it")
	case l.Gap.Ms == 0 && !c.g.l.r.misread[l.Gap.pos]:
		c.at(l.Gap.pos, "a gap of 0 keeps nothing apart")
	default:
		r.gap = l.Gap.Ms
	}
}

// ratio reads reply_rate or degree_share, per and sample.
func (c *compiler) ratio(l *limit, r *rule, share *fraction, lacks reporter) {
	if n := share.N; !(n > 0 && n <= 1) && !c.g.l.r.misread[share.pos] {
		c.at(share.pos, "%s is a share between 0 and 1\n0.1 is one of ten", r.lead)
	}
	r.rate = millionths(share.N)
	span, ok := parseSpan(l.Per.S)
	switch {
	case l.Per.Line == 0:
		lacks(l.keys[r.lead], "%s does not say of which time\nwrite per: 30d beside it", r.lead)
	case l.Per.S == "":
	case slices.Contains(windows(), l.Per.S):
		c.at(l.Per.pos, "%s looks back from now, and %q is a window of the calendar\nwrite a duration, such as per: 30d", r.lead, l.Per.S)
	case !ok || span < 1000:
		c.at(l.Per.pos, "%q is not a duration\nwrite it as 24h, 7d or 30d", l.Per.S)
	default:
		r.span = span
	}
	if l.Sample == nil {
		lacks(l.keys[r.lead], "%s does not say how many messages it needs before it says anything\nwrite sample: 50 beside it", r.lead)
	}
}

// millionths is a share as the ledger writes it, to the nearest.
func millionths(f float64) int64 { return int64(f*1e6 + 0.5) }
