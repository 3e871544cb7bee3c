package rules

import (
	"fmt"
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{wired, "there is no limit: every message is let through"},
		{"version: 1\nlimits: [{name: day, on: '*', allow: 1, per: day}]", `the limit "day" binds nothing`},
		{wired + "accounts: {anna: {plan: free}}", `the account "anna" lists no identity`},
		{wired + "accounts: {anna: {identity: {acme.box: a}, plan: platinum}}\nlimits: [{name: day, on: '*', plans: [gold], allow: 1, per: day}]", `no limit knows the plan "platinum" of anna`},
		{wired + "accounts: {anna: {identity: {acme.box: a}, plan: silver}}\nlimits: [{name: day, on: '*', allow: {gold: 1}, per: day}, {name: two, plans: silver, on: '*', allow: 1, per: day}]", `the limit "day" has no number for the plan "silver" of "anna"`},
		{wired + "limits: [{name: stop, on: '*', allow: 0, per: day}]", `the limit "stop" allows 0`},
	} {
		if got := fmt.Sprint(mustLoad(t, c.text).Warnings()); !strings.Contains(got, c.want) {
			t.Errorf("%s\nwarns %s, not %s", c.text, got, c.want)
		}
	}
}

func TestFilesThatWereCheckedLongAgo(t *testing.T) {
	s := mustLoad(t, "version: 1\nas_of: 2026-11\nuse: [./a.yaml]", "a.yaml", "version: 1\nas_of: 2025-01-31")
	aged := s.Aged(mustTime(t, "2026-12-01T00:00:00Z"))
	if len(aged) != 1 || !strings.HasPrefix(aged[0].String(), "a.yaml:2:8: this file was last checked in January 2025") {
		t.Error(aged)
	}
	if _, err := loadText(t, "version: 1\nas_of: last week"); err == nil || !strings.Contains(err.Error(), `rules.yaml:2:8: "last week" is not a month or a day`) {
		t.Error(err)
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		both bool
	}{
		{"path: /x", "path: /x", true},
		{"path: /x", "path: /y", false},
		{"path: /x/*", "path: '/x/{id}'", true},
		{"path: /x/**", "path: /x/a/b", true},
		{"path: '/**'", "path: /x", true},
		{"path: /x/*/b", "path: /x/a/*", true},
		{"path: /x/*/b", "path: /x/a/c", false},
		{"path: '/bot{token}/send'", "path: /bot123/send", true},
		{"path: '/bot{token}/send'", "path: /cat123/send", false},
		{"path: '(?i)/Send'", "path: /send", true},
		{"{path: /x, method: POST}", "{path: /x, method: GET}", false},
		{"{path: /x, method: POST}", "{path: /x}", true},
		{"{path: /x, query: {action: a}}", "{path: /x, query: {action: b}}", false},
		{"{path: /x, query: {action: a}}", "{path: /x, query: {action: [a, b]}}", true},
		{"{path: /x, query: {action: a}}", "{path: /x, query: {action: false}}", false},
		{"{path: /x, query: {action: a}}", "{path: /x, query: {action: true}}", true},
		{"{path: /x, query: {action: 'a*'}}", "{path: /x, query: {action: abc}}", true},
		{"{path: /x, query: {action: 'a*'}}", "{path: /x, query: {action: b}}", false},
		{"{path: /x, json: {$.type: a}}", "{path: /x, json: {$.type: b}}", false},
		{"{path: /x, graphql: {mutation: [a, b]}}", "{path: /x, graphql: {mutation: [b.c]}}", false},
		{"{path: /x, graphql: {mutation: [a, b]}}", "{path: /x, graphql: {mutation: b}}", true},
		{"{path: /x, graphql: {mutation: a, persisted: 'x*'}}", "{path: /x, graphql: {mutation: b, persisted: xy}}", true},
		{"{path: /x, host: a.test}", "{path: /x, host: b.test}", false},
		{"{path: /x, host: '*.test'}", "{path: /x, host: b.test}", true},
		{"{path: /x, host: 'b.test:81'}", "{path: /x, host: 'b.test:82'}", false},
		{"{path: /x, when: 'method == \"A\"'}", "{path: /x}", false},
	} {
		flow := func(m string) string {
			if !strings.HasPrefix(m, "{") {
				m = "{" + m + "}"
			}
			return m
		}
		s := mustLoad(t, "version: 1\nservices: {s: {hosts: [s.test], account: {bearer: true}}}\nmessages:\n  - name: s.one\n    match: "+flow(c.a)+"\n  - name: s.two\n    match: "+flow(c.b)+"\n")
		if got := strings.Contains(fmt.Sprint(s.Warnings()), "one request can be both s."); got != c.both {
			t.Errorf("%s and %s: both is %v: %v", c.a, c.b, got, s.Warnings())
		}
	}
}

// What carries requests overlaps where it carries the same ones.
func TestOverlapOfCarriers(t *testing.T) {
	for second, both := range map[string]bool{
		"each: '$.list[*]', inner: {url: {json: $.url}, base: /a}":  true,
		"each: '$.other[*]', inner: {url: {json: $.url}, base: /a}": false,
		"each: '$.list[*]', inner: {url: {json: $.url}, base: /b}":  false,
		"each: '$.list[*]'": true,
	} {
		s := mustLoad(t, "version: 1\nservices: {s: {hosts: [s.test], account: {bearer: true}}}\nmessages:\n"+
			"  - {name: s.one, match: {path: /x}, each: '$.list[*]', inner: {url: {json: $.url}, base: /a}}\n"+
			"  - {name: s.two, match: {path: /x}, "+second+"}\n")
		if got := strings.Contains(fmt.Sprint(s.Warnings()), "one request can be both s."); got != both {
			t.Errorf("%s: both is %v: %v", second, got, s.Warnings())
		}
	}
}

// TestShippedPacks: every pack and regime loads by itself, and nothing in it
// looks like a mistake.
func TestShippedPacksLoadWithoutWarnings(t *testing.T) {
	for _, name := range Packs() {
		s, err := loadText(t, "version: 1\nuse: ["+name+"]\nlimits: [{name: any, on: '*', allow: 1, per: day}]")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, w := range s.Warnings() {
			t.Errorf("%s: %s", name, w)
		}
	}
}
