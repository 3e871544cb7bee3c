package main

// This file is the limits that are asked: up to eight, of the kinds that a
// messaging account has.

import (
	"fmt"
	"time"

	"quotagate/ratelimit"
)

const maxLimits = 8

var limitNames = func() (names [maxLimits]string) {
	for i := range names {
		names[i] = fmt.Sprintf("bench.limit%d", i)
	}
	return names
}()

const plenty = 1_000_000_000

// claims are n limits that never refuse: civil windows first, since those have
// a counterpart everywhere; then a year, all that was ever sent, the last ten
// seconds, a pace.
func claims(n int, now time.Time) []ratelimit.Claim {
	all := []ratelimit.Claim{
		civil("day", now, 24*time.Hour),
		civil("week", now, 7*24*time.Hour),
		civil("month", now, 30*24*time.Hour),
		civil("hour", now, time.Hour),
		civil("year", now, 365*24*time.Hour),
		{Measure: ratelimit.Lifetime, Allow: plenty},
		{Measure: ratelimit.Rolling, Span: (10 * time.Second).Milliseconds(), Allow: 1500},
		{Measure: ratelimit.Pace, Span: 1, Wait: (10 * time.Second).Milliseconds()},
	}[:n]
	for i := range all {
		all[i].Limit, all[i].Cost = limitNames[i], 1
	}
	return all
}

// civil is a calendar claim in UTC. How long its windows are is nothing to the
// ledger, so a month of 30 days will do here.
func civil(unit string, now time.Time, span time.Duration) ratelimit.Claim {
	start := now.UTC().Truncate(span)
	window := func(i int) ratelimit.Window {
		at := start.Add(time.Duration(i) * span)
		return ratelimit.Window{Label: at.Format("2006-01-02T15"), Start: at.UnixMilli(), End: at.Add(span).UnixMilli()}
	}
	return ratelimit.Claim{
		Measure: ratelimit.Calendar, Unit: unit, Allow: plenty,
		Windows: &[3]ratelimit.Window{window(-1), window(0), window(1)},
	}
}
