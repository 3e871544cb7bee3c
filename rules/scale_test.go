package rules

import (
	"testing"
	"time"
)

func TestScale(t *testing.T) {
	for _, c := range []struct {
		scale       string
		anna, other int64 // of 100; anna has 1,200 connections, the other none
	}{
		{"'facts.connections >= 1000 ? 0.8 : 1.0'", 80, 80},
		{"'facts.connections >= 1000 ? 1.5 : 1.0'", 150, 100},
		{"'facts.connections < 500 ? 0.2 : facts.connections < 1000 ? 0.5 : 1'", 100, 20},
		{"'facts.connections > 5 ? facts.connections / 1000 : 0.5'", 120, 50},
		{"'(facts.connections ?? 0) >= 1000 ? 2 : 1'", 200, 100},
		{"facts.connections / 1000", 120, 0},
		{"0.29", 29, 29},
		{"'plan == \"gold\" ? 2 : 1'", 200, 100},
		{"'account == \"anna\" ? 0.015 : 1'", 1, 100},
		{"'facts.connections - 2000'", 0, 0},
		{"'facts.connections / 0'", mostUnits, 0},
	} {
		s := mustLoad(t, wired+"accounts: {anna: {identity: {acme.box: a}, plan: gold, facts: {connections: 1200}}}\n"+
			"limits: [{name: x, on: acme.message, allow: 100, per: day, scale: "+c.scale+"}, {name: gold, on: acme.message, plans: gold, allow: 1, per: day}]")
		for account, want := range map[string]int64{"anna": c.anna, "other": c.other} {
			if got := s.Claims(to("r1"), account, time.Unix(0, 0))[0].Allow; got != want {
				t.Errorf("scale: %s: %s may %d, not %d", c.scale, account, got, want)
			}
		}
	}
}
