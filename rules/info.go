package rules

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"quotagate/ratelimit"
)

// What a set says about itself to people: tables, the admin API, coverage.

// LimitInfo is one limit as people see it.
type LimitInfo struct {
	Name string `json:"name"`
	// On are the names of the messages that it counts.
	On []string `json:"on"`
	// Measure is the key that says how it counts: allow, pace, rate, ….
	Measure string `json:"measure"`
	// Allow is the number of its measure; it is empty where that has none,
	// as a pace.
	Allow Allowance `json:"allow,omitzero"`
	// Per is day, lifetime, 24h, …; or the spacing, for a pace.
	Per  string `json:"per,omitempty"`
	Pace string `json:"pace,omitempty"`
	// By is recipient, or empty for the whole account.
	By string `json:"by,omitempty"`
	// Scope is service where all accounts of the service share the counter.
	Scope string   `json:"scope,omitempty"`
	Plans []string `json:"plans,omitempty"`
	// Accounts are those that it binds, if not every one.
	Accounts []string `json:"accounts,omitempty"`
	When     string   `json:"when,omitempty"`
	// Wait is how long a message may be held for it, in milliseconds.
	Wait int64 `json:"wait_ms"`
	// Mode is enforce, shadow, or warn.
	Mode string `json:"mode"`
	// Credits are what it spends, and TopUp what more of them cost.
	Credits string `json:"credits,omitempty"`
	TopUp   string `json:"top_up,omitempty"`
	// Source is the document that the limit was read in.
	Source string `json:"source,omitempty"`
	// Pack is the shipped pack or regime it comes from, if any.
	Pack string `json:"pack,omitempty"`
	At   Pos    `json:"at"`
}

// Allowance is one number, or one for each plan.
type Allowance struct {
	All   int64
	Plans map[string]int64
	set   bool
}

// IsZero reports that there is no number at all.
func (a Allowance) IsZero() bool { return !a.set }

func (a Allowance) String() string {
	if a.Plans == nil {
		return strconv.FormatInt(a.All, 10)
	}
	s := ""
	for i, plan := range sorted(a.Plans) {
		if i > 0 {
			s += ", "
		}
		s += plan + " " + strconv.FormatInt(a.Plans[plan], 10)
	}
	return s
}

// MarshalJSON writes 100, or {"free": 15, …}.
func (a Allowance) MarshalJSON() ([]byte, error) {
	if a.Plans != nil {
		return json.Marshal(a.Plans)
	}
	return json.Marshal(a.All)
}

// Limits are all limits, in the order of the files.
func (s *Set) Limits() []LimitInfo {
	infos := make([]LimitInfo, 0, len(s.limits))
	for _, r := range s.limits {
		info := LimitInfo{
			Name: r.name, Measure: r.lead, On: slices.Clone(r.on), Per: r.Per.S, Credits: r.Credits.S, Plans: sorted(r.plans),
			When: r.When.S, Wait: r.wait, Mode: enforce,
			Source: r.Source, Pack: r.home.pack, At: r.Name.pos,
		}
		if r.shadow {
			info.Mode = shadow
		}
		if r.warns {
			info.Mode = warn
		}
		if r.each {
			info.By = r.By.S
		}
		if r.service {
			info.Scope = r.Scope.S
		}
		if r.credit != nil {
			info.TopUp = r.credit.TopUp
		}
		switch {
		case r.number != nil:
			info.Allow = Allowance{All: r.number.All, Plans: maps.Clone(r.number.Plans), set: true}
		case r.fixed > 0:
			info.Allow = Allowance{All: r.fixed, set: true}
		}
		if r.measure == ratelimit.Pace {
			info.Pace = (time.Duration(r.span) * time.Millisecond).String()
		}
		if !r.home.everyone {
			info.Accounts = sorted(r.home.only)
		}
		infos = append(infos, info)
	}
	return infos
}

// MessageNames are the names of all messages that the files describe, sorted.
func (s *Set) MessageNames() []string { return messageNames(s.messages) }
