package proxy

// Why a request is refused, in one sentence for a person.

import (
	"fmt"
	"strings"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// reason says why, and when there will be room; times are those of the
// account's wall clock, rounded up to the second.
func (t *transit) reason(ref rules.Refusal) (text string) {
	why, again := t.cause(ref)
	if t.byShare {
		defer func() { text += "; " + t.onItsOwn() }()
	}
	if more := t.topUp(); more != "" {
		defer func() { text += "; more: " + more }()
	}
	if ref.RetryAt.IsZero() {
		if again == "" {
			return why
		}
		if t.decision.Limit == ratelimit.PausedLimit {
			return why + "; it stays so until someone resumes it"
		}
		return why + "; waiting will not help"
	}
	if again == "" {
		again = "room again at "
	}
	return why + "; " + again + t.clockTime(ref.RetryAt)
}

// topUp is what more of the credits cost that ran out, where the rules say so.
func (t *transit) topUp() string {
	c := claimOf(t.claims, t.decision.Limit)
	if c == nil || c.Measure != ratelimit.Credits {
		return ""
	}
	for _, l := range t.set.Limits() {
		if l.Name == c.Limit {
			return l.TopUp
		}
	}
	return ""
}

// clockTime is a time as the account's clock shows it.
func (t *transit) clockTime(at time.Time) string {
	return rules.WholeSecond(at).In(t.set.Location(t.account)).Format(time.RFC3339)
}

// cause is what has no room, and the words before the time at which it has;
// none where no time is worth a word.
func (t *transit) cause(ref rules.Refusal) (why, again string) {
	d := &t.decision
	const room = "room again at "
	limit := "limit " + d.Limit
	c := claimOf(t.claims, d.Limit)
	switch {
	case d.Limit == sameLimit && ref.RetryAt.IsZero(): // it went
		return d.Why, ""
	case d.Limit == sameLimit:
		return d.Why, "ask again at "
	case d.Limit == ratelimit.PausedLimit:
		return t.holdWords(), "it ends at "
	case c == nil && d.Why != "": // it is none of the ledger's
		return limit + ": " + d.Why, room
	case d.Fits == 0 && ref.Allow == 0:
		return limit + " allows nothing", room
	case d.Fits > 0:
		return fmt.Sprintf("%s allows %d; this request asks for more at once, and %d would fit", limit, ref.Allow, d.Fits), room
	case c == nil:
		return fmt.Sprintf("%s: %d of %d used", limit, ref.Used, ref.Allow), room
	}
	return limit + ": " + measureWords(c, ref.Used, ref.Allow), againWords(c)
}

// measureWords is what a measure has no room for.
func measureWords(c *ratelimit.Claim, used, allow int64) string {
	ofAll := ""
	if c.Scope != "" {
		ofAll = " by all accounts together"
	}
	switch c.Measure {
	case ratelimit.Pace:
		return "one every " + spanText(c.Span) + ofAll
	case ratelimit.Credits:
		return fmt.Sprintf("%d of %d credits left", max(allow-used, 0), allow)
	case ratelimit.Unanswered:
		if used >= allow {
			return fmt.Sprintf("%s unanswered; it takes a reply", messages(used))
		}
		return fmt.Sprintf("%s unanswered, and %s between one and the next", messages(used), spanText(c.Gap))
	case ratelimit.Settling:
		return fmt.Sprintf("%s sent since they connected, %d until they reply", messages(used), allow)
	case ratelimit.Similar:
		return fmt.Sprintf("a text like this went to %d recipients or more; the next may go %s after the last", allow, spanText(c.Gap))
	case ratelimit.Ratio:
		what := "were answered"
		if c.Good == ratelimit.Connected {
			what = "went to connections"
		}
		return fmt.Sprintf("too few of the last %s of messages %s: it takes %s", spanText(c.Span), what, percent(c.Rate))
	case ratelimit.Concurrent:
		return fmt.Sprintf("%d of %d are on their way%s", used, allow, ofAll)
	case ratelimit.Hours:
		return "outside its hours"
	}
	if c.Distinct {
		return fmt.Sprintf("%d of %d recipients used%s", used, allow, ofAll)
	}
	return fmt.Sprintf("%d of %d used%s", used, allow, ofAll)
}

// againWords stand before the time at which there is room.
func againWords(c *ratelimit.Claim) string {
	switch c.Measure {
	case ratelimit.Credits:
		return "the next come on "
	case ratelimit.Hours:
		return "it opens at "
	case ratelimit.Concurrent:
		return "ask again at "
	case ratelimit.Unanswered:
		return "" // what it takes was said
	}
	return "room again at "
}

// holdWords is who is on hold, and why.
func (t *transit) holdWords() string {
	d := &t.decision
	who := "the account"
	if d.Key != "" {
		who = "the recipient"
	}
	if d.Why == "" {
		return who + " is paused"
	}
	return who + " is paused: " + d.Why
}

func messages(n int64) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// percent writes millionths: 80%, 12.5%.
func percent(millionths int64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.4f", float64(millionths)/1e4), "0"), ".") + "%"
}

// claimOf is the first claim on a limit, or nil.
func claimOf(claims []ratelimit.Claim, limit string) *ratelimit.Claim {
	for i := range claims {
		if claims[i].Limit == limit {
			return &claims[i]
		}
	}
	return nil
}
