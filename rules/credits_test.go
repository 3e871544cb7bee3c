package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quotagate/ratelimit"
)

func potLines(pots []ratelimit.Pot) string {
	lines := make([]string, len(pots))
	for i, p := range pots {
		end := "never"
		if p.End > 0 {
			end = time.UnixMilli(p.End).UTC().Format("2006-01-02T15:04")
		}
		lines[i] = fmt.Sprintf("%s %d from %s to %s", p.Label, p.Units, time.UnixMilli(p.Start).UTC().Format("2006-01-02T15:04"), end)
		if !p.Accrued {
			lines[i] = fmt.Sprintf("%s %d to %s", p.Label, p.Units, end)
		}
	}
	return strings.Join(lines, "\n")
}

func TestCreditsAccrueAndCarryOver(t *testing.T) {
	s := mustLoad(t, wired+`defaults: {timezone: Europe/Berlin}
credits:
  mail: {accrue: {gold: 50, silver: 5}, per: month, carry: 90d, top_up: "3 for $10"}
  stamps: {accrue: 2, per: day}
accounts:
  anna: {identity: {acme.box: a}, plan: gold}
  bert: {identity: {acme.box: b}}
limits:
  - {name: mail, on: acme.message, credits: mail}
  - {name: stamps, on: acme.message, credits: stamps}
`)
	for _, c := range []struct{ account, now, want string }{
		{"anna", "2026-11-21T12:00:00Z", `2026-09 50 from 2026-08-31T22:00 to 2026-11-29T22:00
2026-10 50 from 2026-09-30T22:00 to 2026-12-29T22:00
2026-11 50 from 2026-10-31T23:00 to 2027-01-29T23:00
2026-12 50 from 2026-11-30T23:00 to 2027-02-28T23:00
2026-11-21 2 from 2026-11-20T23:00 to 2026-11-21T23:00
2026-11-22 2 from 2026-11-21T23:00 to 2026-11-22T23:00`},
		// The last millisecond of September's, and the first without it.
		{"anna", "2026-11-29T21:59:59.999Z", "2026-09 50 from 2026-08-31T22:00 to 2026-11-29T22:00\n2026-10 50"},
		{"anna", "2026-11-29T22:00:00Z", "2026-10 50 from"},
		{"bert", "2026-11-21T12:00:00Z", "2026-09 0 from"},
	} {
		var pots []ratelimit.Pot
		for _, cl := range s.Claims(to("r1"), c.account, mustTime(t, c.now)) {
			for _, p := range cl.Pots {
				if !p.Accrued {
					t.Errorf("%+v did not accrue", p)
				}
			}
			pots = append(pots, cl.Pots...)
		}
		if got := potLines(pots); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s at %s has\n%s\nwant\n%s", c.account, c.now, got, c.want)
		}
	}
	if got := fmt.Sprint(s.Warnings()); !strings.Contains(got, `the plan "free" gets no credits "mail": accounts that are not listed have only what they are given`) {
		t.Error(got)
	}
	if info := s.Limits()[0]; info.TopUp != "3 for $10" || info.Credits != "mail" {
		t.Error(info)
	}
}

// Every window whose carry runs is there, whenever it is asked: a pot that is
// left out cannot be spent.
func TestNoPotIsLeftOut(t *testing.T) {
	for _, name := range []string{"UTC", "America/Havana", "Pacific/Apia"} {
		loc, err := zone(name)
		if err != nil {
			t.Fatal(err)
		}
		for unit, carry := range map[int]int64{hour: 5 * 3600_000, day: 9 * 86400_000, week: 30 * 86400_000, month: 400 * 86400_000, year: 0} {
			cal := &newCalendars(loc)[unit]
			step := time.Duration(shortest(unit)/3) * time.Millisecond
			for at := mustTime(t, "2011-12-20T00:00:00Z"); at.Before(mustTime(t, "2012-04-10T00:00:00Z")); at = at.Add(step) {
				list := cal.since(at, carry)
				now := at.UnixMilli()
				if first := list[0]; max(first.End, first.Start+carry) > now {
					t.Fatalf("%s, unit %d, at %s: one more before %+v may last", name, unit, at, first)
				}
				if last := list[len(list)-1]; last.Start <= now {
					t.Fatalf("%s, unit %d, at %s: the next window is missing", name, unit, at)
				}
				if len(list) > 40 {
					t.Fatalf("%s, unit %d, at %s: %d windows", name, unit, at, len(list))
				}
				for i := 1; i < len(list); i++ {
					if list[i].Start != list[i-1].End {
						t.Fatalf("%s, unit %d: %+v does not follow %+v", name, unit, list[i], list[i-1])
					}
				}
			}
		}
	}
}

// A country that skipped a day had no credits on it.
func TestNothingAccruesOnADayThatNeverWas(t *testing.T) {
	s := mustLoad(t, wired+"defaults: {timezone: Pacific/Apia}\ncredits: {mail: {accrue: 2, per: day, carry: 3d}}\nlimits: [{name: mail, on: acme.message, credits: mail}]")
	for _, now := range []string{"2011-12-30T09:00:00Z", "2011-12-30T13:00:00Z", "2012-01-01T13:00:00Z"} {
		pots := s.Claims(to("r1"), "y", mustTime(t, now))[0].Pots
		if len(pots) < 3 || slices.ContainsFunc(pots, func(p ratelimit.Pot) bool { return p.Label == "2011-12-30" }) {
			t.Errorf("at %s:\n%s", now, potLines(pots))
		}
	}
}

func TestAddOnsArePots(t *testing.T) {
	s := mustLoad(t, wired+`accounts:
  anna:
    identity: {acme.box: a}
    timezone: America/Los_Angeles
    add_ons:
      - {limit: day, extra: 100, until: 2026-12-31}
      - {limit: day, extra: 7, until: 2026-12-31, name: birthday}
      - {limit: day, extra: 5, until: "2026-06-01T12:00:00+02:00"}
      - {limit: last, extra: 9}
limits:
  - {name: day, on: acme.*, allow: 10, per: day}
  - {name: last, on: acme.*, allow: 10, per: 24h}
`)
	now := mustTime(t, "2026-11-21T12:00:00Z")
	claims := s.Claims(to("r1"), "anna", now)
	if got, want := potLines(claims[0].Pots), "until 2026-12-31 100 to 2027-01-01T08:00\nadd-on birthday 7 to 2027-01-01T08:00\nuntil 2026-06-01T12:00:00+02:00 5 to 2026-06-01T10:00"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := potLines(claims[1].Pots); got != "add-on 9 to never" {
		t.Error(got)
	}
	if claims = s.Claims(to("r1"), "bert", now); claims[0].Pots != nil || claims[1].Pots != nil {
		t.Error(claims)
	}
	// Their days are those of the account's clock, in a test's too.
	given, err := s.Given(Given{Timezone: "Europe/Berlin"})
	if err != nil {
		t.Fatal(err)
	}
	if got := potLines(given.Claims(to("r1"), "anna", now)[0].Pots[:1]); got != "until 2026-12-31 100 to 2026-12-31T23:00" {
		t.Error(got)
	}
	if got := potLines(s.Claims(to("r1"), "anna", now)[0].Pots[:1]); got != "until 2026-12-31 100 to 2027-01-01T08:00" {
		t.Error("the test changed the set:", got)
	}
}

func TestWarningsOfCreditsScalesAndHours(t *testing.T) {
	const anna = "accounts: {anna: {identity: {acme.box: a}, plan: gold, facts: {friends: 9}, add_ons: [{limit: silver, extra: 3}]}}\n"
	for _, c := range []struct{ text, want string }{
		{"credits: {mail: {accrue: 5, per: month}}", `no limit spends the credits "mail"`},
		{"credits: {mail: {accrue: 5, per: month, carry: 3d}}\nlimits: [{name: a, on: '*', credits: mail}]", "carrying them for less changes nothing"},
		{"limits: [{name: a, on: '*', allow: 5, per: day, scale: facts.friends / 10}]", `the scale of "a" asks for what is not known of accounts that are not listed: it then allows 0`},
		{"limits: [{name: a, on: '*', hours: {from: '00:00', to: '24:00'}}]", `the hours of "a" are all hours`},
		{"limits: [{name: a, on: '*', content: {placeholders: warn}}]", `nothing says what the text of acme.bulk is: the limit "a" does not look at it`},
		{"limits: [{name: a, on: '*', concurrent: 0}]", `the limit "a" allows 0`},
		{anna + "limits: [{name: silver, on: '*', plans: [silver], allow: 5, per: day}]", `the limit "silver" does not bind "anna": the add-on adds nothing`},
	} {
		got := fmt.Sprint(mustLoad(t, wired+c.text).Warnings())
		if !strings.Contains(got, c.want) {
			t.Errorf("%s\nwarns %s, not %s", c.text, got, c.want)
		}
		if strings.Contains(got, `"anna": it then`) {
			t.Errorf("anna's friends are known: %s", got)
		}
	}
}
