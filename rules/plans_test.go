package rules

import (
	"fmt"
	"strings"
	"testing"
)

const plansOf = wired + "accounts: {anna: {identity: {acme.box: a}, plan: gold}}\n"

// A typo in the name of a plan would lift a limit without a sound.
func TestAPlanThatIsNearlyAnotherIsAnError(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{wired + "limits: [{name: a, on: '*', plans: [fre], allow: 4, per: day}]", `rules.yaml:23:37: the plan "fre" is nearly the plan "free"`},
		{wired + "limits: [{name: a, on: '*', allow: {fre: 4}, per: day}]", `rules.yaml:23:37: the plan "fre" is nearly the plan "free"`},
		{wired + "limits: [{name: a, on: '*', allow: {free: 4, sales-navigator: 4, sales-navigater: 5}, per: day}]", `did you mean "sales-navigator"? a typo would lift the limit`},
		{wired + "defaults: {plan: fre}", `no limit knows the plan "fre"`},
		{wired + "defaults: {plan: fre}\nlimits: [{name: a, on: '*', plans: fre, allow: 1, per: day}]", `rules.yaml:23:18: the plan "fre" is nearly the plan "free"`},
		{wired + "defaults: {plan: Free}", `did you mean "free"?`},
		{plansOf + "limits: [{name: a, on: '*', plans: glod, allow: 1, per: day}, {name: b, on: '*', plans: gold, allow: 1, per: day}]", `the plan "glod" is nearly the plan "gold"`},
		{plansOf + "limits: [{name: a, on: '*', plans: [front_desk, front-desk], allow: 1, per: day}]", `the plan "front-desk" is nearly the plan "front_desk"`},
		{wired + "accounts: {anna: {plan: silevr}}\nlimits: [{name: a, on: '*', plans: silver, allow: 1, per: day}]", `rules.yaml:23:25: no limit knows the plan "silevr"`},
	} {
		_, err := loadText(t, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "?\n  hint") {
			t.Errorf("%s\nis wrong by %v, not %s", c.text, err, c.want)
		}
	}
}

func TestPlansWithNamesOfTheirOwn(t *testing.T) {
	for _, names := range []string{
		"free, premium, premium-business, premium-career", "recruiter, recruiter-lite", "tier-1, tier-2, tier-10", "tier1, tier2",
		"plan-a, plan-b", "team-eu, team-us", "pro, pre", "gold, bold", "lite, elite", "pro, pro+, pro-x", "a, b", "basic, plus, max",
	} {
		if _, err := loadText(t, wired+"limits: [{name: a, on: '*', plans: ["+names+"], allow: 1, per: day}]"); err != nil {
			t.Errorf("%s: %v", names, err)
		}
	}
}

func TestLimitsForPlansOfNobody(t *testing.T) {
	for _, c := range []struct{ limit, want string }{
		{"plans: [silver, bronze], allow: 1", `the limit "a" is for plans that no account has (bronze, silver): it binds nobody`},
		{"allow: {silver: 1, bronze: 2}", `the limit "a" is for plans that no account has (bronze, silver): it binds nobody`},
		{"plans: [gold], allow: {gold: 1, free: 2}", ""},
		{"plans: [free], allow: {gold: 1, free: 2}", ""},
		{"allow: {gold: 1}", `the limit "a" has no number for the plan "free" and does not bind accounts that are not listed`},
		{"allow: {free: 1}", `the limit "a" has no number for the plan "gold" of "anna" and does not bind it`},
		{"plans: gold, allow: 1", ""},
	} {
		got := mustLoad(t, plansOf+"limits: [{name: a, on: '*', per: day, "+c.limit+"}]").Warnings()
		if !strings.Contains(fmt.Sprint(got), c.want) || c.want == "" && len(got) > 0 {
			t.Errorf("%s: %v, want %q", c.limit, got, c.want)
		}
	}
}
