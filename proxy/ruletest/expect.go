package ruletest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"quotagate/proxy"
	"quotagate/rules"
)

// A differ gathers what is not as it was expected, in plain words.
type differ struct {
	out []string
	loc *time.Location
}

func (d *differ) say(format string, args ...any) {
	d.out = append(d.out, fmt.Sprintf(format, args...))
}

func (d *differ) text(what, got, want string) {
	if want != "" && got != want {
		if got == "" {
			got = "missing"
		}
		d.say("%s is %s, want %s", what, got, want)
	}
}

func (d *differ) part(what, got, want string) {
	if !strings.Contains(got, want) {
		d.say("%s is %q, want it to contain %q", what, got, want)
	}
}

func (d *differ) number(what string, got int, want *int) {
	if want != nil && got != *want {
		d.say("%s: got %d, want %d", what, got, *want)
	}
}

func (d *differ) time(t time.Time) string {
	return t.In(d.loc).Format(time.RFC3339Nano)
}

// compare holds what happened against what was expected.
func (s *stage) compare(h *happened, want *rules.Expect) []string {
	r := &h.last
	d := &differ{loc: s.set.Location(r.Account)}
	s.compareDecision(d, h, want)
	d.text("the limit", r.Limit, want.Limit)
	d.text("the account", r.Account, want.Account)
	d.text("the class", r.Class, want.Class)
	d.part("the reason", r.Reason, want.Reason)
	compareTimes(d, h, want)
	compareMessages(d, r, want)
	compareAnswer(d, h, want)
	compareNames(d, r, want)
	for _, limit := range slices.Sorted(maps.Keys(want.Used)) {
		used, ok, err := s.used(limit)
		switch {
		case err != nil:
			d.say("what is used of %s: %v", limit, err)
		case !ok:
			d.say("no limit %s binds the account", limit)
		case used != want.Used[limit]:
			d.say("%d are used of %s, want %d", used, limit, want.Used[limit])
		}
	}
	return d.out
}

func (s *stage) compareDecision(d *differ, h *happened, want *rules.Expect) {
	got := h.decision()
	// Whoever says for how long it is held may call it forwarded.
	if want.Decision == proxy.DecisionForward && got == proxy.DecisionHold && want.HeldFor != nil {
		return
	}
	if want.Decision == "" || got == want.Decision {
		return
	}
	because := ""
	switch {
	case got == proxy.DecisionHold:
		because = fmt.Sprintf(" (held for %s)", h.last.Held)
	case h.last.Reason != "":
		because = " (" + h.last.Reason + ")"
	case got == "pass":
		because = " (no rule takes it for a message)"
	}
	d.say("the decision is %s, want %s%s", got, want.Decision, because)
}

func compareTimes(d *differ, h *happened, want *rules.Expect) {
	r := &h.last
	refused := r.Decision == proxy.DecisionReject
	never := refused && r.RetryAt.IsZero()
	room := "it was not refused"
	switch {
	case never:
		room = "there is never room again"
	case refused:
		room = "there is room again at " + d.time(r.RetryAt)
	}
	if !want.RetryAt.IsZero() && !r.RetryAt.Equal(want.RetryAt) {
		d.say("%s, want %s", room, want.RetryAt.Format(time.RFC3339Nano))
	}
	if want.RetryAfter != nil {
		switch after := r.RetryAt.Sub(h.at); {
		case !refused, never:
			d.say("%s, want it after %s", room, *want.RetryAfter)
		case after != *want.RetryAfter:
			d.say("there is room again after %s, want %s", after, *want.RetryAfter)
		}
	}
	if want.Never != nil && never != *want.Never {
		d.say("%s, want %s", room, map[bool]string{true: "never", false: "a time"}[*want.Never])
	}
	if want.HeldFor != nil && r.Held != *want.HeldFor {
		d.say("it was held for %s, want %s", r.Held, *want.HeldFor)
	}
}

func compareMessages(d *differ, r *proxy.Record, want *rules.Expect) {
	recipients := 0
	var names []string
	for i := range r.Messages {
		recipients += len(r.Messages[i].Recipients)
		if name := r.Service + "." + r.Messages[i].Kind; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if want.Message != "" && !slices.Contains(names, want.Message) {
		d.text("the message", strings.Join(names, ", "), want.Message)
	}
	d.number("messages", len(r.Messages), want.Messages)
	d.number("recipients", recipients, want.Recipients)
}

// compareNames looks at what else the record names.
func compareNames(d *differ, r *proxy.Record, want *rules.Expect) {
	var cooldowns, warnings []string
	for i := range r.Coolings {
		cooldowns = append(cooldowns, r.Coolings[i].Name)
	}
	for i := range r.Warnings {
		warnings = append(warnings, r.Warnings[i].Limit)
	}
	outcome := ""
	if len(r.Messages) > 0 {
		outcome = r.Messages[0].Outcome
	}
	d.text("the outcome", outcome, want.Outcome)
	d.names("the cool-downs", cooldowns, want.Cooldowns)
	d.names("the warnings", warnings, want.Warnings)
	d.names("the limits that warn", r.Warned, want.Warned)
	d.names("the shadow limits without room", r.Shadowed, want.Shadowed)
}

// names compares lists of names, each once and in any order; nil wants nothing.
func (d *differ) names(what string, got, want []string) {
	if want == nil {
		return
	}
	list := func(names []string) string {
		names = slices.Clone(names)
		slices.Sort(names)
		if len(names) == 0 {
			return "none"
		}
		return strings.Join(slices.Compact(names), ", ")
	}
	if list(got) != list(want) {
		d.say("%s are %s, want %s", what, list(got), list(want))
	}
}

// compareAnswer looks at what the client sees.
func compareAnswer(d *differ, h *happened, want *rules.Expect) {
	if want.Status != 0 && h.status() != want.Status {
		d.say("the status is %d, want %d", h.status(), want.Status)
	}
	for _, name := range slices.Sorted(maps.Keys(want.Header)) {
		got := ""
		if h.response != nil {
			got = strings.Join(h.response.Header.Values(name), ", ")
		}
		if got != want.Header[name] {
			d.say("the header %s is %q, want %q", name, got, want.Header[name])
		}
	}
	d.part("the answer", string(h.body), want.Body)
	if want.JSON == nil {
		return
	}
	var got any
	if err := json.Unmarshal(h.body, &got); err != nil {
		d.say("the answer is no JSON: %q", h.body)
		return
	}
	// Both sides with the same types: YAML tells 1 from 1.0, JSON does not.
	text, err := encodeJSON(want.JSON)
	var wanted any
	if err == nil {
		err = json.Unmarshal([]byte(text), &wanted)
	}
	if err != nil || !within(got, wanted) {
		d.say("the answer is %s, want at least %s", strings.TrimSpace(string(h.body)), text)
	}
}

// within reports whether got has all of want: members of objects may be more,
// all else is the same.
func within(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		for k, v := range want {
			if e, has := m[k]; !ok || !has || !within(e, v) {
				return false
			}
		}
		return ok
	case []any:
		list, ok := got.([]any)
		return ok && len(list) == len(want) && withinAll(list, want)
	}
	return reflect.DeepEqual(got, want)
}

func withinAll(got, want []any) bool {
	for i := range want {
		if !within(got[i], want[i]) {
			return false
		}
	}
	return true
}
