package proxy

// What is used of limits, and what is on hold, for a person or a program to
// read.

import (
	"fmt"
	"strconv"
	"time"

	"quotagate/ratelimit"
)

// A LimitUse is the state of one limit for a person or a program to read.
type LimitUse struct {
	Limit   string    `json:"limit"`
	Key     string    `json:"key,omitempty"`
	Used    int64     `json:"used"`
	Allow   int64     `json:"allow"`
	Resets  time.Time `json:"resets,omitzero"`
	Short   bool      `json:"short,omitempty"` // has no room
	Shadow  bool      `json:"shadow,omitempty"`
	Warn    bool      `json:"warn,omitempty"`  // says so and lets through
	Scope   string    `json:"scope,omitempty"` // whose counter it is, if not the account's own
	WarnAt  int64     `json:"warn_at,omitempty"`
	Measure string    `json:"measure,omitempty"`
}

// A HoldUse is a hold in force.
type HoldUse struct {
	// Name is "" for a person's pause, else what the service said.
	Name string `json:"name,omitempty"`
	// Until is when it ends; zero: when someone resumes the account.
	Until time.Time `json:"until,omitzero"`
	Why   string    `json:"why,omitempty"`
}

// HoldUses are the holds that a dry decision told of.
func HoldUses(d *ratelimit.Decision) []HoldUse {
	var out []HoldUse
	for i := range d.Holds {
		h := HoldUse{Name: d.Holds[i].Name, Why: d.Holds[i].Why}
		if d.Holds[i].Until > 0 {
			h.Until = time.UnixMilli(d.Holds[i].Until).UTC()
		}
		out = append(out, h)
	}
	return out
}

// rateUses are the rates that a request meets. They do not tell what is used.
func (t *transit) rateUses() []LimitUse {
	var out []LimitUse
	for _, r := range t.set.Rates(t.sending, t.account) {
		out = append(out, LimitUse{Limit: r.Limit, Allow: r.N, Shadow: r.Shadow, Measure: "rate, per " + spanText(r.Per)})
	}
	return out
}

// LimitUses is a decision's counters with what their claims say of them; warns
// tells of a limit that the ledger takes for a shadow whether it warns.
func LimitUses(d *ratelimit.Decision, claims []ratelimit.Claim, warns func(limit string) bool) []LimitUse {
	out := make([]LimitUse, 0, len(d.Uses))
	for _, u := range d.Uses {
		l := LimitUse{Limit: u.Limit, Key: u.Key, Used: u.Used, Allow: u.Allow, Short: u.Short}
		if u.Shadow {
			l.Warn = warns(u.Limit)
			l.Shadow = !l.Warn
		}
		if u.Resets > 0 {
			l.Resets = time.UnixMilli(u.Resets).UTC()
		}
		for i := range claims {
			if claims[i].Limit == u.Limit {
				l.WarnAt, l.Measure, l.Scope = claims[i].WarnAt, measureName(&claims[i]), claims[i].Scope
				break
			}
		}
		out = append(out, l)
	}
	return out
}

func measureName(c *ratelimit.Claim) string {
	if c.Distinct {
		plain := *c
		plain.Distinct = false
		return "recipients " + measureName(&plain)
	}
	switch c.Measure {
	case ratelimit.Calendar:
		return "per " + c.Unit
	case ratelimit.Rolling:
		return "per " + spanText(c.Span)
	case ratelimit.Lifetime:
		return "per lifetime"
	case ratelimit.Pace:
		return "pace " + spanText(c.Span)
	case ratelimit.Credits:
		return "credits"
	case ratelimit.Unanswered:
		if c.Gap > 0 {
			return "unanswered, " + spanText(c.Gap) + " apart"
		}
		return "unanswered"
	case ratelimit.Settling:
		return "until a reply"
	case ratelimit.Similar:
		return fmt.Sprintf("%s alike, %s apart", percent(c.Rate), spanText(c.Gap))
	case ratelimit.Ratio:
		what := "reply_rate"
		if c.Good == ratelimit.Connected {
			what = "degree_share"
		}
		return fmt.Sprintf("%s %s, per %s", what, percent(c.Rate), spanText(c.Span))
	case ratelimit.Concurrent:
		return "at once"
	case ratelimit.Hours:
		return "hours"
	}
	return ""
}

// spanText writes milliseconds as the rules files do: 7d, 24h, 90s, 300ms.
func spanText(ms int64) string {
	for _, u := range []struct {
		name string
		ms   int64
	}{{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}} {
		// 24h stays 24h: a day is what the calendar says.
		if ms%u.ms == 0 && (u.name != "d" || ms > u.ms) && ms > 0 {
			return strconv.FormatInt(ms/u.ms, 10) + u.name
		}
	}
	return strconv.FormatInt(ms, 10) + "ms"
}
